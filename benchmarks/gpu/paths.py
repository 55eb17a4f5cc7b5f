"""Does every path run: where images lie, how they are augmented, what is compiled, what happens where memory ends."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from benchmarks.gpu.record import PARTS
from benchmarks.gpu.runs import augmented, build, changed, small, tell, train_all, with_model
from benchmarks.gpu.steps import Found, Rig, Step
from harness.errors import RunFailed
from harness.models.network import Network
from harness.records import RunConfig
from harness.train.auto_batch_size import fit_micro_batch
from harness.train.gpu_dataset import load_gpu_datasets
from harness.train.loop import train_epoch
from harness.train.memory import OutOfMemory
from harness.train.setup import Setup, compile_network, has_bfloat16

ROOM = 2**30
"""Bytes for images where a CPU stands in for a card."""
SHARE = 0.6
"""Of what a step takes beside the weights, the memory that is left to it where it should run out."""
WAITS_AN_EPOCH = 8
"""Reads of losses, norms and counts at an epoch's end, and what is sent to begin it; a step more would show."""
MODELS: dict[str, dict[str, Any]] = {
    "unet": {},
    "deeplabv3_resnet50": {"aux_weight": 0.4},
    "deeplabv3_resnet101": {},
    "deeplabv3_mobilenet_v3_large": {},
    "fcn_resnet50": {},
    "lraspp_mobilenet_v3_large": {},
    "smp": {"architecture": "unet", "encoder": "resnet18"},
}


def resident(rig: Rig) -> Found:
    """Images lie on the device."""
    setup = build(small(rig), rig.device)
    if rig.toy:
        data = setup.data
        data = replace(data, gpu_datasets=load_gpu_datasets(setup.config, data.splits, setup.device, ROOM))
        return tell(train_all(replace(setup, data=data)), "in the main memory: a CPU has no other")
    lying = set(setup.data.gpu_datasets)
    _require(lying == set(setup.data.splits), f"only {sorted(lying)} lie on the device")
    return tell(train_all(setup))


def streamed(rig: Rig, augment: bool) -> Found:
    """Images are read, augmented step by step, pinned and sent while the device computes."""
    config = augmented(small(rig)) if augment else small(rig)
    setup = build(config, rig.device, resident=False)
    _require(not setup.data.gpu_datasets, "images lie on the device all the same")
    return tell(train_all(setup))


def one_sampling(rig: Rig) -> Found:
    """Images on the device are augmented there."""
    return tell(train_all(build(augmented(small(rig, augment_as="one_sampling")), rig.device)))


def waits(rig: Rig) -> Found:
    """No step waits for the device: torch itself says where something does."""
    if rig.toy:
        return Found("a CPU is never waited for; tests/train/test_gpu_stand_in.py counts through a stand-in")
    setup = build(augmented(small(rig, augment_as="one_sampling", clip_norm=1.0)), rig.device)
    train_epoch(setup, 1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            train_epoch(setup, 2)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    found = [item for item in caught if "synchroniz" in str(item.message)]
    steps = setup.config.data.own["train_images"] // setup.config.train.batch_size
    places = sorted({f"{item.filename.rpartition('/')[2]}:{item.lineno}" for item in found})
    says = f"{len(found)} waits in an epoch of {steps} steps, at {', '.join(places) or 'no place'}"
    return Found(says, {"waits": len(found), "steps": steps, "places": places}, len(found) <= WAITS_AN_EPOCH)


def plain(rig: Rig, **train: Any) -> Found:
    """Two epochs with other settings of training."""
    if train.get("precision") == "bfloat16" and rig.toy and not has_bfloat16(rig.device):
        return Found("this CPU has no bfloat16, and a run that asks for it is refused")
    return tell(train_all(build(small(rig, **train), rig.device)))


def compiled(rig: Rig, mode: str) -> Found:
    """The network is compiled; an odd last batch makes a second size."""
    config = small(rig, compile=mode)
    images = config.data.own["train_images"] + config.train.batch_size // 2
    config = replace(config, data=config.data.with_settings(train_images=images))
    if rig.toy:
        return tell(train_all(_compile_two_layers(config, rig)), "two layers stand in: a CPU compiles U-Net in minutes")
    return tell(train_all(build(config, rig.device)), "in two sizes of batch")


def _compile_two_layers(config: RunConfig, rig: Rig) -> Setup:
    """Return a setup whose network is small enough to be compiled in seconds."""
    setup = build(changed(config, compile="none"), rig.device)
    classes = len(setup.data.source.taxonomy.classes)
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Conv2d(8, classes, 1))
    network = Network(module, lambda output: (output, ()), backbone=("0.",), classifier=("1.",))
    compile_network(config, network)
    optimizer = torch.optim.Adam([{"params": module.parameters(), "name": "head"}])
    base_lr = {"head": config.optimizer.lr}
    return replace(setup, state=replace(setup.state, network=network, optimizer=optimizer, base_lr=base_lr))


def out_of_memory(rig: Rig) -> Found:
    """Memory runs out in a step; the batch that fits is found, and training goes on with micro-batches of it."""
    config = small(rig, on_oom="accumulate", epochs=1)
    config = changed(config, batch_size=config.data.own["train_images"])
    limit = _limit_toy if rig.toy else partial(_limit_card, whole=_peak_of_epoch(config, rig))
    setup = build(config, rig.device)
    remove = limit(setup)
    try:
        train_all(setup)
    except OutOfMemory as error:
        phase, reason = error.phase, str(error)
    else:
        raise RunFailed("memory did not run out")
    micro_batch = fit_micro_batch(setup, phase, reason)
    remove()
    del setup
    setup = replace(build(config, rig.device), micro_batch=micro_batch)
    limit(setup)
    how = f"{config.train.batch_size} images at once did not fit, {micro_batch.train} do"
    return tell(train_all(setup), f"{how} ({'by a limit that raises what torch would' if rig.toy else reason[:60]})")


def _limit_toy(setup: Setup) -> Callable[[], None]:
    """Let the network raise what torch does, with more than two images in training."""

    def check(module: torch.nn.Module, given: tuple[torch.Tensor]) -> None:
        if module.training and len(given[0]) > 2:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    return setup.state.network.module.register_forward_pre_hook(check).remove


def _limit_card(setup: Setup, whole: int) -> Callable[[], None]:
    """Let the process have so much of the device that a step of the whole batch cannot be made."""
    have = torch.cuda.memory_allocated(setup.device)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(setup.device).total_memory
    torch.cuda.set_per_process_memory_fraction((have + SHARE * (whole - have)) / total, setup.device)
    return lambda: torch.cuda.set_per_process_memory_fraction(1.0, setup.device)


def _peak_of_epoch(config: RunConfig, rig: Rig) -> int:
    torch.cuda.reset_peak_memory_stats(rig.device)
    train_epoch(build(config, rig.device), 1)
    return torch.cuda.max_memory_allocated(rig.device)


def kept(rig: Rig) -> Found:
    """Frozen layers: their features are kept on a CPU, and computed in each epoch on a GPU."""
    setup = build(with_model(small(rig), "deeplabv3_mobilenet_v3_large", freeze="backbone"), rig.device)
    history = train_all(setup)
    if not rig.toy:
        _require(not setup.data.feature_caches, "features are kept, which was never tried on a GPU")
        return tell(history, "nothing is kept on a GPU: frozen layers are computed in each epoch")
    _require(all(item.trusted for item in setup.data.feature_caches.values()), "features were not kept, or not trusted")
    return tell(history, f"kept of {', '.join(setup.data.feature_caches)}")


def model(rig: Rig, name: str) -> Found:
    """Each network is trained and judged."""
    return tell(train_all(build(with_model(small(rig, epochs=1), name, **MODELS[name]), rig.device)))


def _require(holds: bool, problem: str) -> None:
    if not holds:
        raise RunFailed(problem)


def _step(name: str, work: Callable[[Rig], Found], most_s: float = 60.0) -> Step:
    return Step(PARTS[0], name, work, most_s)


PATHS = (
    _step("images on the device", resident),
    _step("images streamed", partial(streamed, augment=False)),
    _step("images streamed, augmented in steps", partial(streamed, augment=True)),
    _step("one_sampling", one_sampling),
    _step("no step waits for the device", waits),
    _step("precision: bfloat16", partial(plain, precision="bfloat16")),
    _step("accumulate: 2, clip_norm, fused", partial(plain, accumulate=2, clip_norm=1.0, optimizer_step="fused")),
    _step("on_oom: accumulate, memory overflows", out_of_memory),
    _step("frozen layers", kept),
    *(_step(f"model {name}", partial(model, name=name)) for name in MODELS),
)
COMPILED = (
    _step("compile: default", partial(compiled, mode="default"), 120.0),
    _step("compile: reduce-overhead", partial(compiled, mode="reduce-overhead"), 100.0),
)

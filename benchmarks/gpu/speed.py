"""How fast is it: steps against the bare floor, a plain loop and the device's own rate; evaluation; augmentation."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from benchmarks import augment_rate, matrix_rate
from benchmarks.cases import Case, configure
from benchmarks.evaluation_speed import draw
from benchmarks.gpu.record import PARTS
from benchmarks.gpu.runs import build
from benchmarks.gpu.steps import Found, Rig, Step
from benchmarks.rivals import make_loaders, make_plain_training, plain_network, write_pngs
from benchmarks.setting import wait_for
from benchmarks.training_speed import make_floor, make_harness
from harness.environment import count_cores
from harness.train.chunked_argmax import label_pixels
from harness.train.evaluate import count_confusion_device, evaluate
from harness.train.regions import count_confusion
from harness.train.setup import has_bfloat16

AIM = 0.05
"""Of the floor's time, what the harness may add."""
CASES = {
    "U-Net 128x128, batch 8": Case("unet", 128, 8, 512),
    "DeepLabV3-ResNet50 512x512, batch 8": Case("deeplabv3_resnet50", 512, 8, 64),
    "U-Net 128x128, batch 64": Case("unet", 128, 64, 512),
    "U-Net 128x128, batch 1": Case("unet", 128, 1, 128),
}
TOYS = {
    "U-Net 128x128, batch 8": Case("unet", 32, 8, 16, (("base_channels", 4),)),
    "DeepLabV3-ResNet50 512x512, batch 8": Case("deeplabv3_resnet50", 32, 2, 2),
    "U-Net 128x128, batch 64": Case("unet", 32, 16, 32, (("base_channels", 4),)),
    "U-Net 128x128, batch 1": Case("unet", 32, 1, 4, (("base_channels", 4),)),
}
MATRIX_SIDE = {"cpu": 512, "cuda": 8192}
ROUNDS = 5
WORKERS = 4


def training(rig: Rig, name: str) -> Found:
    """An epoch of the harness, of the floor on the same network, and of a plain loop, in turn."""
    case, rounds = (TOYS[name], 1) if rig.toy else (CASES[name], ROUNDS)
    setup = build(configure(case), rig.device)
    with tempfile.TemporaryDirectory(dir=rig.folder) as place:
        for split in ("train", "val"):
            write_pngs(setup.data.splits[split], Path(place) / split)
        loader, _ = make_loaders(setup, Path(place), min(WORKERS, count_cores()))
        plain = make_plain_training(setup, plain_network(setup), loader)
        harness, floor = make_harness(setup, time.perf_counter), make_floor(setup, time.perf_counter)
        spent = take_turns(
            {
                "harness": lambda: harness().train,
                "floor": lambda: floor().train,
                "plain": lambda: matrix_rate.timed(plain, rig.device),
            },
            rounds,
        )
    rate = case.images / statistics.median(spent["harness"])
    overhead, faster = _ratio(spent["harness"], spent["floor"]) - 1, _ratio(spent["plain"], spent["harness"])
    says = f"{_toy(rig, case)}{rate:.4g} images/s; {overhead:+.1%} over the floor (aim {AIM:.0%}); "
    says += f"{faster:.2f} times a plain loop"
    return Found(says, {"images_per_s": rate, "overhead": overhead, "times_plain": faster, "seconds": spent})


def take_turns(sides: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each side in each round but a first one, in turn, the order reversed each time."""
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name in list(sides) if number % 2 else reversed(list(sides)):
            seconds = sides[name]()
            if number:
                spent[name].append(seconds)
    return spent


def _toy(rig: Rig, case: Case) -> str:
    return f"toy, {case.side}x{case.side}, batch {case.batch}: " if rig.toy else ""


def _ratio(above: list[float], below: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def matrix_share(rig: Rig, name: str, precision: str) -> Found:
    """A step's operations against the device's measured rate in the same arithmetic."""
    if precision == "bfloat16" and rig.toy and not has_bfloat16(rig.device):
        return Found("this CPU has no bfloat16, and a run that asks for it is refused")
    case = (TOYS if rig.toy else CASES)[name]
    config = configure(case)
    config = replace(config, train=config.train.model_copy(update={"precision": precision}))
    found = matrix_rate.measure(config, rig.device, 1 if rig.toy else ROUNDS, MATRIX_SIDE[rig.device.type])
    says = f"{_toy(rig, case)}{found.share:.0%} of {found.rate / 1e12:.3g} TFLOP/s; a step: "
    says += f"{found.operations / 1e9:.3g} GFLOP in {1000 * found.seconds:.3g} ms"
    return Found(says, found._asdict())


def evaluation(rig: Rig) -> Found:
    """Large images from the main memory or the device to counts, network and all."""
    height, width, images = (64, 128, 2) if rig.toy else (1024, 2048, 8)
    case = Case("unet", height, 1, 1, (("base_channels", 4),)) if rig.toy else Case("deeplabv3_resnet50", height, 1, 1)
    config = configure(case)
    config = replace(
        config,
        data=config.data.with_settings(size=[height, width], val_images=images, train_images=2),
        train=config.train.model_copy(update={"batch_size": 2}),
        evaluate=config.evaluate.model_copy(update={"batch_size": 2}),
    )
    setup = build(config, rig.device)
    spent = take_turns({"": lambda: matrix_rate.timed(lambda: evaluate(setup, "val"), rig.device)}, 1 if rig.toy else 3)
    ms = 1000 * statistics.median(spent[""]) / images
    return Found(
        f"{ms:.3g} ms an image of {width}x{height}, {case.model}, {len(setup.data.gpu_datasets)} splits on the device",
        {"ms": ms},
    )


def labelling(rig: Rig) -> Found:
    """Logits of a quarter of the size to labels to counts, against the CPU's way."""
    _, label_HW = draw(19)
    if rig.toy:
        label_HW = label_HW[:128, :256]
    height, width = label_HW.shape
    logits_CHW = torch.randn((19, height // 4, width // 4), generator=torch.Generator().manual_seed(0))
    there, label = logits_CHW.to(rig.device), torch.from_numpy(label_HW).to(rig.device)
    sides = {
        "device": lambda: count_confusion_device(label_pixels(there, label_HW.shape), label, 19),
        "cpu": lambda: count_confusion(label_pixels(logits_CHW, label_HW.shape).numpy(), label_HW, 19),
    }
    spent = take_turns({name: partial(matrix_rate.timed, work, rig.device) for name, work in sides.items()}, ROUNDS)
    here, theirs = (1000 * statistics.median(spent[name]) for name in ("device", "cpu"))
    says = f"{here:.3g} ms on the device, {theirs:.3g} ms on the CPU with one thread, 19 classes at {width}x{height}"
    return Found(says, {"device_ms": here, "cpu_ms": theirs})


def augmentation(rig: Rig) -> Found:
    """A batch augmented on the device by one sampling, against step by step on the CPU and sent."""
    side, batch = (32, 4) if rig.toy else (512, 8)
    split = augment_rate.open_scenes(side, 4 * batch)
    sides = augment_rate.make_sides(split, augment_rate.build_steps(side), rig.device)
    order = [list(range(first, first + batch)) for first in range(0, len(split), batch)]
    spent = augment_rate.measure(sides, order, 2 if rig.toy else ROUNDS, rig.device)
    steps, sampling = (len(split) / statistics.median(spent[name]) for name in ("steps", "one sampling"))
    faster = _ratio(spent["steps"], spent["one sampling"])
    says = (
        f"{faster:.2f} times faster: {sampling:.4g} images/s of {side}x{side}, and {steps:.4g} on one core of the CPU"
    )
    return Found(says, {"times_faster": faster, "images_per_s": sampling, "cpu_images_per_s": steps})


def waiting_cost(rig: Rig) -> Found:
    """What a wait for the device takes where nothing is to be waited for: what a step would lose by each."""
    value = torch.ones((), device=rig.device)
    wait_for(rig.device)
    spent = [matrix_rate.timed(value.item, rig.device) for _ in range(100)]
    return Found(f"{1e6 * statistics.median(spent):.3g} us to read one number", {"seconds": statistics.median(spent)})


def _step(name: str, work: Callable[[Rig], Found], most_s: float = 60.0) -> Step:
    return Step(PARTS[2], name, work, most_s)


TRAINING = tuple(_step(name, partial(training, name=name), 90.0) for name in CASES)
SPEED = (
    *(
        _step(f"matrix rate, {name}, {precision}", partial(matrix_share, name=name, precision=precision))
        for name, precision in (
            ("DeepLabV3-ResNet50 512x512, batch 8", "float32"),
            ("U-Net 128x128, batch 64", "float32"),
            ("U-Net 128x128, batch 64", "bfloat16"),
        )
    ),
    _step("evaluation of 2048x1024", evaluation),
    _step("labels and counts of 2048x1024", labelling),
    _step("augmentation, GPU and CPU", augmentation),
    _step("reading a number from the device", waiting_cost),
)

"""Are its numbers right: a GPU against the CPU, and a run against itself."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks.cases import Case, configure
from benchmarks.gpu.record import PARTS
from benchmarks.gpu.runs import build, changed, train_all
from benchmarks.gpu.steps import Found, Rig, Step
from harness.environment import count_cores
from harness.records import RunConfig
from harness.train.chunked_argmax import label_pixels
from harness.train.evaluate import count_confusion_device, evaluate, evaluation_batches
from harness.train.forward import forward
from harness.train.regions import count_confusion
from harness.train.setup import Setup

CPU = torch.device("cpu")
PIXELS = {"float32": 1e-3, "TF32": 1e-2}
"""Share of pixels that may be labelled otherwise than on the CPU: those where two classes are as good as equal."""
LOSS = {"float32": 0.01, "TF32": 0.05}
"""Relative difference of an epoch's loss that is allowed: rounding grows from step to step."""
EPOCHS = 4
NOT_DETERMINISTIC = re.compile(r"(\w+) does not have a deterministic implementation")
"""How torch names, in a warning, what is not."""
THREADS = 8
"""Of the CPU, where a GPU is compared with it."""


@contextmanager
def arithmetic(name: str) -> Iterator[None]:
    """Let a GPU's convolutions and products round as float32, or convolutions as TF32, which is torch's default."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = name == "TF32"
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def counts(rig: Rig) -> Found:
    """The same weights, judged on the CPU and on the device."""
    ours, theirs = (build(_config(rig), device) for device in (rig.device, CPU))
    train_all(theirs)
    ours.state.network.module.load_state_dict(theirs.state.network.module.state_dict())
    split, classes = ours.data.splits["val"], len(ours.data.source.taxonomy.classes)
    truth = np.concatenate([split.judged_label(place).ravel() for place in range(len(split))])
    wanted = np.concatenate(list(_label(theirs)))
    says, numbers, right = [f"{truth.size} pixels"], {}, True
    for name in _roundings(rig):
        with arithmetic(name):
            labels, counted = np.concatenate(list(_label(ours))), evaluate(ours, "val").counts.confusion_CC()
        known = count_confusion(labels, truth, classes)
        apart, exact = float(np.mean(labels != wanted)), np.array_equal(counted, known)
        confused = int(np.abs(known - count_confusion(wanted, truth, classes)).sum())
        says += [
            f"{name}: {apart:.1e} of them labelled otherwise than by the CPU (allowed {PIXELS[name]:g}), counts "
            f"apart by {confused} in all, {'exactly' if exact else 'NOT'} those of numpy for the same labels"
        ]
        numbers[name] = {"pixels_apart": apart, "counts_apart": confused, "exact": exact}
        right &= exact and apart <= PIXELS[name]
    return Found("; ".join(says), numbers, right)


@torch.inference_mode()
def _label(setup: Setup) -> Iterator[np.ndarray[tuple[int], np.dtype[np.uint8]]]:
    """Yield each validation image's labels as the setup's weights give them, flat."""
    setup.state.network.module.eval()
    for places in evaluation_batches(setup, "val"):
        with torch.inference_mode():
            logits_BCHW, _ = forward(setup, "val", setup.data.batch("val", places, setup.device))
        for place, logits_CHW in zip(places, logits_BCHW, strict=True):
            shape = setup.data.splits["val"].judged_label(place).shape
            yield label_pixels(logits_CHW, shape).cpu().numpy().ravel()


def counting(rig: Rig) -> Found:
    """Labels counted where a GPU counts them, against numpy."""
    rng, classes, shape = np.random.default_rng(0), 19, (64, 64) if rig.toy else (1024, 2048)
    predicted, truth = (rng.integers(classes, size=shape, dtype=np.uint8) for _ in range(2))
    truth[rng.random(shape) < 0.05] = 255
    there, label = (torch.from_numpy(array).to(rig.device) for array in (predicted, truth))
    same = np.array_equal(
        count_confusion_device(there, label, classes).cpu().numpy(), count_confusion(predicted, truth, classes)
    )
    return Found(f"{truth.size} pixels of {classes} classes: {'the same counts' if same else 'OTHER counts'}", {}, same)


def losses(rig: Rig) -> Found:
    """The same run, trained on the CPU and on the device."""
    wanted = _train_losses(rig, CPU)
    says, numbers, right = [f"{wanted[-1]:.4f} after {EPOCHS} epochs on the CPU"], {"cpu": wanted}, True
    for name in _roundings(rig):
        with arithmetic(name):
            numbers[name] = _train_losses(rig, rig.device)
        apart = [abs(a - b) / a for a, b in zip(wanted, numbers[name], strict=True)]
        by_epoch = ", ".join(f"{share:.1e}" for share in apart)
        says.append(f"{name}: {numbers[name][-1]:.4f}, epochs apart by {by_epoch} (allowed {LOSS[name]:g})")
        right &= max(apart) <= LOSS[name]
    return Found("; ".join(says), numbers, right)


def _train_losses(rig: Rig, device: torch.device) -> list[float]:
    return [epoch.metrics["train/loss"] for epoch in train_all(build(_config(rig, epochs=EPOCHS), device))]


def _config(rig: Rig, **train: Any) -> RunConfig:
    """Return a config small enough for the CPU that the device is compared with."""
    case = (
        Case("unet", 32, 4, 8, (("base_channels", 4),))
        if rig.toy
        else Case("unet", 128, 8, 32, (("base_channels", 16),))
    )
    return changed(configure(case), **{"epochs": 2, "threads": 1 if rig.toy else min(count_cores(), THREADS), **train})


def _roundings(rig: Rig) -> tuple[str, ...]:
    return ("float32",) if rig.toy else ("float32", "TF32")


def repeated(rig: Rig, deterministic: bool) -> Found:
    """One seed twice: equal where every algorithm is deterministic; else which is not, as torch says, and the noise."""
    ends = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            setup = build(_config(rig, epochs=EPOCHS, deterministic=deterministic), rig.device)
            metrics = train_all(setup)[-1].metrics
            ends.append((metrics, {key: value.cpu() for key, value in setup.state.network.module.state_dict().items()}))
    without = sorted({found[1] for item in caught if (found := NOT_DETERMINISTIC.match(str(item.message)))})
    (first, weights), (second, others) = ends
    moved = sum(int((weights[key] != others[key]).sum()) for key in weights)
    total = sum(value.numel() for value in weights.values())
    noise = abs(first["train/loss"] - second["train/loss"]) / first["train/loss"]
    scores = abs(first["val/miou_dataset"] - second["val/miou_dataset"])
    says = f"{moved} of {total} weights differ; loss by {noise:.1e}, miou_dataset by {scores:.1e}"
    says += f"; without a deterministic algorithm: {', '.join(without)}" if without else ""
    numbers = {"weights_apart": moved, "loss_apart": noise, "miou_apart": scores, "not_deterministic": without}
    return Found(says, numbers, not (deterministic and moved and not without))


NUMBERS = (
    Step(PARTS[1], "counts, GPU and CPU", counts),
    Step(PARTS[1], "counting on the GPU", counting),
    Step(PARTS[1], "one seed twice, deterministic", partial(repeated, deterministic=True)),
    Step(PARTS[1], "one seed twice, not deterministic", partial(repeated, deterministic=False)),
    Step(PARTS[1], "losses, GPU and CPU", losses, 100.0),
)

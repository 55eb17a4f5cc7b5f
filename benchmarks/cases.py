"""What the benchmarks of training train: a network, images of one size, a batch."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import torch

from benchmarks.rivals import Clock
from harness.records import RunConfig
from harness.registry import choose
from harness.settings import EvaluateSettings, TrainSettings

CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "processor": time.process_time}


@dataclass(frozen=True)
class Case:
    """What is trained."""

    model: str
    side: int
    batch: int
    images: int
    settings: tuple[tuple[str, object], ...] = ()
    augment: tuple[str, ...] = ()


CASES = {
    "unet-128-b1": Case("unet", 128, 1, 12),
    "unet-128-b8": Case("unet", 128, 8, 16),
    "unet-128-b64": Case("unet", 128, 64, 64),
    "deeplab-512": Case("deeplabv3_resnet50", 512, 2, 2),
    "phase3": Case("deeplabv3_mobilenet_v3_large", 96, 4, 32, (("norm_momentum", 0.1),)),
    "data-scaling": Case("unet", 96, 8, 32, (("base_channels", 16),)),
    "tune-desert": Case("unet", 48, 8, 64, (("base_channels", 4),)),
    "tune-desert-flip": Case("unet", 48, 8, 64, (("base_channels", 4),), ("flip",)),
}
ON_GPU = {"unet-128-b1": 256, "unet-128-b8": 1024, "unet-128-b64": 2048, "deeplab-512": 64}
"""Images of an epoch there; other cases have eight times those of the CPU."""
GPU_BATCH = {"deeplab-512": 8}


def make_config(name: str, device: torch.device) -> RunConfig:
    """Return a case as a run's config; on a GPU with more images, and a batch that fills it."""
    case, on_gpu = CASES[name], device.type == "cuda"
    if on_gpu:
        case = replace(case, images=ON_GPU.get(name, 8 * case.images), batch=GPU_BATCH.get(name, case.batch))
    return configure(case)


def configure(case: Case) -> RunConfig:
    """Return a case as a run's config, with the images and the batch that it has."""
    scenes = {
        "size": [case.side] * 2,
        "train_images": case.images,
        "val_images": max(case.images // 4, 2),
        "test_images": 1,
    }
    return RunConfig(
        data=choose("data", "desert", {**scenes, "normalize": "centered"}),
        model=choose("model", case.model, dict(case.settings)),
        loss=(choose("loss", "cross_entropy", {}),),
        augment=tuple(choose("augment", part, {}) for part in case.augment),
        optimizer=choose("optimizer", "adam", {"lr": 1e-3}),
        schedule=choose("schedule", "constant", {}),
        train=TrainSettings(epochs=10**6, batch_size=case.batch),
        evaluate=EvaluateSettings(),
        seed=0,
    )

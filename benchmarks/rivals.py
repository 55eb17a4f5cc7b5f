"""What people would use instead of the harness, in the form that is copied most, on the same images and network.

Each rival is a function without arguments that trains and judges one epoch and returns the seconds of both.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from harness.data.prepared import PreparedSplit
from harness.data.source import IGNORE
from harness.train.setup import Setup

Clock = Callable[[], float]


class Spent(NamedTuple):
    """Seconds of one epoch."""

    train: float
    whole: float
    """With the evaluation after it."""


Epoch = Callable[[], Spent]


def write_pngs(split: PreparedSplit, folder: Path) -> None:
    """Write a split as PNG pairs, at the size that the network sees."""
    folder.mkdir()
    for index in range(len(split)):
        image, label = split.pair(index)
        PIL.Image.fromarray(image).save(folder / f"{index:05}.png")
        PIL.Image.fromarray(label).save(folder / f"{index:05}_label.png")


class Pngs(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """PNG pairs, decoded each time they are asked for, and cut at random to [H, W] where `crop` says so."""

    def __init__(self, folder: Path, crop: tuple[int, int] | None = None) -> None:
        self.labels = sorted(folder.glob("*_label.png"))
        self.crop = crop

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        path = self.labels[index]
        image = np.array(PIL.Image.open(path.with_name(path.name.replace("_label", ""))).convert("RGB"))
        image_CHW = torch.from_numpy(image).permute(2, 0, 1).float() / 255
        mean, std = torch.full((3, 1, 1), 0.5), torch.full((3, 1, 1), 0.25)
        label_HW = torch.from_numpy(np.array(PIL.Image.open(path)).astype(np.int64))
        if self.crop:
            top, left = (int(torch.randint(s - w + 1, ())) for s, w in zip(label_HW.shape, self.crop, strict=True))
            window = (..., slice(top, top + self.crop[0]), slice(left, left + self.crop[1]))
            image_CHW, label_HW = image_CHW[window], label_HW[window]
        return (image_CHW - mean) / std, label_HW


def make_loaders(setup: Setup, files: Path, workers: int) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """Return the loaders of `train` and `val`, from folders of PNGs below `files`."""
    extra: dict[str, Any] = {
        "num_workers": workers,
        "persistent_workers": workers > 0,
        "pin_memory": setup.device.type == "cuda",
    }
    crop = next((step.own["size"] for step in setup.config.augment if step.name == "crop"), None)
    return (
        DataLoader(Pngs(files / "train", crop), batch_size=setup.config.train.batch_size, shuffle=True, **extra),
        DataLoader(Pngs(files / "val"), batch_size=setup.config.evaluate.batch_size, **extra),
    )


def plain_network(setup: Setup) -> nn.Module:
    """Return a copy of the network in torch's own memory format."""
    return copy.deepcopy(setup.state.network.module).to(memory_format=torch.contiguous_format).train()


def _logits(output: Any) -> torch.Tensor:
    logits: torch.Tensor = output["out"] if isinstance(output, dict) else output
    return logits


def make_plain_training(setup: Setup, network: nn.Module, loader: DataLoader[Any]) -> Callable[[], None]:
    """Return an epoch of steps of the loop that tutorials write, with `.item()` each step."""
    criterion = nn.CrossEntropyLoss(ignore_index=IGNORE)
    optimizer = torch.optim.Adam(network.parameters(), lr=setup.config.optimizer.lr)

    def train() -> None:
        running = 0.0
        network.train()
        for images, labels in loader:
            optimizer.zero_grad()
            loss = criterion(_logits(network(images.to(setup.device))), labels.to(setup.device))
            loss.backward()
            optimizer.step()
            running += loss.item()

    return train


def make_plain(setup: Setup, files: Path, workers: int, clock: Clock) -> Epoch:
    """Return that loop with scikit-learn's confusion matrix after each epoch."""
    from sklearn.metrics import confusion_matrix

    network = plain_network(setup)
    train_loader, val_loader = make_loaders(setup, files, workers)
    train = make_plain_training(setup, network, train_loader)
    classes = list(range(len(setup.data.source.taxonomy.classes)))

    def epoch() -> Spent:
        began = clock()
        train()
        trained = clock() - began
        network.eval()
        total = np.zeros((len(classes), len(classes)), np.int64)
        with torch.no_grad():
            for images, labels in val_loader:
                predicted = _logits(network(images.to(setup.device))).argmax(1).cpu()
                seen = labels != IGNORE
                total += confusion_matrix(labels[seen].numpy(), predicted[seen].numpy(), labels=classes)
        return Spent(trained, clock() - began)

    return epoch


def make_lightning(setup: Setup, files: Path, workers: int, clock: Clock) -> Epoch:
    """Return the same with Lightning's Trainer and torchmetrics, without loggers, checkpoints and progress bars."""
    import logging
    import warnings

    import lightning
    from lightning.pytorch.callbacks import LambdaCallback

    warnings.filterwarnings("ignore", module="lightning.*")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    marks: dict[str, float] = {}

    def mark(name: str) -> Callable[..., None]:
        return lambda *given: marks.__setitem__(name, clock())

    trainer = lightning.Trainer(
        accelerator="gpu" if setup.device.type == "cuda" else "cpu",
        devices=1,
        max_epochs=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[
            LambdaCallback(
                on_train_epoch_start=mark("began"),
                on_validation_start=mark("trained"),
                on_train_epoch_end=mark("ended"),
            )
        ],
    )
    model, loaders = _make_module(setup), make_loaders(setup, files, workers)

    def epoch() -> Spent:
        trainer.fit_loop.max_epochs = trainer.current_epoch + 1
        trainer.fit(model, *loaders)
        return Spent(marks["trained"] - marks["began"], marks["ended"] - marks["began"])

    return epoch


def _make_module(setup: Setup) -> Any:
    """Return the network as Lightning wants it."""
    import lightning
    from torchmetrics import JaccardIndex

    class Segmenter(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = plain_network(setup)
            self.criterion = nn.CrossEntropyLoss(ignore_index=IGNORE)
            classes = len(setup.data.source.taxonomy.classes)
            self.iou = JaccardIndex(task="multiclass", num_classes=classes, ignore_index=IGNORE)

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            loss: torch.Tensor = self.criterion(_logits(self.network(batch[0])), batch[1])
            self.log("train/loss", loss, on_epoch=True)
            return loss

        def validation_step(self, batch: Any, index: int) -> None:
            self.iou.update(_logits(self.network(batch[0])).argmax(1), batch[1])

        def on_validation_epoch_end(self) -> None:
            self.log("val/iou", self.iou.compute())
            self.iou.reset()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=setup.config.optimizer.lr)

    return Segmenter()

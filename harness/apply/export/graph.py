"""A model as one graph that other programs run: pictures in, logits out. Letters: B batch, C class, H, W."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from harness.apply.model import Model
from harness.errors import HarnessError
from harness.models.network import Network
from harness.train.batches import Preprocessing

TRACED = (2, 96, 160)
"""Batch, height and width that a graph of any size is traced with: no two alike, sides that all models halve evenly."""
MOST_REASON = 300


@dataclass(frozen=True)
class Program:
    """A traced model."""

    exported: ExportedProgram
    """Takes `image` uint8 [B, H, W, 3], red green blue; gives float32 logits_BCHW at the same size."""
    size: tuple[int, int] | None
    """The one height and width that it takes; None where it takes others."""
    multiple: int = 1
    """Sides that it takes are multiples of this, where it takes several sizes."""

    @property
    def least(self) -> tuple[int, int]:
        """Return the least height and width that it takes, as far as tracing has shown."""
        if self.size is not None:
            return self.size
        axes = next(node for node in self.exported.graph.nodes if node.op == "placeholder" and node.name == "image")
        ranges = self.exported.range_constraints
        height, width = (int(ranges[side.node.expr].lower) for side in axes.meta["val"].shape[1:3])
        return height + -height % self.multiple, width + -width % self.multiple

    @property
    def takes(self) -> str:
        """Return which sizes it takes, in words that follow `pictures`."""
        if self.size is not None:
            return f"of {self.size[0]}x{self.size[1]} only"
        return "of any size" if self.multiple == 1 else f"whose sides are multiples of {self.multiple}"


class Graph(nn.Module):
    """Normalisation and network as one module."""

    mean_C11: Tensor
    std_C11: Tensor

    def __init__(self, network: Network, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.network = network.module
        self._read = network.read
        self.register_buffer("mean_C11", torch.tensor(preprocessing.mean).view(-1, 1, 1))
        self.register_buffer("std_C11", torch.tensor(preprocessing.std).view(-1, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Return logits_BCHW of pictures, uint8 [B, H, W, 3]."""
        inputs_BCHW = (image.permute(0, 3, 1, 2).float() / 255 - self.mean_C11) / self.std_C11
        logits_BCHW, _ = self._read(self.network(inputs_BCHW))
        return logits_BCHW.float()


def trace(model: Model, *, any_size: bool) -> Program:
    """Trace a model for any number of pictures: of any size, or of the size that its run resizes pictures to.

    Raises:
        HarnessError: it cannot be traced so; the message names the model and says what torch.export cannot do.
    """
    graph = Graph(model.network, model.normalize.preprocessing).eval()
    size = None if any_size else model.size
    image = torch.zeros(*((TRACED[0], *size) if size else TRACED), 3, dtype=torch.uint8)
    free: dict[int, Any] = dict.fromkeys((0, 1, 2) if any_size else (0,), Dim.DYNAMIC)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # torch's own, about its own internals
            return Program(torch.export.export(graph, (image,), dynamic_shapes={"image": free}), size)
    except Exception as error:
        raise HarnessError(f"{model.config.model.name} cannot be traced: {shorten(error)}") from error


def shorten(error: Exception) -> str:
    """Return an error's message on one line, cut where it is long."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= MOST_REASON else f"{text[: MOST_REASON - 1]}…"

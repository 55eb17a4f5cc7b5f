"""A small catalog of its own, so that these tests stand whatever parts harness ships. Every name begins with toy_."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from harness.registry import Kind
from harness.settings import Count, Fraction, PathText, Positive, Size

MINIMAL = """\
study: toy
question: Does it work?
base:
  data: {name: toy_scenes}
  model: {name: toy_net}
  loss: {toy_entropy: {}}
  optimizer: {name: toy_descent, lr: 0.1}
  schedule: {name: toy_flat}
variants:
  plain: {}
"""


def toy_scenes(*, root: PathText = "here", count: Count = 8, raw_ids: dict[int, int] = {}) -> Any:  # noqa: B006
    """Scenes."""


def toy_photos(*, root: PathText) -> Any:
    """Photos from a folder."""


def toy_net(num_classes: int, /, *, width: Count = 8, weights: Literal["none", "default"] | PathText = "none") -> Any:
    """Return a small net; its width decides the shapes."""


def toy_tower(num_classes: int, /, *, backbone_weights: Literal["none", "default"] = "none") -> Any:
    """Return a net whose pretrained weights are chosen by another name."""


def toy_entropy(num_classes: int, /, *, class_weights: Literal["none", "rare"] | list[Positive] = "none") -> Any:
    """Cross-entropy."""


def toy_overlap(*, smooth: Positive = 1.0) -> Any:
    """Overlap."""


def toy_mirror(*, p: Fraction = 0.5) -> Any:
    """Mirror."""


def toy_cut(*, size: Size) -> Any:
    """Cut."""


def toy_descent(parameters: Any, /, *, lr: Positive, momentum: Fraction = 0.0) -> Any:
    """Gradient descent; the learning rate has no default."""


def toy_flat(*, steps: Count = 1) -> Any:
    """Stay."""


TOYS: dict[Kind, tuple[Callable[..., Any], ...]] = {
    "data": (toy_scenes, toy_photos),
    "model": (toy_net, toy_tower),
    "loss": (toy_entropy, toy_overlap),
    "augment": (toy_mirror, toy_cut),
    "optimizer": (toy_descent,),
    "schedule": (toy_flat,),
}

"""All that a module of your own needs to define parts: the one place to import from, whose names stay.

>>> from harness.plugin import Loss, NonNegative, part

What else `harness` holds may move from version to version. docs/adding-parts.md shows every name in use.
"""

from typing import TYPE_CHECKING, Any

from harness.data.images import read_bands, read_ids, read_image
from harness.data.pairs import Pair, make_source
from harness.data.source import IGNORE, Source, Split
from harness.data.taxonomy import Taxonomy
from harness.errors import InputError
from harness.parts.augment import Augment
from harness.parts.class_weights import weigh_classes
from harness.parts.geometric_transforms import Geometric, Transform
from harness.parts.losses import ClassWeighted, Loss
from harness.parts.sample import Sample
from harness.parts.schedules import Schedule
from harness.registry import part
from harness.settings import Count, Fraction, NonNegative, PathText, Positive, Size, Whole

if TYPE_CHECKING:
    from harness.models.network import Network, Stages

__all__ = [
    "IGNORE",
    "Augment",
    "ClassWeighted",
    "Count",
    "Fraction",
    "Geometric",
    "InputError",
    "Loss",
    "Network",
    "NonNegative",
    "Pair",
    "PathText",
    "Positive",
    "Sample",
    "Schedule",
    "Size",
    "Source",
    "Split",
    "Stages",
    "Taxonomy",
    "Transform",
    "Whole",
    "make_source",
    "part",
    "read_bands",
    "read_ids",
    "read_image",
    "weigh_classes",
]


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is first asked for: a spec with a plugin's loss is planned without torch."""
    if name not in ("Network", "Stages"):
        raise AttributeError(f"harness.plugin has no '{name}'")
    from harness.models import network

    return getattr(network, name)

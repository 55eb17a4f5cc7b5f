"""Whether an exported model gives what the run's own model gives, on real pictures. Letters: B, C, H, W."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.apply.export.formats import Artifact
from harness.apply.export.graph import Program
from harness.apply.export.images import Pictures
from harness.apply.model import Model
from harness.data.images import resize_image

AGREEMENT = 0.999
"""Least share of pixels whose label must be the same: equal scores of two classes may fall either way."""
TOLERANCE = 1e-3
"""Largest difference of logits, as a share of the largest logit: sums are computed in another order, no more."""
OTHER_SIZES = 3
"""Pictures that are also given at another size, together."""
Batch = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Parity:
    """How an exported model compares with the original (PyTorch, float32, same pictures)."""

    images: int
    source: str
    """Where the pictures are from."""
    shapes: tuple[tuple[int, int, int], ...]
    """Batch, height and width of what was given, each once."""
    max_difference: float
    """Of a logit."""
    max_logit: float
    agreement: float
    """Share of pixels with the same label."""
    passed: bool = field(init=False)

    def __post_init__(self) -> None:
        close = self.max_difference <= TOLERANCE * self.max_logit
        object.__setattr__(self, "passed", close and self.agreement >= AGREEMENT)

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)

    def describe(self) -> str:
        """Return it in one line."""
        shapes = ", ".join("x".join(map(str, shape)) for shape in self.shapes)
        return (
            f"largest difference of logits {self.max_difference:.1e} (largest logit {self.max_logit:.1f}), labels "
            f"agree on {100 * self.agreement:.4f} % of pixels; {self.images} pictures ({self.source}); batch x height "
            f"x width: {shapes}"
        )


def check_parity(model: Model, artifact: Artifact, pictures: Pictures, program: Program) -> Parity:
    """Compare on each picture at the size the run uses, and on a few together at another size that it claims to take.

    Raises:
        HarnessError: it stops at a size that it claims to take.
    """
    shapes: dict[tuple[int, int, int], None] = {}
    difference = largest = 0.0
    same = total = 0
    for batch_BHWC in _batches(model, pictures, program):
        wanted, got = model(list(batch_BHWC)).cpu().numpy(), artifact.run(batch_BHWC)
        shapes[(len(batch_BHWC), *batch_BHWC.shape[1:3])] = None
        difference = max(difference, float(np.abs(got - wanted).max()))
        largest = max(largest, float(np.abs(wanted).max()))
        same += int((got.argmax(axis=1) == wanted.argmax(axis=1)).sum())
        total += wanted[:, 0].size
    return Parity(len(pictures.names), pictures.source, tuple(shapes), difference, largest, same / total)


def _batches(model: Model, pictures: Pictures, program: Program) -> Iterator[Batch]:
    first = pictures.read(0)
    height, width = model.size or first.shape[:2]
    if program.size is None:  # first, because what a model cannot do shows here
        sides = ((side // program.multiple | 1) * program.multiple for side in (height * 3 // 4, width * 5 // 4))
        other = next(sides), next(sides)  # odd multiples: no model halves them further than it claims
        some = range(min(OTHER_SIZES, len(pictures.names)))
        yield np.stack([resize_image(pictures.read(place), other) for place in some])
    for place in range(len(pictures.names)):
        image = pictures.read(place)
        yield resize_image(image, model.size or image.shape[:2])[None]

"""Images as the model sees them: decoded and resized once, then read from a cache that all runs share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.data.cache import Mapped, Read, open_cache
from harness.data.images import resize_nearest, resize_pair
from harness.data.source import Depth, Image, Label, Split
from harness.data.taxonomy import Taxonomy
from harness.errors import RunFailed

Size = tuple[int, int] | Literal["native"]
"""Height and width in pixels, or those of the files."""
_RESIZING = "bilinear antialiased, labels and depth nearest"
"""Part of the caches' keys: say it otherwise when `resize_pair` changes a number."""


class Stacked(NamedTuple):
    """Several images of one size, each kind of array as one array."""

    images_BHWC: npt.NDArray[np.uint8]
    labels_BHW: npt.NDArray[np.uint8]
    depths_BHW: npt.NDArray[np.float32] | None


class PreparedSplit:
    """A split read at the model's input size, with each label also at the size where predictions are judged.

    The whole split is prepared when its first image is asked for. All arrays are read-only.
    """

    def __init__(
        self,
        split: Split,
        taxonomy: Taxonomy,
        size: Size,
        judge_at: Literal["native", "input"],
        *,
        with_depth: bool = False,
        cached: bool = True,
    ) -> None:
        self.names, self.groups = split.names, split.groups
        self._split = split
        self._taxonomy = taxonomy
        self._size = size
        self._judge_at = judge_at
        self._with_depth = with_depth
        self._cached = cached

    def __len__(self) -> int:
        return len(self.names)

    def pair(self, index: int) -> tuple[Image, Label]:
        """Return (image [H, W, 3], label [H, W]) at the model's input size."""
        arrays = self._pairs(index)
        return arrays["image"], arrays["label"]

    def stacked(self, indices: Sequence[int]) -> Stacked:
        """Return some images together, copied.

        Raises:
            RunFailed: sizes differ; two images are named.
        """
        # Of a cache whose images have one size, a batch is one copy; else images are put together one by one.
        if isinstance(self._pairs, Mapped):
            images, labels = (self._pairs.together(kind, indices) for kind in ("image", "label"))
            if images is not None and labels is not None:
                return Stacked(images, labels, self._stacked_depths(indices))
        pairs = [self.pair(index) for index in indices]
        require_one_size([label.shape for _, label in pairs], [self.names[index] for index in indices])
        images, labels = (np.stack(arrays) for arrays in zip(*pairs, strict=True))
        return Stacked(images, labels, self._stacked_depths(indices))

    def _stacked_depths(self, indices: Sequence[int]) -> npt.NDArray[np.float32] | None:
        return np.stack([self._depths(index)["depth"] for index in indices]) if self._has_depth else None

    @property
    def _has_depth(self) -> bool:
        return self._with_depth and self._split.read_depth is not None

    def judged_label(self, index: int) -> Label:
        """Return the label [H, W] at the size where predictions are judged."""
        pair = self._pairs(index)
        if self._judge_at == "input" or tuple(pair["native_size"]) == pair["label"].shape:
            return pair["label"]
        return self._native_labels(index)["label"]

    def depth(self, index: int) -> Depth | None:
        """Return inverse distance [H, W] at the model's input size; None where there is none or it was not asked for.

        Greater is nearer; NaN where unknown. Resized by nearest neighbour, so that unknown pixels stay unknown.
        """
        return self._depths(index)["depth"] if self._has_depth else None

    @cached_property
    def _pairs(self) -> Read:
        def read(index: int) -> dict[str, npt.NDArray[Any]]:
            image, label = self._split.read_image(index), self._split.read_label(index)
            native_size = np.array(label.shape, np.int32)
            if self._size != "native":
                image, label = resize_pair(image, label, self._size)
            return {"image": image, "label": label, "native_size": native_size}

        return self._cached_read("images and labels", self._size, read, self._taxonomy)

    @cached_property
    def _native_labels(self) -> Read:
        read_label = self._split.read_label
        return self._cached_read("labels", "native", lambda index: {"label": read_label(index)}, self._taxonomy)

    @cached_property
    def _depths(self) -> Read:
        def read(index: int) -> dict[str, Depth]:
            assert self._split.read_depth
            depth = self._split.read_depth(index)
            return {"depth": depth if self._size == "native" else resize_nearest(depth, self._size)}

        return self._cached_read("depth", self._size, read, None)

    def _cached_read(self, what: str, size: Size, read: Read, taxonomy: Taxonomy | None) -> Read:
        """Return `read` from a cache whose key says everything that decides its arrays."""
        import PIL

        if not self._cached:
            return read
        meaning = taxonomy and [taxonomy.classes, sorted(taxonomy.class_of.items())]
        content = [what, self._split.digest, self.names, meaning, size, _RESIZING, PIL.__version__]
        at = size if size == "native" else f"{size[0]}x{size[1]}"
        title = f"{what} of {len(self)} images at {at}{f', taxonomy {taxonomy.name}' if taxonomy else ''}"
        return open_cache(title, content, len(self), read, self._split.require_unchanged)


def require_one_size(shapes: Sequence[Sequence[int]], names: Sequence[str]) -> None:
    """Refuse images that cannot be one batch; `shapes` are (height, width).

    Raises:
        RunFailed: sizes differ; two images are named.
    """
    for shape, name in zip(shapes, names, strict=True):
        if tuple(shape) != tuple(shapes[0]):
            raise RunFailed(
                f"images of one batch differ in size: '{names[0]}' is {tuple(shapes[0])}, '{name}' is {tuple(shape)} "
                "(height, width); set data.size, or crop to one size with augment.crop"
            )

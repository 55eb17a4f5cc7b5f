"""Images as the model sees them: decoded and resized once, kept in memory while a budget lasts."""

from __future__ import annotations

from typing import Literal

from harness.data.images import resize_pair
from harness.data.source import Image, Label, Split


class PreparedSplit:
    """A split read at the model's input size, with each label also at the size where predictions are judged."""

    def __init__(
        self,
        split: Split,
        size: tuple[int, int] | Literal["native"],
        judge_at: Literal["native", "input"],
        budget_bytes: int,
    ) -> None:
        self.names = split.names
        self.groups = split.groups
        self._split = split
        self._size = size
        self._judge_at = judge_at
        self._budget_bytes = budget_bytes
        self._kept: dict[int, tuple[Image, Label, Label]] = {}

    def __len__(self) -> int:
        return len(self.names)

    def pair(self, index: int) -> tuple[Image, Label]:
        """Return (image [H, W, 3], label [H, W]) at the model's input size. Do not write into them."""
        image, label, _ = self._read(index)
        return image, label

    def judged_label(self, index: int) -> Label:
        """Return the label [H, W] at the size where predictions are judged. Do not write into it."""
        return self._read(index)[2]

    def _read(self, index: int) -> tuple[Image, Label, Label]:
        if index in self._kept:
            return self._kept[index]
        image, native = self._split.read_image(index), self._split.read_label(index)
        label = native
        if self._size != "native":
            image, label = resize_pair(image, native, self._size)
        entry = (image, label, native if self._judge_at == "native" else label)
        needed = sum(array.nbytes for array in {id(array): array for array in entry}.values())
        if needed <= self._budget_bytes:
            self._budget_bytes -= needed
            self._kept[index] = entry
        return entry

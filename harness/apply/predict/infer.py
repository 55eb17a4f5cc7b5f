"""Pictures -> class of each pixel, with confidence and entropy on request. Letters: C class, H, W, R rows, V view."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from harness.apply.model import Model
from harness.apply.predict import tiles
from harness.apply.predict.input_images import Picture
from harness.apply.predict.tiles import Strip, Tiling
from harness.data.images import read_picture, resize_image
from harness.data.source import Image, Label
from harness.errors import InputError

BATCH_BYTES = 512 * 2**20
"""Decoded pictures of one batch."""
_VERY_WIDE = 4
"""Width / height from which on a strip of columns needs so much less memory than one of rows that it matters."""
Map = npt.NDArray[np.uint16]
"""[H, W]; 0 to 65535 stand for 0 to 1."""
CERTAINTY: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "confidence": lambda probability_CRW: probability_CRW.amax(dim=0),
    "entropy": lambda probability_CRW: (
        torch.special.entr(probability_CRW).sum(dim=0) / max(math.log(probability_CRW.shape[0]), 1e-9)
    ),
}
"""How sure the model is of each pixel: the probability of the predicted class; and the entropy of the probabilities of
all classes, as a share of the largest possible, the logarithm of their number."""


@dataclass(frozen=True)
class Views:
    """How often each picture is looked at. Probabilities of several views are averaged at the picture's own size."""

    scales: tuple[float, ...] = (1.0,)
    """Factors on the size at which the model sees a picture."""
    flip: bool = False
    """Whether each scale is seen mirrored, too."""

    @property
    def number(self) -> int:
        """Return how many views there are of a picture."""
        return len(self.scales) * (1 + self.flip)


@dataclass(frozen=True)
class Predicted:
    """What the model sees in one picture, at the picture's size."""

    picture: Picture
    image: Image
    label: Label
    """[H, W], class indices."""
    turned: bool
    """Whether the picture was turned upright by its EXIF orientation."""
    tiling: Tiling | None
    """The tiles that it was cut into."""
    maps: Mapping[str, Map]
    """Those of `CERTAINTY` by name; empty where they were not asked for."""


@dataclass(frozen=True)
class FailedPicture:
    """A picture that could not be used."""

    picture: Picture
    reason: str
    """In words for the user; names the file."""


class Predictor:
    """Predicts pictures with one model, always in the same way."""

    def __init__(
        self, model: Model, views: Views, *, tiling: Tiling | None = None, limit: int = 4 * 2**30, maps: bool = False
    ) -> None:
        """Make one; without `tiling`, pictures whose forward pass would occupy more than `limit` bytes are cut up.

        Raises:
            InputError: tiles for a model that resizes every picture to one size, or tiles of no use.
        """
        if tiling is not None:
            if model.size is not None:
                height, width = model.size
                raise InputError(
                    f"--tile: this model sees every picture at {height}x{width} (data.size), so that it needs no more "
                    "memory for a large one; leave --tile out"
                )
            tiles.check_tiling(tiling)
        self._model, self._views, self._tiling, self._limit, self._maps = model, views, tiling, limit, maps

    def predict(self, pictures: Iterable[Picture]) -> Iterator[Predicted | FailedPicture]:
        """Yield what becomes of each picture, in order; pictures are read when their turn comes.

        Batches are those of the run's evaluation, so that all images of a split in order are predicted to the last bit
        as there.
        """
        failed: list[FailedPicture] = []
        size = 1 if self._model.size is None else self._model.config.evaluate.batch_size
        for batch in _batches(_read_all(pictures, failed), size):
            yield from _drain(failed)
            yield from self._predict_batch(batch)
        yield from _drain(failed)

    def _predict_batch(self, batch: Sequence[_Read]) -> Iterator[Predicted]:
        tiling = self._tiling_of(batch[0].image)
        if tiling is not None:
            yield from (self._measure_tiles(item, tiling) for item in batch)
            return
        # The model sees the batch together, as in the evaluation; scores at full size are made picture by picture.
        by_view = list(self._logits_by_view([item.image for item in batch]))
        for place, item in enumerate(batch):
            strips = tiles.strips_of([logits_BCHW[place] for logits_BCHW in by_view], item.image.shape[:2])
            yield self._measure(item, strips, None)

    def _measure_tiles(self, item: _Read, tiling: Tiling) -> Predicted:
        """Predict a picture in tiles; of one that is very wide, in strips of columns: scores are kept for a strip."""
        if not _is_very_wide(item.image):
            return self._measure(item, tiles.tiled_strips(self._scores, item.image, tiling), tiling)
        lying = Tiling(tiling.width, tiling.height, tiling.overlap)

        def scores_of(tile: Image) -> torch.Tensor:
            return self._scores(np.ascontiguousarray(tile.swapaxes(0, 1))).transpose(1, 2)

        return self._measure(
            item, tiles.tiled_strips(scores_of, item.image.swapaxes(0, 1), lying), tiling, columns=True
        )

    def _tiling_of(self, image: Image) -> Tiling | None:
        height, width = image.shape[:2]
        if self._model.size is not None:
            return None
        if self._tiling is not None:
            fits = height <= self._tiling.height and width <= self._tiling.width
            return None if fits else self._tiling
        return tiles.choose_tiling(
            *((width, height) if _is_very_wide(image) else (height, width)),
            bytes_per_pixel=self._bytes_per_pixel,
            num_classes=self._model.num_classes,
            limit=self._limit,
        )

    @cached_property
    def _bytes_per_pixel(self) -> float:
        return tiles.forward_bytes_per_pixel(self._model) * max(1.0, *self._views.scales) ** 2

    def _logits_by_view(self, images: Sequence[Image]) -> Iterator[torch.Tensor]:
        """Yield logits_BCHW of each view of pictures that the model sees at one size."""
        for scale in self._views.scales:
            height, width = self._model.size or images[0].shape[:2]
            size = (max(1, round(height * scale)), max(1, round(width * scale)))
            seen = [resize_image(image, size) for image in images]
            yield self._model(seen)
            if self._views.flip:
                yield self._model([image[:, ::-1] for image in seen]).flip(-1)

    def _scores(self, tile: Image) -> torch.Tensor:
        """Return scores_CHW of a tile: logits of one view, the mean of several views' probabilities."""
        by_view = [logits_BCHW[0] for logits_BCHW in self._logits_by_view([tile])]
        return torch.cat([strip.scores_CRW for strip in tiles.strips_of(by_view, tile.shape[:2])], dim=1)

    def _measure(
        self, item: _Read, strips: Iterable[Strip], tiling: Tiling | None, *, columns: bool = False
    ) -> Predicted:
        """Return what strips of scores mean; with `columns` they are those of the picture with its axes swapped."""
        height, width = item.image.shape[:2]
        label = np.empty((height, width), np.uint8)
        maps: dict[str, Map] = {name: np.empty((height, width), np.uint16) for name in CERTAINTY if self._maps}
        label_HW = label.T if columns else label
        for strip in _cut(strips):
            rows = slice(strip.top, strip.top + strip.scores_CRW.shape[1])
            label_HW[rows] = strip.scores_CRW.argmax(dim=0).to(torch.uint8).cpu().numpy()
            if maps:
                scores_CRW = strip.scores_CRW
                probability_CRW = scores_CRW if self._views.number > 1 else scores_CRW.softmax(dim=0)
                for name, values in maps.items():
                    shares_RW = CERTAINTY[name](probability_CRW).clamp(0, 1)
                    (values.T if columns else values)[rows] = (shares_RW * 65535 + 0.5).to(torch.int32).cpu().numpy()
        return Predicted(item.picture, item.image, label, item.turned, tiling, maps)


def _is_very_wide(image: Image) -> bool:
    height, width = image.shape[:2]
    return bool(width > _VERY_WIDE * height)


@dataclass(frozen=True)
class _Read:
    picture: Picture
    image: Image
    turned: bool


def _read_all(pictures: Iterable[Picture], failed: list[FailedPicture]) -> Iterator[_Read]:
    for picture in pictures:
        try:
            image, turned = read_picture(picture.path)
        except InputError as error:
            failed.append(FailedPicture(picture, str(error)))
        else:
            yield _Read(picture, image, turned)


def _drain(failed: list[FailedPicture]) -> Iterator[FailedPicture]:
    while failed:
        yield failed.pop(0)


def _batches(items: Iterable[_Read], size: int) -> Iterator[list[_Read]]:
    """Yield batches as `harness.train.batches.cut` makes them, of as few pictures as `BATCH_BYTES` hold.

    One picture left over joins the batch before it.
    """
    waiting: list[_Read] = []
    for item in items:
        waiting.append(item)
        # Two are waited for beyond a full batch: only then is it sure that the next one will not be left over alone.
        if len(waiting) == size + 2:
            yield waiting[:size]
            waiting = waiting[size:]
        elif sum(read.image.nbytes for read in waiting) > BATCH_BYTES:
            yield from [[read] for read in waiting] if size == 1 else [waiting]
            waiting = []
    if waiting:
        yield from [[read] for read in waiting] if size == 1 else [waiting]


def _cut(strips: Iterable[Strip]) -> Iterator[Strip]:
    """Yield strips of which none is much larger than `STRIP_BYTES`."""
    for strip in strips:
        num_classes, rows, width = strip.scores_CRW.shape
        step = max(1, tiles.STRIP_BYTES // (4 * num_classes * width))
        for top in range(0, rows, step):
            yield Strip(strip.top + top, strip.scores_CRW[:, top : top + step])

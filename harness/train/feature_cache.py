"""The feature cache: what frozen layers make of each image, where every epoch would compute the same again."""

from __future__ import annotations

import logging
import math
import os
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence, Sized
from typing import Any

import numpy as np
import torch

from harness.data.digests import cache_folder
from harness.files import require_room
from harness.models.network import Features, Network, Stages
from harness.records import RunConfig

LOG = logging.getLogger(__name__)
MEMORY_BYTES = 256 * 2**20
"""Features of one split that are kept in memory; more lie in a file that is mapped."""
FILE_BYTES = 8 * 2**30
"""Features of one split that are kept at all; the disk must have twice the room, so that checkpoints find theirs."""


class FeatureCache:
    """The features of one split's images: what leaves the frozen layers of a network.

    They are computed batch by batch, as without a cache, and kept image by image. A batch whose images are all known is
    put together again, with the strides that it had. Which kernel computes a batch depends on its size, so that an
    image's features do too, in the last bits; they do not depend on its neighbours or its place. Hence they are kept of
    batches of one size only (`full`), or, where the batches are the same in every epoch (`full` None), of all.

    That neighbours do not matter is not taken on trust: the first batch put together is also computed, and compared bit
    for bit. Where they differ nothing is kept any more. Of what lies in a file each image has a CRC-32, without which
    what is read back is not believed.
    """

    def __init__(self, stages: Stages, images: int, full: int | None) -> None:
        self.stages = stages
        self.trusted: bool | None = None
        """Whether the first batch put together was, bit for bit, what computing gave; None before."""
        self._images = images
        self._full = full
        self._known = np.zeros(images, bool)
        self._checksums: dict[int, int] | None = None
        """Place of an image -> CRC-32 of its features, where they lie in a file."""
        self._stores: Features | None = None
        self._off = False

    def output(self, places: Sequence[int], images: Callable[[], torch.Tensor], size: tuple[int, int]) -> Any:
        """Return what the module would, of a batch of images (their places in the split, themselves, [H, W])."""
        return self.stages.rest(self._features(list(places), images), size)

    def _features(self, places: list[int], images: Callable[[], torch.Tensor]) -> Features:
        if self._off or self._full not in (None, len(places)):
            return self.stages.features(images())
        # What a file gives back otherwise than it was kept is forgotten, and computed anew with the rest of the batch.
        self._known[places] &= [self._is_whole(place) for place in places]
        if not self._known[places].all():
            features = self.stages.features(images())
            self._store(places, features)
            return features
        stacked = self._stack(places)
        # The first batch that could be put together is computed all the same: a network whose features depend on an
        # image's neighbours would else be trained on others than without a cache.
        if self.trusted is None:
            computed = self.stages.features(images())
            self.trusted = all(map(torch.equal, computed, stacked))
            if not self.trusted:
                self._stop("computed among other images they differ in their last bits")
            return computed
        return stacked

    def _store(self, places: list[int], features: Features) -> None:
        if self._stores is None:
            self._open(features)
        if self._stores is None or any(a.stride() != b.stride() for a, b in zip(self._stores, features, strict=True)):
            return  # a batch of another size may lie otherwise in memory
        for store, feature in zip(self._stores, features, strict=True):
            for place, of_image in zip(places, feature, strict=True):
                store[place].copy_(of_image)
        self._known[places] = True
        if self._checksums is not None:
            self._checksums.update({place: _checksum(self._stores, place) for place in places})

    def _is_whole(self, place: int) -> bool:
        """Tell whether the features of an image are as they were kept; those that are not known yet are."""
        if self._checksums is None or self._stores is None or place not in self._checksums:
            return True
        return _checksum(self._stores, place) == self._checksums[place]

    def _stack(self, places: list[int]) -> Features:
        assert self._stores is not None
        batches = []
        for store in self._stores:
            batch = torch.empty_strided((len(places), *store.shape[1:]), store.stride(), dtype=store.dtype)
            for of_image, place in zip(batch, places, strict=True):
                of_image.copy_(store[place])
            batches.append(batch)
        return tuple(batches)

    def _open(self, features: Features) -> None:
        """Make room for all images; say in the run's log where it is."""
        total = self._images * sum(feature[0].numel() * feature.element_size() for feature in features)
        if not all(map(_is_dense, features)) or total > FILE_BYTES:
            self._stop(f"they would take {total / 2**30:.1f} GiB" if total > FILE_BYTES else "they are views")
            return
        try:
            if total > MEMORY_BYTES:
                cache_folder().mkdir(parents=True, exist_ok=True)
                require_room(cache_folder(), 2 * total)
            self._stores = tuple(_make_store(self._images, feature, total <= MEMORY_BYTES) for feature in features)
            self._checksums = {} if total > MEMORY_BYTES else None
        except OSError as error:
            self._stop(f"{cache_folder()}: {error.strerror}")
            return
        where = "in memory" if total <= MEMORY_BYTES else f"in a file below {cache_folder()}"
        LOG.info("features of frozen layers, %d images: kept, %.0f MiB %s", self._images, total / 2**20, where)

    def _stop(self, reason: str) -> None:
        self._off, self._stores = True, None
        LOG.info("features of frozen layers, %d images: not kept (%s)", self._images, reason)


def _checksum(stores: Features, place: int) -> int:
    """Return the CRC-32 of the features of one image, which lie without gaps."""
    found = 0
    for store in stores:
        count = math.prod(store.shape[1:])
        found = zlib.crc32(store.as_strided((count,), (1,), place * count).numpy().data, found)
    return found


def _is_dense(feature: torch.Tensor) -> bool:
    """Tell whether a batch's elements lie without gaps, image after image."""
    gapless = torch.empty_like(feature).stride() == feature.stride()
    return not feature.numel() or (gapless and feature.stride(0) == math.prod(feature.shape[1:]))


def _make_store(images: int, feature: torch.Tensor, in_memory: bool) -> torch.Tensor:
    """Return room for the feature of so many images, each with the strides that it has in the batch.

    Memory is written at once, so that a plan's probe sees what a run will take; a file's room is taken at once, since a
    disk that fills up later would kill the process. The file has no name: it is gone with the process.
    """
    shape, stride = (images, *feature.shape[1:]), feature.stride()
    with torch.inference_mode(False):
        if in_memory or not feature.numel():
            return torch.empty_strided(shape, stride, dtype=feature.dtype).zero_()
        with tempfile.TemporaryFile(dir=cache_folder()) as file:
            count = math.prod(shape) * feature.element_size()
            os.posix_fallocate(file.fileno(), 0, count)
            flat = torch.from_numpy(np.memmap(file, np.uint8, "r+", shape=(count,)))
        return flat.view(feature.dtype).as_strided(shape, stride)


def make_feature_caches(
    config: RunConfig, network: Network, splits: Mapping[str, Sized], evaluated: str
) -> dict[str, FeatureCache]:
    """Return a run's feature caches, by split: none where an epoch's features differ from those of the last.

    Of the training split without augmentation, and of the split that is evaluated after each epoch. Each image must
    have the one size, and the arithmetic must be float32 on the CPU, for which bit-identity was measured.
    """
    stages = network.stages.get(config.model.freeze)
    # What is compiled is the whole network, whose parts may round otherwise alone.
    plain = config.train.precision == "float32" and config.train.compile == "none"
    if stages is None or config.data.size == "native" or not plain:
        return {}
    caches = {evaluated: FeatureCache(stages, len(splits[evaluated]), None)}
    if not config.augment:
        caches["train"] = FeatureCache(stages, len(splits["train"]), config.train.batch_size)
    return caches

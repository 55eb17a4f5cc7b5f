"""GPU data sets: the images of whole splits on the device, where a batch is indexed, not read and sent."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import torch

from harness.data.prepared import PreparedSplit
from harness.errors import is_out_of_memory
from harness.records import RunConfig
from harness.train.batches import Batch, bytes_of_image, read_images, send

LOG = logging.getLogger(__name__)
SHARE = 0.25
"""Of the device's free memory, for all splits together: the rest is the network's."""
AT_ONCE = 64
"""Images sent together."""
ORDER = ("train", "select", "val", "test")
"""Of splits, by how often they are used."""


class GpuDataset:
    """All images of a split as three tensors. The bytes are those of the split: no number depends on where they lie."""

    def __init__(self, split: PreparedSplit, device: torch.device) -> None:
        images = len(split)
        self._whole = read_images(split, [0]).map(
            lambda one: torch.empty((images, *one.shape[1:]), dtype=one.dtype, device=device)
        )
        for first in range(0, images, AT_ONCE):
            places = range(first, min(first + AT_ONCE, images))
            for whole, part in zip(self._whole[:3], read_images(split, places)[:3], strict=True):
                if whole is not None and part is not None:
                    whole[first : first + len(places)].copy_(part)

    def batch(self, places: Sequence[int]) -> Batch:
        """Return some images as a batch on the device; a GPU is not waited for."""
        index_B = send(torch.tensor(places), self._whole.labels_BHW.device)
        return self._whole.map(lambda one: one[index_B])._replace(places=tuple(places))


def load_gpu_datasets(
    config: RunConfig, splits: Mapping[str, PreparedSplit], device: torch.device, room: int
) -> dict[str, GpuDataset]:
    """Return by split what is to lie on a device that has so many bytes to spare; the most used splits first.

    Images must have one size. The training split lies there unless its augmentations are made one by one on the host.
    """
    if config.data.size == "native" or not room:
        return {}
    augmented_here = config.augment and config.train.augment_as == "steps"
    loaded: dict[str, GpuDataset] = {}
    for name in sorted(splits, key=ORDER.index):
        if name == "train" and augmented_here:
            continue
        needed = len(splits[name]) * bytes_of_image(config)
        try:
            if needed <= room:
                loaded[name] = GpuDataset(splits[name], device)
                room -= needed
        except (RuntimeError, MemoryError) as error:  # another process was faster
            if not is_out_of_memory(error):
                raise
        where = "on the device" if name in loaded else "in the main memory: the device has no room"
        LOG.info("images of %s, %d: %.0f MiB, %s", name, len(splits[name]), needed / 2**20, where)
    return loaded


def spare_bytes(device: torch.device) -> int:
    """Return the bytes of a device that images may take: none on a CPU, in whose memory they are already."""
    return int(SHARE * torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else 0

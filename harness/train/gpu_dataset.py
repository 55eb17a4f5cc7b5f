"""A split's images on the run's device, where a GPU has room for them: a batch is then indexed, not read and sent."""

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


class ResidentSplit:
    """All images of a split as three tensors. The bytes are those of the split: no number depends on where they lie."""

    def __init__(self, split: PreparedSplit, device: torch.device) -> None:
        wholes = [
            None if one is None else torch.empty((len(split), *one.shape[1:]), dtype=one.dtype, device=device)
            for one in read_images(split, [0])[:3]
        ]
        for first in range(0, len(split), AT_ONCE):
            places = range(first, min(first + AT_ONCE, len(split)))
            part = read_images(split, places)
            for whole, of_part in zip(wholes, part[:3], strict=True):
                if whole is not None and of_part is not None:
                    whole[first : first + len(places)].copy_(of_part)
        images_NCHW, labels_NHW, depths_NHW = wholes
        assert images_NCHW is not None
        assert labels_NHW is not None
        self._whole = Batch(images_NCHW, labels_NHW, depths_NHW)

    def batch(self, places: Sequence[int]) -> Batch:
        """Return some images as a batch on the device; a GPU is not waited for."""
        images_NCHW, labels_NHW, depths_NHW, _ = self._whole
        index_B = send(torch.tensor(places), images_NCHW.device)
        return Batch(
            images_NCHW[index_B],
            labels_NHW[index_B],
            None if depths_NHW is None else depths_NHW[index_B],
            tuple(places),
        )


def keep_resident(
    config: RunConfig, splits: Mapping[str, PreparedSplit], device: torch.device, room: int
) -> dict[str, ResidentSplit]:
    """Return by split what is to lie on a device that has so many bytes to spare; the most used splits first.

    Images must have one size. The training split lies there unless its augmentations are made one by one on the host.
    """
    if config.data.size == "native" or not room:
        return {}
    augmented_here = config.augment and config.train.augment_as == "steps"
    wanted = {name: split for name, split in splits.items() if name != "train" or not augmented_here}
    resident: dict[str, ResidentSplit] = {}
    for name, split in sorted(wanted.items(), key=lambda item: ORDER.index(item[0])):
        needed = len(split) * bytes_of_image(config)
        lying = _send_all(split, device) if needed <= room else None
        where = "on the device" if lying else "in the main memory: the device has no room"
        LOG.info("images of %s, %d: %.0f MiB, %s", name, len(split), needed / 2**20, where)
        if lying:
            resident[name] = lying
            room -= needed
    return resident


def _send_all(split: PreparedSplit, device: torch.device) -> ResidentSplit | None:
    """Return a split on a device; None where memory runs out, since another process was faster."""
    try:
        return ResidentSplit(split, device)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return None


def spare_bytes(device: torch.device) -> int:
    """Return the bytes of a device that images may take: none on a CPU, in whose memory they are already."""
    return int(SHARE * torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else 0

"""Class scores of one picture at its own size, a strip of rows at a time, so that memory stays bounded.

Letters: C class, H, W, R rows of a strip, V view (one flip and scale of a picture).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch.nn import functional

WHOLE_BYTES = 512 * 2**20
"""Up to this size, logits are interpolated whole, as evaluation does: the same numbers to the last bit."""
STRIP_BYTES = 64 * 2**20
"""Scores of one strip."""


class Strip(NamedTuple):
    """Scores of some rows of a picture."""

    top: int
    """Row of the picture that is the first of the strip."""
    scores_CRW: torch.Tensor
    """Logits, or probabilities where these are averages of several views."""


def strips_of(views: Sequence[torch.Tensor], size: tuple[int, int]) -> Iterator[Strip]:
    """Yield scores at a size [H, W] from the top down, given logits_CHW of each view at whatever size it has.

    One view gives its logits; several give the mean of their probabilities at full size.
    """
    height, width = size
    num_classes = views[0].shape[0]
    rows = max(1, STRIP_BYTES // (4 * num_classes * width))
    tops = range(0, height, rows)
    limit = WHOLE_BYTES // len(views)
    by_view = [
        _enlarged(logits_CHW, size, [(top, min(top + rows, height)) for top in tops], limit) for logits_CHW in views
    ]
    for top, *parts in zip(tops, *by_view, strict=True):
        yield Strip(top, parts[0] if len(parts) == 1 else mean_probability(parts))


def mean_probability(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the mean of the probabilities of logits of one shape, classes first."""
    total = torch.zeros_like(parts[0])
    for logits in parts:
        total += logits.softmax(dim=0)
    return total / len(parts)


def _enlarged(
    logits_CHW: torch.Tensor, size: tuple[int, int], bounds: Sequence[tuple[int, int]], limit: int
) -> Iterator[torch.Tensor]:
    """Yield the rows between some bounds of bilinearly interpolated logits (align_corners false), [C, R, W]."""
    if 4 * logits_CHW.shape[0] * size[0] * size[1] <= limit or tuple(logits_CHW.shape[1:]) == size:
        whole_CHW = logits_CHW
        if tuple(logits_CHW.shape[1:]) != size:
            whole_CHW = functional.interpolate(logits_CHW[None], size=size, mode="bilinear", align_corners=False)[0]
        for top, bottom in bounds:
            yield whole_CHW[:, top:bottom]
        return
    for top, bottom in bounds:
        yield interpolate_rows(logits_CHW, size, top, bottom)


def interpolate_rows(logits_CHW: torch.Tensor, size: tuple[int, int], top: int, bottom: int) -> torch.Tensor:
    """Return rows `top` to `bottom` of logits interpolated to a size [H, W], as `functional.interpolate` of the whole.

    Equal to it but for the last bits: it takes the two directions one after the other.
    """
    height = logits_CHW.shape[1]
    row_R = torch.arange(top, bottom, dtype=torch.float32, device=logits_CHW.device)
    source_R = ((row_R + 0.5) * (height / size[0]) - 0.5).clamp(min=0)
    above_R = source_R.long().clamp(max=height - 1)
    below_R = (above_R + 1).clamp(max=height - 1)
    share_R1 = (source_R - above_R)[:, None]
    first, last = int(above_R[0]), int(below_R[-1]) + 1
    wide = functional.interpolate(
        logits_CHW[None, :, first:last], size=(last - first, size[1]), mode="bilinear", align_corners=False
    )[0]
    return wide[:, above_R - first] * (1 - share_R1) + wide[:, below_R - first] * share_R1

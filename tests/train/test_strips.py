"""Labels made chunk by chunk are those of the whole, bit for bit, and take little memory."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from harness.train import chunked_argmax
from harness.train.chunked_argmax import label_pixels

torch.set_num_threads(1)


def resized(logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    if tuple(logits.shape[1:]) == size:
        return logits
    return functional.interpolate(logits[None], size=size, mode="bilinear", align_corners=False)[0]


def label_whole(logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return the labels by the definition: everything at full size, then argmax."""
    return resized(logits, size).argmax(dim=0).to(torch.uint8)


def draw_logits(seed: int, shape: tuple[int, int, int], channels_last: bool) -> torch.Tensor:
    logits = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return logits[None].contiguous(memory_format=torch.channels_last)[0] if channels_last else logits


classes = st.integers(1, 40)
seeds = st.integers(0, 2**32 - 1)
sides = st.tuples(st.integers(1, 60), st.integers(1, 160))
"""Columns of the logits and of the labels."""


@settings(max_examples=150, deadline=None)
@given(seeds, classes, sides, st.booleans(), st.tuples(st.integers(1, 9), st.integers(0, 5), st.integers(1, 40)))
def test_strips_of_rows_are_the_whole_bit_for_bit(seed, num_classes, sides, channels_last, ratio):
    """Heights in a ratio of any number to a power of two; up, down and unchanged; strips of as few rows as allowed."""
    (columns, width), (above, power, blocks) = sides, ratio
    logits = draw_logits(seed, (num_classes, above * blocks, columns), channels_last)
    size = (2**power * blocks, width)
    assert chunked_argmax._count_blocks(above * blocks, size[0]) % blocks == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunked_argmax, "CHUNK_BYTES", 1)
        chunks = [chunk.clone() for chunk in chunked_argmax._cut_rows(logits, *size)]
        labels = label_pixels(logits, size)
    if 2**power * blocks > 2 * chunked_argmax.TINY:
        assert len(chunks) > 1
    assert torch.equal(torch.cat(chunks, dim=1), resized(logits, size))
    assert torch.equal(labels, label_whole(logits, size))


@settings(max_examples=150, deadline=None)
@given(seeds, classes, sides, sides, st.booleans())
def test_groups_of_classes_are_the_whole_bit_for_bit(seed, num_classes, rows, columns, channels_last):
    logits = draw_logits(seed, (num_classes, rows[0], columns[0]), channels_last)
    size = (rows[1], columns[1])
    groups = [
        chunked_argmax._resize_group(logits, first, size) for first in range(0, num_classes, chunked_argmax.GROUP)
    ]
    assert torch.equal(torch.cat(groups), resized(logits, size))
    assert (chunked_argmax._label_by_groups(logits, *size) == label_whole(logits, size).numpy()).all()


@settings(max_examples=100, deadline=None)
@given(seeds, classes, st.tuples(st.integers(1, 70), st.integers(1, 70)), st.booleans(), st.sampled_from([0, 1, 4]))
def test_equal_logits_and_those_that_are_no_numbers_are_labelled_as_by_argmax(seed, num_classes, size, last, step):
    """Without interpolation; logits rounded so that many are equal, some infinite, some NaN."""
    logits = draw_logits(seed, (num_classes, *size), last)
    logits = (logits * step).round() if step else logits
    where = torch.rand(logits.shape, generator=torch.Generator().manual_seed(seed))
    logits[where < 0.02] = torch.inf
    logits[where > 0.98] = -torch.inf
    if seed % 2:
        logits[(where > 0.5) & (where < 0.51)] = torch.nan
    assert torch.equal(label_pixels(logits, size), label_whole(logits, size))


@pytest.mark.parametrize("shape", [(5, 6, 300), (5, 7, 300)])
def test_a_nan_is_the_greatest_in_interpolated_logits_too(shape, monkeypatch):
    monkeypatch.setattr(chunked_argmax, "CHUNK_BYTES", 1)
    logits = draw_logits(0, shape, channels_last=True)
    logits[3, 2, 100] = logits[1, 2, 101] = torch.nan
    for size in ((12, 400), (9, 400)):
        assert torch.equal(label_pixels(logits, size), label_whole(logits, size))


@pytest.mark.parametrize(
    ("rows_in", "rows_out", "blocks"),
    [
        (512, 1024, 512),
        (96, 1024, 32),
        (1024, 512, 512),
        (99, 99, 99),
        (512, 1080, 1),
        (4096, 4095, 1),
        (8190, 8192, 1),
    ],
)
def test_which_heights_are_cut_and_where(rows_in, rows_out, blocks):
    assert chunked_argmax._count_blocks(rows_in, rows_out) == blocks


def test_labels_come_back_as_uint8_of_the_size_asked_for():
    labels = label_pixels(draw_logits(0, (3, 4, 5), channels_last=False), (7, 11))
    assert labels.dtype == torch.uint8
    assert labels.shape == (7, 11)
    assert isinstance(labels.numpy(), np.ndarray)

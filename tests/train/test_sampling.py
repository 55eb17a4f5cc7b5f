"""A batch sampled once is what the augmentations make one by one: exactly, or within what is written down."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

import harness.data
from harness import registry
from harness.data.images import resize_pair
from harness.data.source import IGNORE
from harness.parts.geometric_transforms import GREY
from harness.parts.sample import Sample
from harness.randomness import make_rng
from harness.train import batch_augment
from harness.train.batch_augment import augment_batch
from harness.train.batches import Batch, stack

torch.set_num_threads(1)
SEED, EPOCH = 3, 7


@pytest.fixture(scope="module")
def scenes() -> list[Sample]:
    """Eight drawn scenes of 96x128, with depth."""
    chosen = registry.choose(
        "data", "desert", {"size": [96, 128], "train_images": 8, "val_images": 2, "test_images": 1}
    )
    split = harness.data.open_source(chosen, 0).splits["train"]
    pairs = [resize_pair(split.read_image(i), split.read_label(i), (96, 128)) for i in range(8)]
    depth = torch.arange(96 * 128, dtype=torch.float32).view(96, 128)
    return [
        Sample(torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))), torch.from_numpy(label.copy()), depth)
        for image, label in pairs
    ]


def build(*steps):
    return [registry.build("augment", registry.choose("augment", name, options)) for name, options in steps]


def name_all(samples):
    return [f"image {index}" for index in range(len(samples))]


def one_by_one(samples, augment) -> list[Sample]:
    made = []
    for sample, name in zip(samples, name_all(samples), strict=True):
        rng = make_rng(SEED, "augment", EPOCH, name)
        for step in augment:
            sample = step(sample, rng)
        made.append(sample)
    return made


def both(samples, *steps) -> tuple[Batch, Batch]:
    """Return the batch by steps, and by one sampling."""
    augment, names = build(*steps), name_all(samples)
    together = augment_batch(stack(samples, names), names, augment, seed=SEED, epoch=EPOCH)
    return stack(one_by_one(samples, augment), names), together


def assert_equal(expected: Batch, found: Batch) -> None:
    assert torch.equal(expected.images_BCHW, found.images_BCHW)
    assert torch.equal(expected.labels_BHW, found.labels_BHW)
    assert torch.equal(expected.depths_BHW.nan_to_num(-1), found.depths_BHW.nan_to_num(-1))


def near_borders(labels_BHW: torch.Tensor, reach: int) -> torch.Tensor:
    """Return which pixels have another label within `reach` rows and columns."""
    window = {"kernel_size": 2 * reach + 1, "stride": 1, "padding": reach}
    values_BHW = labels_BHW.float()
    return functional.max_pool2d(values_BHW, **window) != -functional.max_pool2d(-values_BHW, **window)


exact = st.one_of(
    st.just(("flip", {"p": 0.5})),
    st.tuples(st.integers(20, 150), st.integers(20, 150)).map(lambda size: ("crop", {"size": list(size)})),
    st.just(("colour", {})),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(exact, min_size=1, max_size=4))
def test_mirrors_and_windows_are_the_same_bit_for_bit(scenes, steps):
    """Windows within the image and over its border, with steps between that move nothing."""
    assert_equal(*both(scenes, *steps))


@pytest.mark.parametrize(
    "step",
    [("rotate", {"degrees": 40.0}), ("scale", {"low": 1.7, "high": 1.7}), ("scale", {"low": 0.6, "high": 0.6})],
    ids=str,
)
def test_one_turn_or_resize_takes_the_same_pixels_but_where_two_are_equally_near(scenes, step):
    expected, found = both(scenes, step)
    assert (expected.labels_BHW != found.labels_BHW).float().mean() < 0.001
    assert (expected.depths_BHW.nan_to_num(-1) != found.depths_BHW.nan_to_num(-1)).float().mean() < 0.01


def test_enlarging_is_the_same_to_one_grey_level(scenes):
    expected, found = both(scenes, ("scale", {"low": 1.3, "high": 1.3}))
    assert (expected.images_BCHW.int() - found.images_BCHW.int()).abs().max() <= 1


def test_turning_is_the_same_to_one_grey_level_but_at_what_comes_into_view(scenes):
    expected, found = both(scenes, ("rotate", {"degrees": 40.0}))
    white = [sample._replace(image_CHW=torch.full_like(sample.image_CHW, 255)) for sample in scenes]
    blended = both(white, ("rotate", {"degrees": 40.0}))[0].images_BCHW < 255
    far = (expected.images_BCHW.int() - found.images_BCHW.int()).abs() > 1
    assert far.any()
    assert not (far & ~blended).any()
    made_up = expected.labels_BHW == IGNORE
    assert made_up.any()
    assert (found.images_BCHW.movedim(1, -1)[made_up] == GREY).all()


def test_shrinking_differs_by_a_few_grey_levels_in_the_mean(scenes):
    """The steps shrink without aliasing, and one sampling does not."""
    expected, found = both(scenes, ("scale", {"low": 0.5, "high": 0.5}))
    assert 0.5 < (expected.images_BCHW.float() - found.images_BCHW.float()).abs().mean() < 4


def test_several_moves_label_the_same_pixels_but_along_borders(scenes):
    """Nearest neighbours of nearest neighbours are off by up to a pixel in each step."""
    steps = ("rotate", {"degrees": 20.0}), ("scale", {}), ("crop", {"size": [96, 112]}), ("flip", {})
    expected, found = both(scenes, *steps)
    differ = expected.labels_BHW != found.labels_BHW
    assert differ.any()
    assert differ.float().mean() < 0.05
    reach = 4  # a pixel, doubled by scale, in each of two steps
    at_border = near_borders(expected.labels_BHW, reach) | near_borders(found.labels_BHW, reach)
    assert not (differ & ~at_border).any()


def test_what_left_the_picture_does_not_come_back(scenes):
    """A crop, then a turn: beyond the window there is scenery, which the turn must not bring into view."""
    expected, found = both(scenes, ("crop", {"size": [48, 48]}), ("rotate", {"degrees": 45.0}))
    assert (expected.labels_BHW == IGNORE).any()
    assert torch.equal(expected.labels_BHW, found.labels_BHW)


def test_how_many_go_together_changes_nothing(scenes, monkeypatch):
    steps = ("rotate", {"degrees": 20.0}), ("scale", {}), ("crop", {"size": [96, 112]}), ("flip", {})
    _, together = both(scenes, *steps)
    monkeypatch.setattr(batch_augment, "PIXELS_AT_ONCE", 3 * 96 * 112)
    assert_equal(together, both(scenes, *steps)[1])


def test_images_of_other_sizes_in_between_and_no_depth(scenes):
    samples = [sample._replace(depth_HW=None) for sample in scenes]
    expected, found = both(samples, ("scale", {}), ("colour", {}), ("crop", {"size": [64, 64]}))
    assert found.depths_BHW is None
    assert found.images_BCHW.shape == expected.images_BCHW.shape == (8, 3, 64, 64)
    assert (expected.labels_BHW != found.labels_BHW).float().mean() < 0.01

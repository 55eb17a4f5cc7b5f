"""Contract of every augmentation in the catalog, and what each does to a picture one can check by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shipped import shipped_names

from harness import registry
from harness.errors import InputError
from harness.parts.geometric_transforms import GREY
from harness.parts.sample import Sample

torch.set_num_threads(1)
REQUIRED = {"rotate": {"degrees": 30.0}, "crop": {"size": [20, 24]}}
AUGMENTS = shipped_names("augment")
CASES = [(name, REQUIRED.get(name, {})) for name in AUGMENTS] + [
    ("crop", {"size": [60, 60]}),
    ("scale", {"low": 0.06, "high": 0.07}),
    ("colour", {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.5}),
    ("blur", {"p": 1.0, "low": 30.0, "high": 40.0}),
]


def build_step(name: str, options: dict):
    return registry.build("augment", registry.choose("augment", name, options))


def build(name: str, options: dict):
    """Return a step that takes and returns picture and label alone."""
    step = build_step(name, options)
    return lambda image, label, rng: step(Sample(image, label), rng)[:2]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def picture(height: int = 33, width: int = 41, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise whose label can be read from the image: red is 40 times the class (0 to 5, but never 3)."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.tensor([0, 1, 2, 4, 5], dtype=torch.uint8)[torch.randint(5, (height, width), generator=generator)]
    image = torch.randint(256, (3, height, width), dtype=torch.uint8, generator=generator)
    image[0] = 40 * label
    return image, label


@pytest.fixture(params=CASES, ids=str)
def step(request):
    return build(*request.param)


@pytest.mark.parametrize("seed", range(8))
def test_types_sizes_and_labels(step, seed):
    image, label = picture()
    image[:, :4], label[:4] = 0, 255
    new_image, new_label = step(image, label, rng(seed))
    assert (new_image.dtype, new_label.dtype) == (torch.uint8, torch.uint8)
    assert new_image.shape == (3, *new_label.shape)
    assert set(new_label.unique().tolist()) <= {0, 1, 2, 4, 5, 255}


def test_the_generator_alone_decides(step):
    image, label = picture()
    for seed in range(4):
        torch.manual_seed(seed)
        first = step(image, label, rng(seed))
        torch.manual_seed(99)
        again = step(image, label, rng(seed))
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_the_given_picture_is_not_changed(step):
    image, label = picture()
    kept = image.clone(), label.clone()
    for seed in range(4):
        step(image, label, rng(seed))
    assert torch.equal(image, kept[0])
    assert torch.equal(label, kept[1])


@pytest.mark.parametrize("name", AUGMENTS)
def test_draws_differ(name):
    image, label = picture()
    results = [build(name, REQUIRED.get(name, {}))(image, label, rng(seed))[0] for seed in range(12)]
    assert any(a.shape != results[0].shape or not torch.equal(a, results[0]) for a in results[1:])


@pytest.mark.parametrize("name", ["flip", "rotate", "blur"])
def test_probabilities_are_kept(name):
    image, label = picture(9, 9)
    step = build(name, {**REQUIRED.get(name, {}), "p": 0.25})
    generator = rng(7)
    changed = sum(not torch.equal(step(image, label, generator)[0], image) for _ in range(400))
    assert 70 < changed < 130  # 100 expected, deviation 8.7
    never = build(name, {**REQUIRED.get(name, {}), "p": 0.0})
    assert torch.equal(never(image, label, rng())[0], image)


def test_flip_mirrors_both():
    image, label = picture()
    new_image, new_label = build("flip", {"p": 1.0})(image, label, rng())
    assert torch.equal(new_image[:, :, 0], image[:, :, -1])
    assert torch.equal(new_image[0], 40 * new_label)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), height=st.integers(1, 30), width=st.integers(1, 30))
def test_crop_keeps_image_and_label_together_and_pads_with_ignored_pixels(seed, height, width):
    image, label = picture(height, width, seed)
    new_image, new_label = build("crop", {"size": [12, 17]})(image, label, rng(seed))
    assert new_label.shape == (12, 17)
    made_up = new_label == 255
    assert int((~made_up).sum()) == min(height, 12) * min(width, 17)
    assert (new_image[:, made_up] == GREY).all()
    assert torch.equal(new_image[0][~made_up], 40 * new_label[~made_up])


def test_crop_reaches_every_window():
    label = torch.arange(20, dtype=torch.uint8).view(4, 5)
    image = label[None].repeat(3, 1, 1)
    corners = {int(build("crop", {"size": [2, 3]})(image, label, rng(seed))[1][0, 0]) for seed in range(200)}
    assert corners == {0, 1, 2, 5, 6, 7, 10, 11, 12}


def test_rotate_makes_ignored_corners_and_turns_image_and_label_alike():
    """Red is 100 times the class in large areas: away from their edges that still holds after turning."""
    label = torch.ones(64, 64, dtype=torch.uint8)
    label[:, 32:] = 2
    image = (100 * label)[None].repeat(3, 1, 1)
    seen_corners = 0
    for seed in range(10):
        new_image, new_label = build("rotate", {"degrees": 45.0})(image, label, rng(seed))
        corner = bool((new_label[:2, :2] == 255).all())
        seen_corners += corner
        agree = new_image[0] == 100 * new_label
        assert agree[new_label != 255].float().mean() > 0.93
        assert new_label[30:34, 28].tolist() == [1] * 4
        assert set(new_label.unique().tolist()) <= {1, 2, 255}
        if corner:
            assert (new_image[:, 0, 0] == GREY).all()
    assert seen_corners >= 8


def test_rotate_a_quarter_turn_is_exact():
    class Highest:
        def random(self):
            return 0.0

        def uniform(self, low, high):
            return high

    image, label = picture(20, 20)
    new_image, new_label = build("rotate", {"degrees": 90.0})(image, label, Highest())
    assert torch.equal(new_label, label.rot90(1))
    assert torch.equal(new_image, image.rot90(1, (1, 2)))


def test_scale_keeps_the_shape_of_things():
    label = torch.zeros(40, 60, dtype=torch.uint8)
    label[10:30, 15:45] = 1
    image = (200 * label)[None].repeat(3, 1, 1)
    sizes = set()
    for seed in range(20):
        new_image, new_label = build("scale", {"low": 0.5, "high": 2.0})(image, label, rng(seed))
        factor = new_label.shape[0] / 40
        assert 0.5 <= factor <= 2
        assert new_label.shape[1] / 60 == pytest.approx(factor, rel=0.03)
        assert new_label.float().mean() == pytest.approx(0.25, abs=0.03)
        assert ((new_image[0] > 100) == (new_label == 1)).float().mean() > 0.95
        sizes.add(tuple(new_label.shape))
    assert len(sizes) > 10


def test_colour_and_blur_leave_labels_alone():
    image, label = picture()
    for name in ("colour", "blur"):
        new_image, new_label = build(name, {"p": 1.0} if name == "blur" else {})(image, label, rng(1))
        assert torch.equal(new_label, label)
        assert not torch.equal(new_image, image)


def test_colour_of_nothing_is_the_identity():
    image, label = picture()
    nothing = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0}
    assert torch.equal(build("colour", nothing)(image, label, rng())[0], image)


def test_brightness_stays_within_its_reach():
    image, label = torch.full((3, 4, 4), 100, dtype=torch.uint8), torch.zeros(4, 4, dtype=torch.uint8)
    step = build("colour", {"brightness": 0.3, "contrast": 0.0, "saturation": 0.0})
    values = [int(step(image, label, rng(seed))[0][0, 0, 0]) for seed in range(200)]
    assert 70 <= min(values) < 75
    assert 125 < max(values) <= 130


def test_blur_lowers_contrast_and_keeps_the_mean():
    image, label = picture(40, 40)
    new_image, _ = build("blur", {"p": 1.0, "low": 1.0, "high": 2.0})(image, label, rng())
    assert new_image.float().std() < 0.6 * image.float().std()
    assert new_image.float().mean() == pytest.approx(image.float().mean().item(), abs=3)


@pytest.mark.parametrize("name", ["scale", "blur"])
def test_limits_the_wrong_way_round_are_refused(name):
    with pytest.raises(InputError, match=f"augment.{name}: low is 3, above high, 2"):
        build(name, {"low": 3.0, "high": 2.0})


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_depth_goes_where_the_label_goes(name, options):
    image, label = picture()
    step = build_step(name, options)
    for seed in range(6):
        moved = step(Sample(image, label, label.float()), rng(seed))
        assert moved.depth_HW.dtype == torch.float32
        made_up = moved.label_HW == 255
        assert torch.equal(moved.depth_HW.isnan(), made_up)
        assert torch.equal(moved.depth_HW[~made_up], moved.label_HW[~made_up].float())


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_depth_changes_no_draw(name, options):
    image, label = picture()
    step = build_step(name, options)
    without, beside = step(Sample(image, label), rng(4)), step(Sample(image, label, label.float()), rng(4))
    assert torch.equal(without.image_CHW, beside.image_CHW)
    assert torch.equal(without.label_HW, beside.label_HW)
    assert without.depth_HW is None

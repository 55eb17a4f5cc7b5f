"""Masks whose ids were mixed are told from masks of many classes, on real scenes and on drawn ones."""

import io
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFilter
import pytest

from harness.data import open_source, open_whole
from harness.data.faults import describe_faults
from harness.data.pairs import MIXED
from harness.data.resampled_masks import measure_mixture
from harness.registry import choose

CAMVID = Path(__file__).parents[2].parent / "shared" / "data" / "camvid-tiny"
METHODS = PIL.Image.Resampling


def as_jpeg(mask, quality):
    file = io.BytesIO()
    mask.save(file, "JPEG", quality=quality)
    return PIL.Image.open(file).convert("L")


def draw_mask(seed, levels, shape="ellipse", size=(96, 128)):
    """Return a mask with two shapes of each level but the first, which is its ground."""
    rng, (height, width) = np.random.default_rng(seed), size
    mask = PIL.Image.new("L", (width, height), levels[0])
    for level in (level for level in levels[1:] for _ in range(2)):
        left, top = rng.integers(2, width // 2), rng.integers(2, height // 2)
        right, bottom = left + rng.integers(10, width // 2), top + rng.integers(10, height // 2)
        getattr(PIL.ImageDraw.Draw(mask), shape)([left, top, right, bottom], fill=level)
    return mask


def draw_street(seed, classes, poles, size=(128, 256)):
    """Return a mask of regions of many classes, with lines of one and two pixels of any class across it."""
    rng, (height, width) = np.random.default_rng(seed), size
    rows, columns = np.mgrid[:height, :width]
    centres, ids = rng.random((60, 2)) * size, rng.permutation(np.arange(60) % classes)
    nearest = np.argmin([(rows - y) ** 2 + (columns - x) ** 2 for y, x in centres], axis=0)
    mask = PIL.Image.fromarray(ids[nearest].astype(np.uint8))
    for _ in range(poles):
        x, y = rng.random(2) * (width, height)
        end = (x + rng.normal() * 8, y + rng.random() * height / 2)
        PIL.ImageDraw.Draw(mask).line([(x, y), end], fill=int(rng.integers(classes)), width=int(rng.integers(1, 3)))
    return mask


def is_mixed(masks):
    return measure_mixture([np.asarray(mask) for mask in masks]).is_likely


SPOILERS = {
    "enlarged": lambda mask: mask.resize((200, 150), METHODS.BILINEAR),
    "doubled": lambda mask: mask.resize((256, 192), METHODS.BILINEAR),
    "halved": lambda mask: mask.resize((64, 48), METHODS.BOX),
    "bicubic": lambda mask: mask.resize((200, 150), METHODS.BICUBIC),
    "lanczos": lambda mask: mask.resize((100, 75), METHODS.LANCZOS),
    "turned": lambda mask: mask.rotate(7, METHODS.BILINEAR),
    "blurred": lambda mask: mask.filter(PIL.ImageFilter.GaussianBlur(3)),
    **{f"JPEG {quality}": lambda mask, quality=quality: as_jpeg(mask, quality) for quality in (30, 75, 95)},
}


@pytest.mark.parametrize("levels", [(0, 255), (0, 127, 255), (0, 85, 170, 255), (0, 200)], ids=str)
@pytest.mark.parametrize("shape", ["ellipse", "rectangle"])
@pytest.mark.parametrize("spoiler", SPOILERS)
def test_mixed_ids_are_found(levels, shape, spoiler):
    masks = [draw_mask(seed, levels, shape) for seed in range(6)]
    assert not is_mixed(masks)
    assert is_mixed([SPOILERS[spoiler](mask) for mask in masks])


@pytest.mark.parametrize("classes", [3, 8, 34, 150])
@pytest.mark.parametrize("poles", [0, 30, 200])
def test_many_classes_with_thin_ones_are_not_taken_for_mixed(classes, poles):
    streets = [draw_street(seed, classes, poles) for seed in range(5)]
    for size in ((256, 128), (64, 32), (32, 16)):
        assert not is_mixed([street.resize(size, METHODS.NEAREST) for street in streets])


def test_pure_noise_is_not_taken_for_mixed():
    rng = np.random.default_rng(0)
    assert not any(is_mixed([rng.integers(0, top, (96, 96), dtype=np.uint8)]) for top in (4, 10, 40, 255))


@pytest.mark.parametrize("size", [(120, 90), (64, 48), (32, 24), (16, 12)], ids=str)
def test_real_scenes_pass_and_are_found_when_they_are_spoilt(size):
    if not CAMVID.is_dir():
        pytest.skip("the real scenes are not there")
    masks = [PIL.Image.open(path) for path in sorted(CAMVID.glob("*annot/*.png"))]
    plain = [PIL.Image.fromarray(np.asarray(mask)) for mask in masks]
    assert not is_mixed([mask.resize(size, METHODS.NEAREST) for mask in plain])
    wide = [PIL.Image.fromarray(np.asarray(mask) * np.uint8(20)) for mask in masks]
    assert is_mixed([mask.resize((204, 153), METHODS.BILINEAR) for mask in wide])


def save_tree(root, masks):
    for number, mask in enumerate(masks):
        for folder, picture in (("images", mask.convert("RGB")), ("masks", mask)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            picture.save(root / folder / f"p{number}.png")
    return str(root)


def open_tree(root, classes, **settings):
    return open_whole(choose("data", "folder", {"root": root, "classes": classes, **settings}))


def test_training_names_the_reason_in_place_of_hundreds_of_ids(tmp_path):
    masks = [SPOILERS["turned"](draw_mask(seed, (0, 255))) for seed in range(5)]
    source = open_tree(save_tree(tmp_path, masks), {"ground": 0, "thing": 255})
    faults = source.check()
    assert {fault.kind for fault in faults} == {MIXED}
    text = describe_faults(faults, source.taxonomy)
    assert "masks that were resampled or saved as JPEG: 5 files" in text
    assert "ids 0, 255 fill regions" in text
    assert len(text) < 700


def test_a_class_for_every_grey_is_refused_and_two_classes_of_many_greys_are_not(tmp_path):
    root = save_tree(tmp_path, [SPOILERS["turned"](draw_mask(seed, (0, 255))) for seed in range(5)])
    wanted = {"root": root, "ignore": [255], "classes": {f"class_{raw}": raw for raw in range(255)}}
    assert {fault.kind for fault in open_tree(**wanted).check()} == {MIXED}
    assert open_tree(root, {"ground": list(range(128)), "thing": list(range(128, 256))}).check() == ()


def test_a_few_spoilt_masks_may_be_left_out_by_name(tmp_path):
    masks = [draw_mask(seed, (0, 255)) for seed in range(9)]
    root = save_tree(tmp_path, [*masks, SPOILERS["JPEG 75"](draw_mask(9, (0, 255)))])
    settings = {"root": root, "classes": {"ground": 0, "thing": 255}}
    assert [fault.file for fault in open_source(choose("data", "folder", settings)).check()] == ["masks/p9.png"]
    kept = open_source(choose("data", "folder", {**settings, "on_bad_image": "skip"}))
    assert "p9" not in {name for split in kept.splits.values() for name in split.names}
    assert sum(len(split.names) for split in kept.splits.values()) == 9


@pytest.mark.parametrize("fill", [0, 255])
def test_sparse_labels_on_one_fill_are_labels(fill):
    """Points, scribbles and projected lidar: 6 % of the pixels, each by itself."""
    rng = np.random.default_rng(3)
    masks = []
    for _ in range(6):
        mask_HW = np.full((64, 96), fill, np.uint8)
        mask_HW[rng.random(mask_HW.shape) < 0.06] = 0
        chosen = mask_HW == 0 if fill else rng.random(mask_HW.shape) < 0.06
        mask_HW[chosen] = rng.integers(1, 6, int(chosen.sum()))
        masks.append(mask_HW)
    assert not measure_mixture(masks).is_likely

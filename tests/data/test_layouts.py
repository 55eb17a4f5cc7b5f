"""Recognising a data set in a folder: each layout as downloaded, folders of any name, and what a user reads else."""

import numpy as np
import pytest
from layout_trees import labels, make_camvid, make_cityscapes, make_kaggle, make_offroad, picture, save

from harness import registry
from harness.data import open_whole
from harness.data.layouts import recognise
from harness.errors import InputError


def make_folders(root, *, images="images", masks="masks", suffix="", splits=("",), ids=(0, 1, 255), number=4):
    for place in splits:
        for index in range(number):
            save(root / place / images / f"f{index}.png", picture(index))
            save(root / place / masks / f"f{index}{suffix}.png", labels(index, ids).astype(np.uint8))
    return root


def refusal(root):
    with pytest.raises(InputError) as caught:
        recognise(root)
    return str(caught.value)


TREES = [
    (lambda root: make_cityscapes(root), "cityscapes", {"train": 5, "val": 2}),
    (lambda root: make_cityscapes(root, outer=True, disparity=True), "cityscapes", {"train": 5, "val": 2}),
    (lambda root: make_offroad(root), "offroad", {"train": 3, "val": 2}),
    (lambda root: make_offroad(root, outer=True, test_images=2), "offroad", {"train": 3, "val": 2, "test": 2}),
    (lambda root: make_kaggle(root), "kaggle_cityscapes", {"train": 11, "val": 3}),
    (lambda root: make_kaggle(root, outer=True), "kaggle_cityscapes", {"train": 11, "val": 3}),
    (lambda root: make_camvid(root), "camvid", {"train": 3, "val": 3}),
    (lambda root: make_camvid(root / "CamVid").parent, "camvid", {"train": 3, "val": 3}),
    (lambda root: make_folders(root), "folder", {"train": 3, "val": 1}),
    (lambda root: make_folders(root, splits=("train", "val", "test")), "folder", {"train": 4, "val": 4, "test": 4}),
]


@pytest.mark.parametrize(("make", "name", "images"), TREES)
def test_the_first_layout_opens_with_every_image(tmp_path, make, name, images):
    first = recognise(make(tmp_path / "data"))[0]
    source = open_whole(registry.choose("data", first.name, first.settings))
    assert first.name == name
    assert {split: len(content.names) for split, content in source.splits.items()} == images
    assert source.listed == source.check() == ()


@pytest.mark.parametrize(("make", "name", "images"), TREES)
def test_recognising_changes_no_file(tmp_path, make, name, images):
    root = make(tmp_path / "data")
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    recognise(root)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_cityscapes_with_coarse_labels_is_offered_both_ways(tmp_path):
    found = recognise(make_cityscapes(tmp_path, coarse=True))
    assert [dict(layout.settings) for layout in found] == [
        {"root": str(tmp_path)},
        {"root": str(tmp_path), "labels": "gtCoarse"},
    ]


def test_offroad_masks_with_background_get_the_taxonomy_that_has_it(tmp_path):
    plain = recognise(make_offroad(tmp_path / "a"))[0]
    background = recognise(make_offroad(tmp_path / "b", ids=(0, 100, 200, 600)))[0]
    assert "taxonomy" not in plain.settings
    assert background.settings["taxonomy"] == "offroad-background"


@pytest.mark.parametrize("images", ["images", "imgs", "JPEGImages", "Image"])
@pytest.mark.parametrize("masks", ["masks", "labels", "annotations", "SegmentationClass", "Mask"])
@pytest.mark.parametrize("suffix", ["", "_mask", "_L"])
def test_usual_names_and_suffixes(tmp_path, images, masks, suffix):
    layout = recognise(make_folders(tmp_path, images=images, masks=masks, suffix=suffix, number=12))[0]
    source = open_whole(registry.choose("data", layout.name, layout.settings))
    assert sum(len(split.names) for split in source.splits.values()) == 12
    assert layout.settings.get("mask_suffix", "") == suffix


def test_splits_of_other_names(tmp_path):
    layout = recognise(make_folders(tmp_path, splits=("Training", "valid", "testing")))[0]
    assert layout.settings["splits"] == {"train": "Training", "val": "valid", "test": "testing"}


def test_without_val_the_training_folder_is_divided_and_test_is_left_alone(tmp_path):
    layout = recognise(make_folders(tmp_path, splits=("train", "test")))[0]
    assert layout.settings["root"] == str(tmp_path / "train")
    assert layout.guesses["division"].endswith("no val/ was found beside train/, and test/ is left unused")


def test_ids_are_counted_and_255_is_ignored(tmp_path):
    layout = recognise(make_folders(tmp_path, ids=(0, 3, 255)))[0]
    masks = [labels(index, (0, 3, 255)) for index in range(4)]
    assert layout.pixels == {raw: sum(int((mask == raw).sum()) for mask in masks) for raw in (0, 3, 255)}
    assert layout.settings["classes"] == {"class_0": 0, "class_3": 3}
    assert layout.settings["ignore"] == [255]


def test_in_a_black_and_white_mask_255_is_a_class(tmp_path):
    layout = recognise(make_folders(tmp_path, ids=(0, 255)))[0]
    assert layout.settings["classes"] == {"class_0": 0, "class_255": 255}
    assert "ignore" not in layout.settings


def test_a_damaged_mask_is_passed_over(tmp_path):
    root = make_folders(tmp_path)
    (root / "masks" / "f2.png").write_bytes(b"\x89PNG")
    assert recognise(root)[0].settings["classes"] == {"class_0": 0, "class_1": 1}


def test_colour_masks_are_refused_with_their_colours_and_a_way_out(tmp_path):
    root = make_folders(tmp_path)
    colours = np.array([(128, 64, 128), (0, 0, 142)], np.uint8)
    for index in range(4):
        save(root / "masks" / f"f{index}.png", colours[(labels(index, (0, 1, 1)) > 0).astype(int)])
    assert refusal(root) == (
        f"{root}: no known data set; it holds images/, masks/\n"
        f"  nearly folder, but {root}/masks/f0.png: a colour picture (RGB), but labels are ids in one channel: write "
        "each pixel's class id into an 8-bit, 16-bit or palette PNG. Colours in a few of the 4 masks: (0, 0, 142), "
        "(128, 64, 128). In Python: ids = np.full(rgb.shape[:2], 255, np.uint8); ids[(rgb == COLOUR).all(-1)] = ID "
        "for each colour; PIL.Image.fromarray(ids).save(...)"
    )


def test_what_a_user_reads_where_nothing_is_known(tmp_path):
    (tmp_path / "pictures of cats").mkdir()
    (tmp_path / "readme.txt").touch()
    text = refusal(tmp_path)
    assert text.startswith(f"{tmp_path}: no known data set; it holds pictures of cats/, readme.txt\n  known layouts:\n")
    assert all(f"\n    {name}: " in text for name in ("cityscapes", "offroad", "kaggle_cityscapes", "camvid", "folder"))
    assert refusal(tmp_path / "nowhere").endswith(f"there is no such folder: {tmp_path} holds no 'nowhere'")
    assert "it is empty" in refusal(tmp_path / "pictures of cats")


def test_what_a_user_reads_where_something_is_missing(tmp_path):
    city = make_cityscapes(tmp_path / "city")
    for path in city.glob("gtFine/val/*/*_labelIds.png"):
        path.unlink()
    assert refusal(city).endswith("cityscapes, but there is no gtFine/val/CITY/*_gtFine_labelIds.png")
    kaggle = make_kaggle(tmp_path / "kaggle", images={"train": 2})
    lacking = f"kaggle_cityscapes, but there are no .npy files in val/image and val/label of {kaggle}/data\n"
    assert lacking in refusal(kaggle)
    camvid = make_camvid(tmp_path / "camvid")
    (camvid / "valannot").rename(camvid / "elsewhere")
    assert refusal(camvid).endswith("camvid, but there is no valannot/")


def test_names_that_do_not_match_are_shown(tmp_path):
    save(tmp_path / "images" / "sat_1.png", picture(1))
    save(tmp_path / "masks" / "map_1.png", labels(1, (0, 1)).astype(np.uint8))
    assert f"{tmp_path}/images holds sat_1, {tmp_path}/masks holds map_1" in refusal(tmp_path)


def test_jpeg_masks_are_refused_with_the_reason(tmp_path):
    save(tmp_path / "images" / "a.png", picture(1))
    save(tmp_path / "masks" / "a.jpg", labels(1, (0, 1)).astype(np.uint8))
    assert "JPEG and WebP change the ids; save masks as PNG" in refusal(tmp_path)


FOREIGN = {
    "annotations/instances_train.json": "polygons in JSON, as COCO's",
    "train/_annotations.coco.json": "polygons in JSON, as COCO's",
    "Dataset001/imagesTr/a_0000.png": "nnU-Net's layout",
    "X_annotations/X_annotation-colormap.txt": "masks in colours",
    "labels/train/a.txt": "polygons in text files, as YOLO's",
}


@pytest.mark.parametrize("file", FOREIGN)
def test_layouts_that_are_not_read_are_named_with_what_to_do(tmp_path, file):
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).touch()
    text = refusal(tmp_path)
    assert f"\n  {file}: {FOREIGN[file]}" in text
    assert "known layouts" not in text


def test_pictures_and_masks_of_the_same_names_in_one_folder_are_told_to_part(tmp_path):
    for index in range(3):
        save(tmp_path / "d" / f"a{index}.jpg", picture(index))
        save(tmp_path / "d" / f"a{index}.png", labels(index, (0, 1)).astype(np.uint8))
    assert "d/a0.jpg and d/a0.png: pictures and masks of the same names in one folder" in refusal(tmp_path)

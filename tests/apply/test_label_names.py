"""`predict` calls labels as the data set does that the run was trained on, and takes none of them for a picture."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from harness import registry
from harness.apply.export.parity import find_pictures
from harness.apply.predict.run import PredictOptions, prepare_job
from harness.data.label_sets import shipped_taxonomy
from harness.errors import InputError


def prepare(place, images, truth, data, **settings):
    choice = registry.choose("data", data, {"root": "gone", **settings})
    chosen = SimpleNamespace(config=SimpleNamespace(data=choice), taxonomy=shipped_taxonomy("cityscapes19"))
    return prepare_job(chosen, [str(place / images)], place / "out", PredictOptions(truth=truth and place / truth))


def make(place, *names):
    for name in names:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 6)).save(place / name)


@pytest.mark.parametrize("suffix", ["_mask", "-seg", ".gt", ""])
def test_truth_has_the_suffix_of_the_data(tmp_path, suffix):
    make(tmp_path, "images/a.png", "images/b/c.jpg", f"masks/a{suffix}.png", f"masks/b/c{suffix}.png")
    job = prepare(tmp_path, "images", "masks", "folder", classes=["x", "y"], mask_suffix=suffix)
    assert {name: path.name for name, path in job.truth.items()} == {"a": f"a{suffix}.png", "b/c": f"c{suffix}.png"}


def test_truth_without_the_suffix_is_taken_where_there_is_no_other(tmp_path):
    make(tmp_path, "images/a.png", "images/b.png", "masks/a.png", "masks/a_mask.png", "masks/b.png")
    job = prepare(tmp_path, "images", "masks", "folder", classes=["x", "y"], mask_suffix="_mask")
    assert {name: path.name for name, path in job.truth.items()} == {"a": "a_mask.png", "b": "b.png"}


@pytest.mark.parametrize("truth", [None, "d"])
def test_masks_beside_the_pictures_are_neither_predicted_nor_missed(tmp_path, truth):
    make(tmp_path, "d/a.jpg", "d/a_mask.png", "d/b.png", "d/b_mask.png", "d/no_mask.jpg")
    job = prepare(tmp_path, "d", truth, "folder", classes=["x", "y"], mask_suffix="_mask")
    assert [picture.name for picture in job.pictures] == ["a", "b", "no_mask"]
    assert job.passed_over == 2
    assert {name: path.name for name, path in job.truth.items()} == (
        {"a": "a_mask.png", "b": "b_mask.png"} if truth else {}
    )


def test_a_picture_is_not_its_own_truth(tmp_path):
    make(tmp_path, "d/a.png", "d/b.png")
    with pytest.raises(InputError, match=r"no label of any of the pictures; expected files such as .*/d/a_mask\.png"):
        prepare(tmp_path, "d", "d", "folder", classes=["x", "y"], mask_suffix="_mask")


def test_cityscapes_labels_are_found_by_their_own_names(tmp_path):
    name = "lindau_000001_000019"
    make(tmp_path, f"left/lindau/{name}_leftImg8bit.png", f"fine/lindau/{name}_gtFine_labelIds.png")
    job = prepare(tmp_path, "left", "fine", "cityscapes")
    assert [Path(path).name for path in job.truth.values()] == [f"{name}_gtFine_labelIds.png"]


def test_an_export_is_not_checked_on_masks(tmp_path):
    make(tmp_path, "d/a.jpg", "d/a_mask.png", "d/b.png", "d/b_mask.png")
    data = registry.choose("data", "folder", {"root": "gone", "classes": ["x", "y"], "mask_suffix": "_mask"})
    chosen = SimpleNamespace(config=SimpleNamespace(data=data))
    assert find_pictures(chosen, tmp_path / "d").names == ("a.jpg", "b.png")

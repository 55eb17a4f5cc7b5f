"""`harness init`: what it writes loads, plans and runs."""

import numpy as np
import pytest
from layout_trees import labels, make_cityscapes, make_kaggle, make_offroad, picture, save
from tiny_study import harness_here

import harness
from harness.cli.init import init_spec
from harness.errors import InputError


def make_folder(root):
    for index in range(9):
        save(root / "JPEGImages" / f"b ü{index}.png", picture(index))
        save(root / "SegmentationClass" / f"b ü{index}_mask.png", labels(index, (0, 1, 255)).astype(np.uint8))
    return root


MAKERS = [make_cityscapes, make_offroad, make_kaggle, make_folder]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("profile", [None, "gpu"])
def test_what_is_written_loads_and_plans(tmp_path, make, profile):
    out = tmp_path / "my study.yaml"
    init_spec(make(tmp_path / "a folder: #1"), out)
    plan = harness.make_plan(harness.load_spec(out, profile=profile))
    assert plan.variants == ("plain", "augmented")
    assert len(plan.runs) == (4 if profile is None else 6)
    assert all(run.config.data.size == (32, 64) for run in plan.runs)


def test_class_list_with_pixels_and_a_place_for_names(tmp_path):
    save(tmp_path / "data/images/a.png", np.zeros((4, 4, 3), np.uint8))
    save(tmp_path / "data/images/b.png", np.zeros((4, 4, 3), np.uint8))
    for name in "ab":
        save(tmp_path / f"data/masks/{name}.png", np.repeat(np.uint8([[0, 0, 7, 255]]), 4, axis=0))
    init_spec(tmp_path / "data", tmp_path / "study.yaml")
    text = (tmp_path / "study.yaml").read_text()
    assert "      class_0: 0                        # 16 px, 50.00 %\n" in text
    assert "      class_7: 7                        # 8 px, 25.00 %\n" in text
    assert "    ignore: [255]                       # 8 px, 25.00 %; not counted, unless you name it a class\n" in text


def test_files_without_a_counterpart_are_left_out_and_said(tmp_path):
    root = make_cityscapes(tmp_path / "city")
    next(root.glob("gtFine/train/zurich/*_labelIds.png")).unlink()
    init_spec(root, tmp_path / "study.yaml")
    assert "on_bad_image: skip                  # left out: 1 without" in (tmp_path / "study.yaml").read_text()
    assert len(harness.make_plan(harness.load_spec(tmp_path / "study.yaml")).runs) == 4


def test_an_existing_file_is_left_as_it_is(tmp_path):
    out = tmp_path / "study.yaml"
    out.write_text("mine")
    with pytest.raises(InputError, match=r"study\.yaml: exists already and is left as it is; give another name"):
        init_spec(make_offroad(tmp_path / "data"), out)
    assert out.read_text() == "mine"


def test_sizes_are_of_nearly_the_same_shape_and_fit_the_network():
    from harness.cli.init import _fit

    assert _fit((1024, 2048), 256) == (128, 256)
    assert _fit((180, 240), 256) == (176, 240)
    assert _fit((3000, 200), 256) == (256, 32)
    assert _fit((5, 9), 256) == (32, 32)


@pytest.mark.slow
def test_init_and_run_from_the_command_line(workplace):
    make_folder(workplace / "my data")
    told = harness_here("init", "my data", "--out", "first.yaml")
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines()[-1] == "next: harness plan first.yaml"
    options = ("--set", "train.epochs=1", "--seeds", "0", "--only", "augmented", "--device", "cpu")
    done = harness_here("run", "first.yaml", *options)
    assert done.returncode == 0, done.stderr
    assert "1 of 2 runs are finished" in done.stdout

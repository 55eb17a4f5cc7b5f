"""A plan says what its runs would stumble over in the middle: by settings and files, without torch."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from harness import api
from harness.errors import InputError
from harness.execute.feasibility import check_feasible, note_padding
from harness.spec.conflicts import smallest_batch
from harness.train.batches import cut

DEEPLAB = {"name": "deeplabv3_mobilenet_v3_large"}
NATIVE = {"data.size": "native", "train.batch_size": 4}


def draw(folder, split, index, size=(24, 32), *, ignored=False):
    """Write a picture and its mask: two classes, or 9 everywhere, which is ignored."""
    label_HW = np.zeros(size, np.uint8)
    label_HW[: size[0] // 2] = 1
    if ignored:
        label_HW[:] = 9
    for kind, array in (("images", np.stack(3 * [label_HW * 20], -1)), ("masks", label_HW)):
        path = folder / split / kind / f"p{index:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(path)


def plan_of(folder, changes=(), **base):
    """Plan a study of two variants on the folder's data; the second has these changes."""
    splits = {path.name: path.name for path in folder.iterdir() if path.is_dir()}
    data = {"name": "folder", "root": str(folder), "splits": splits, "classes": ["a", "b"], "ignore": [9]}
    settings = {
        "data": {**data, "size": [24, 32]},
        "model": {"name": "unet", "base_channels": 4},
        "loss": {"cross_entropy": {}},
        "train": {"epochs": 1, "batch_size": 4},
        **base,
    }
    study = {"study": "s", "question": "q", "base": settings, "variants": {"plain": {}, "other": {}}}
    study["variants"]["other"] = {"set": dict(changes)}
    path = folder / "study.yaml"
    path.write_text(json.dumps(study))
    return api.make_plan(api.load_spec(path))


@pytest.fixture
def folder(tmp_path):
    for split, count in (("train", 5), ("val", 2), ("test", 2)):
        for index in range(count):
            draw(tmp_path, split, index)
    return tmp_path


def test_the_smallest_batch_is_the_smallest_that_training_cuts():
    for images in range(1, 60):
        for batch_size in range(1, 20):
            assert smallest_batch(images, batch_size) == min(map(len, cut(range(images), batch_size)))


@pytest.mark.parametrize(
    ("images", "changes", "told"),
    [
        (1, {"model": DEEPLAB}, "1 training image with train.batch_size 4 make a step of 1"),
        (5, {"model": DEEPLAB, "train.batch_size": 1}, "train.batch_size is 1"),
        (5, {"model": DEEPLAB, "data.fraction": 0.2}, "1 training image with train.batch_size 4"),
        (5, {"model": DEEPLAB}, None),
        (1, {"model": DEEPLAB, "model.freeze": "all_but_classifier"}, None),
        (1, {"model": DEEPLAB, "train.epochs": 0}, None),
        (1, {}, None),
    ],
)
def test_it_is_the_smallest_batch_that_counts(images, changes, told, folder):
    for index in range(images, 5):
        for kind in ("images", "masks"):
            (folder / "train" / kind / f"p{index:02}.png").unlink()
    if told is None:
        assert plan_of(folder, changes).runs
        return
    with pytest.raises(InputError) as caught:
        plan_of(folder, changes)
    assert str(caught.value).startswith(f"other: {told}")
    assert "unet" in str(caught.value) or "use at least 2" in str(caught.value)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_split_without_a_label_is_refused(split, folder):
    count = len(list((folder / split / "masks").iterdir()))
    for index in range(count):
        draw(folder, split, index, ignored=True)
    with pytest.raises(InputError, match=f"plain, other: no pixel of {split} has a class .{count} images"):
        plan_of(folder)
    draw(folder, split, count - 1)
    assert plan_of(folder).runs


def test_what_chooses_epochs_needs_labels_too(folder):
    for index in range(6):
        draw(folder, "val", index)
    config = {"evaluate": {"select_split": "held_out"}}
    chosen = plan_of(folder, **config)
    from harness.execute.feasibility import _judged
    from harness.execute.inputs import open_all

    source = next(iter(open_all(chosen).values()))[1]
    held = _judged(chosen.runs[0].config, source)["select"].names
    for name in held:
        draw(folder, "val", int(name.removeprefix("p")), ignored=True)
    with pytest.raises(InputError, match="no pixel of select has a class"):
        plan_of(folder, **config)


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        (NATIVE, True),
        ({**NATIVE, "train.batch_size": 1}, False),
        ({**NATIVE, "train.epochs": 0}, False),
        ({**NATIVE, "augment.crop": {"size": [16, 16]}}, False),
        ({"augment.scale": {}}, True),
        ({"augment.scale": {}, "augment.crop": {"size": [16, 16]}}, False),
        ({"augment.crop": {"size": [16, 16]}, "augment.scale": {}}, True),
        ({"augment.flip": {}, "augment.rotate": {"degrees": 9}, "augment.colour": {}, "augment.blur": {}}, False),
    ],
)
def test_sizes_that_make_no_batch_are_refused(changes, refused, folder):
    draw(folder, "train", 5, (32, 24))
    if refused:
        with pytest.raises(InputError, match="other: images of one batch differ in size"):
            plan_of(folder, changes)
    else:
        assert plan_of(folder, changes).runs


def test_one_odd_size_among_many_is_found_before_the_first_run(folder):
    for index in range(40):
        draw(folder, "train", index, (32, 24) if index == 17 else (24, 32))
    plan = plan_of(folder, NATIVE)  # it looks at a few
    with pytest.raises(InputError, match="'p00' is 24x32, 'p17' is 32x24"):
        check_feasible(plan, whole=True)


def test_a_crop_that_is_mostly_padding_is_spoken_of(folder):
    """96 x 128 pixels of which the picture has 24 x 32: a sixteenth."""
    plan = plan_of(folder, {"augment.crop": {"size": [96, 128]}})
    assert list(note_padding(plan)) == [
        "other: augment.crop is larger than the pictures: 94% of what is trained on is ignored padding"
    ]


def test_a_plan_imports_no_torch(folder):
    plan_of(folder, {**NATIVE, "augment.crop": {"size": [16, 16]}})
    program = (
        "import sys; from harness import api; from harness.execute.inputs import read_notes\n"
        f"plan = api.make_plan(api.load_spec({str(folder / 'study.yaml')!r})); api.lint_plan(plan); read_notes(plan)\n"
        "print(*(name for name in ('torch', 'torchvision', 'mlflow', 'timm') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_training_that_counts_no_pixel_is_told(folder):
    """One of five images is ignored altogether: with one image a step, one batch of each epoch counts nothing."""
    from types import SimpleNamespace

    from harness.records import Machine
    from harness.report.study.notes import _unlabelled_notes
    from harness.train.loop import train_epoch
    from harness.train.setup import build_setup

    draw(folder, "train", 3, ignored=True)
    config = plan_of(folder, {"train.batch_size": 1}).runs[-1].config
    setup = build_setup(config, Machine(), start=None)
    assert setup.data.source.notes == (
        "1 of 5 training images have no pixel with a class (every label is ignored), and teach nothing: p03",
    )
    epochs = [SimpleNamespace(metrics=train_epoch(setup, epoch)) for epoch in (1, 2)]
    variant = SimpleNamespace(name="plain", seeds=[SimpleNamespace(seed=7, epochs=epochs)])
    assert list(_unlabelled_notes([variant])) == [
        "Training of 'plain' had batches without a pixel that has a class (seed 7: 2): their loss moved no weight."
        " Ignored labels, or crops that hold nothing else, make them."
    ]

"""The traps of the real layouts, and what the user reads about each, word for word: from training, from the audit."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from layout_trees import picture, save
from spoilt_trees import (
    CITY,
    KAGGLE,
    MAKERS,
    OFFROAD,
    as_16_bit,
    as_palette,
    bytes_kaggle,
    choice_of,
    copied,
    cut_short,
    empty,
    jpeg_cut_short,
    nearly_copied,
    no_val_label,
    other_size,
    thumbs,
    umlauts_cityscapes,
    umlauts_offroad,
    unknown_cityscapes,
    unknown_kaggle,
    unknown_offroad,
    upper_case,
)

from harness.audit.run import audit_data
from harness.cli.tables import print_audit
from harness.data import open_source, open_whole
from harness.data.faults import refuse
from harness.errors import InputError
from harness.settings import DataChoice


@dataclass(frozen=True)
class Trap:
    layout: str
    spring: Callable[[Path], object]
    training: str = ""
    """What the error of opening for training, or of its check of all labels, says; empty: nothing is wrong."""
    audit: tuple[str, ...] = ()
    """The lines of errors and warnings that the audit prints; where it cannot open the data, the message."""


def bad_file(layout: str, spring: Callable[[Path], object], told: str) -> Trap:
    """Return a trap that training and audit tell of in the same words."""
    training = (
        "{root}: its files cannot be used as they are:\n"
        f"  {told}\n"
        "  repair them, or write data.on_bad_image: skip to leave these images out, by name, in every run"
    )
    return Trap(layout, spring, training, (f"error: {told}; repair them, or write data.on_bad_image: skip",))


def unknown_id(layout: str, spring: Callable[[Path], object], told: str) -> Trap:
    return Trap(layout, spring, "{root}: its files cannot be used as they are:\n  " + told, (f"error: {told}",))


def not_found(layout: str, spring: Callable[[Path], object], told: str) -> Trap:
    return Trap(layout, spring, told, (f"error: {told}",))


AS_COLOURS = (
    "a colour picture (RGB), but labels are ids in one channel: write each pixel's class id into an 8-bit, 16-bit or "
    "palette PNG"
)
STEM = "aachen/aachen_000001_000019"
TRAPS: dict[str, Trap] = {
    "truncated picture": bad_file(
        "offroad",
        lambda root: cut_short(root / OFFROAD[0]),
        "unreadable: 1 file, first train/Color_Images/cc0000013.png: cannot be read: Truncated File Read",
    ),
    "truncated picture of a city": bad_file(
        "cityscapes",
        lambda root: cut_short(root / CITY[0]),
        f"unreadable: 1 file, first leftImg8bit/train/{STEM}_leftImg8bit.png: cannot be read: Truncated File Read",
    ),
    "truncated mask": bad_file(
        "offroad",
        lambda root: cut_short(root / OFFROAD[1]),
        "unreadable: 1 file, first train/Segmentation/cc0000013.png: cannot be read: image file is truncated",
    ),
    "truncated mask of a city": bad_file(
        "cityscapes",
        lambda root: cut_short(root / CITY[1]),
        f"unreadable: 1 file, first gtFine/train/{STEM}_gtFine_labelIds.png: cannot be read: image file is truncated",
    ),
    "truncated JPEG": bad_file(
        "offroad",
        jpeg_cut_short,
        "unreadable: 1 file, first train/Color_Images/cc0000013.jpg: cannot be read: image file is truncated "
        "(BYTES bytes not processed)",
    ),
    "mask of another size": bad_file(
        "offroad",
        other_size,
        "label and image differ in size (height x width): 1 file, first train/Segmentation/cc0000013.png: the label is "
        "16x64, the image 32x64",
    ),
    "RGB mask": bad_file(
        "offroad",
        lambda root: save(root / OFFROAD[1], picture(3)),
        f"colours instead of ids: 1 file, first train/Segmentation/cc0000013.png: {AS_COLOURS}",
    ),
    "RGB mask of a city": bad_file(
        "cityscapes",
        lambda root: save(root / CITY[1], picture(3, (32, 256))),
        f"colours instead of ids: 1 file, first gtFine/train/{STEM}_gtFine_labelIds.png: {AS_COLOURS}",
    ),
    "unknown id in two files": unknown_id(
        "offroad",
        unknown_offroad,
        "label ids without a class: 650 (7 px); known ids: 100, 200, 300, 500, 550, 600, 700, 800, 7100, 10000; "
        "give them a class, or declare them ignored; first file: train/Segmentation/cc0000013.png",
    ),
    "unknown id of a city": unknown_id(
        "cityscapes",
        unknown_cityscapes,
        "label ids without a class: 40 (100 px); known ids: 0-33; give them a class, or declare them ignored; "
        f"first file: gtFine/train/{STEM}_gtFine_labelIds.png",
    ),
    "unknown id in an array": bad_file(
        "kaggle_cityscapes",
        unknown_kaggle,
        "unreadable: 1 file, first data/train/label/1.npy: an array (32, 256) with values from -1 to 19; labels are "
        "(height, width) of whole numbers from -1 to 18",
    ),
    "picture of bytes in an array": bad_file(
        "kaggle_cityscapes",
        bytes_kaggle,
        "unreadable: 1 file, first data/train/image/1.npy: values from 0 to 255; pictures of this set lie in 0 to 1",
    ),
    "missing label": bad_file(
        "offroad",
        lambda root: (root / OFFROAD[1]).unlink(),
        "images without a label: 1 file, first train/Color_Images/cc0000013.png (there is no "
        "train/Segmentation/cc0000013.png)",
    ),
    "missing label of a city": bad_file(
        "cityscapes",
        lambda root: (root / CITY[1]).unlink(),
        f"images without a label: 1 file, first leftImg8bit/train/{STEM}_leftImg8bit.png (there is no "
        f"gtFine/train/{STEM}_gtFine_labelIds.png)",
    ),
    "missing label array": bad_file(
        "kaggle_cityscapes",
        lambda root: (root / KAGGLE[1]).unlink(),
        "images without a label: 1 file, first data/train/image/1.npy (there is no label/1.npy)",
    ),
    "orphan label": bad_file(
        "offroad",
        lambda root: (root / OFFROAD[0]).unlink(),
        "labels without an image: 1 file, first train/Segmentation/cc0000013.png (there is no image of that name in "
        "train/Color_Images)",
    ),
    "orphan label of a city": bad_file(
        "cityscapes",
        lambda root: (root / CITY[0]).unlink(),
        f"labels without an image: 1 file, first gtFine/train/{STEM}_gtFine_labelIds.png (there is no "
        f"leftImg8bit/train/{STEM}_leftImg8bit.png)",
    ),
    "orphan label array": bad_file(
        "kaggle_cityscapes",
        lambda root: (root / KAGGLE[0]).unlink(),
        "labels without an image: 1 file, first data/train/label/1.npy (there is no image/1.npy)",
    ),
    "empty split": not_found(
        "offroad",
        empty("val/Color_Images"),
        "{root}/val/Color_Images: no images there; known endings: .png, .jpg, .jpeg, .bmp, .tif, .tiff, .webp",
    ),
    "split without a city": not_found(
        "cityscapes",
        empty("leftImg8bit/val"),
        "{root}/leftImg8bit/val: no CITY/*_leftImg8bit.png there that has a label in {root}/gtFine/val",
    ),
    "split without arrays": not_found(
        "kaggle_cityscapes", empty("data/val/image"), "{root}/data/val/image: no arrays there; known ending: .npy"
    ),
    "split without labels": Trap(
        "offroad",
        no_val_label,
        "{root}: its files cannot be used as they are:\n"
        "  images without a label: 6 files, first val/Color_Images/ww0000012.png (there is no "
        "val/Segmentation/ww0000012.png)\n"
        "  repair them, or write data.on_bad_image: skip to leave these images out, by name, in every run",
        (
            "error: images without a label: 6 files, first val/Color_Images/ww0000012.png (there is no "
            "val/Segmentation/ww0000012.png); also ww0000013, ww0000014, ww0000015, ww0000016, ww0000017; repair them, "
            "or write data.on_bad_image: skip",
            "error: val has no image that can be used",
        ),
    ),
    "one image in train and val": Trap(
        "offroad",
        copied,
        "",
        (
            "warning: 1 image of val is also in train, pixel for pixel: a score on val partly tells what was learnt by "
            "heart: ww0000012 = cc0000013",
        ),
    ),
    "one image in train and, resized and as JPEG, in val": Trap(
        "offroad",
        nearly_copied,
        "",
        (
            "warning: 1 image of val nearly shows what an image of train shows (perceptual hashes differ in at most 8 "
            "of 64 bits; look at them): ww0000012 = cc0000013",
        ),
    ),
    "palette mask": Trap("cityscapes", as_palette),
    "16-bit mask": Trap("cityscapes", as_16_bit),
    **{f"Thumbs.db in {layout}": Trap(layout, thumbs) for layout in ("offroad", "cityscapes", "kaggle_cityscapes")},
    "upper-case endings": Trap("offroad", upper_case),
    "upper-case endings of a city": Trap("cityscapes", upper_case),
    "spaces and umlauts": Trap("offroad", umlauts_offroad),
    "a city with spaces and umlauts": Trap("cityscapes", umlauts_cityscapes),
}


def what_training_says(choice: DataChoice) -> str:
    try:
        open_source(choice)
        whole = open_whole(choice)
        refuse(whole, whole.check())
    except InputError as error:
        return str(error)
    return ""


def what_the_audit_prints(choice: DataChoice, capsys: pytest.CaptureFixture[str]) -> tuple[bool, tuple[str, ...]]:
    """Return whether the audit refuses the data, and the lines of its errors and warnings."""
    try:
        found = audit_data((choice,))
    except InputError as error:
        return True, (f"error: {error}",)
    print_audit(found, Path("audit/here"))
    lines = capsys.readouterr().out.splitlines()
    return found.refused, tuple(line for line in lines if line.startswith(("error: ", "warning: ")))


@pytest.mark.parametrize("layout", MAKERS)
def test_nothing_is_said_of_a_whole_tree(layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    choice = choice_of(layout, MAKERS[layout](tmp_path))
    assert what_training_says(choice) == ""
    assert what_the_audit_prints(choice, capsys) == (False, ())


def without_numbers(text: str) -> str:
    """Return a text without Pillow's number of bytes, which depends on its version."""
    return re.sub(r"\(\d+ bytes", "(BYTES bytes", text)


@pytest.mark.parametrize("name", TRAPS)
def test_what_the_user_reads(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trap = TRAPS[name]
    root = MAKERS[trap.layout](tmp_path / "data")
    trap.spring(root)
    choice = choice_of(trap.layout, root)
    assert without_numbers(what_training_says(choice)) == trap.training.replace("{root}", str(root))
    refused, lines = what_the_audit_prints(choice, capsys)
    assert tuple(map(without_numbers, lines)) == tuple(line.replace("{root}", str(root)) for line in trap.audit)
    assert refused == any(line.startswith("error: ") for line in trap.audit)


@pytest.mark.parametrize("name", ["palette mask", "16-bit mask", "spaces and umlauts", "upper-case endings"])
def test_harmless_traps_change_no_pixel(name: str, tmp_path: Path) -> None:
    trap = TRAPS[name]
    root = MAKERS[trap.layout](tmp_path / "data")
    before = audit_data((choice_of(trap.layout, root),)).audit
    trap.spring(root)
    after = audit_data((choice_of(trap.layout, root),)).audit
    for split in before.splits:
        assert after.splits[split].class_pixels == before.splits[split].class_pixels
        assert after.splits[split].images == before.splits[split].images


def test_an_array_cut_short_is_named(tmp_path: Path) -> None:
    root = MAKERS["kaggle_cityscapes"](tmp_path)
    cut_short(root / KAGGLE[0])
    choice = choice_of("kaggle_cityscapes", root)
    told = "unreadable: 1 file, first data/train/image/1.npy: cannot be read: "  # numpy's words follow
    assert what_training_says(choice).startswith(f"{root}: its files cannot be used as they are:\n  {told}")
    assert audit_data((choice,)).findings[0].told.startswith(told)

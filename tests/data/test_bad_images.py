"""`on_bad_image`: an error that names the file, or images left out by name."""

import pytest
from layout_trees import labels, make_cityscapes, save

from harness.data import open_source, open_whole
from harness.errors import InputError
from harness.registry import choose


@pytest.fixture
def spoilt(tmp_path):
    root = make_cityscapes(tmp_path / "data")
    fine = root / "gtFine/train"
    (fine / "aachen/aachen_000000_000019_gtFine_labelIds.png").unlink()
    broken = fine / "zurich/zurich_000001_000019_gtFine_labelIds.png"
    broken.write_bytes(broken.read_bytes()[:50])
    return root


def test_an_error_by_default(spoilt):
    with pytest.raises(InputError) as caught:
        open_source(choose("data", "cityscapes", {"root": str(spoilt)}))
    assert str(caught.value) == (
        f"{spoilt}: its files cannot be used as they are:\n"
        "  images without a label: 1 file, first leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png"
        " (there is no gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png)\n"
        "  repair them, or write data.on_bad_image: skip to leave these images out, by name, in every run"
    )
    kinds = [fault.kind for fault in open_whole(choose("data", "cityscapes", {"root": str(spoilt)})).check()]
    assert kinds == ["unreadable"]


def test_skipping_names_what_is_left_out(spoilt):
    source = open_source(choose("data", "cityscapes", {"root": str(spoilt), "on_bad_image": "skip"}))
    assert source.splits["train"].names == ("aachen_000001_000019", "aachen_000002_000019", "zurich_000000_000019")
    assert source.notes == (
        "data.on_bad_image: skip left out 2 images: aachen_000000_000019 (images without a label),"
        " zurich_000001_000019 (unreadable)",
    )


def test_unknown_ids_are_never_skipped(spoilt):
    path = spoilt / "gtFine/val/lindau/lindau_000000_000019_gtFine_labelIds.png"
    save(path, labels(1, (7, 77)).astype("uint8"))
    with pytest.raises(InputError, match=r"label ids without a class: 77 \("):
        open_source(choose("data", "cityscapes", {"root": str(spoilt), "on_bad_image": "skip"}))


def test_a_split_that_would_be_empty_is_an_error(spoilt):
    for path in (spoilt / "leftImg8bit/val").rglob("*.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(InputError, match="unreadable: 3 files"):
        open_source(choose("data", "cityscapes", {"root": str(spoilt), "on_bad_image": "skip"}))


def test_depth_must_be_there(tmp_path):
    root = make_cityscapes(tmp_path / "data")
    with pytest.raises(InputError, match=r"'cityscapes' has no depth for train, val here; write data.inputs: \[rgb\]"):
        open_source(choose("data", "cityscapes", {"root": str(root), "inputs": ["rgb", "depth"]}))

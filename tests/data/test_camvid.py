import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from harness.data import open_source
from harness.data.label_sets import shipped_taxonomy
from harness.data.source import Source
from harness.errors import InputError
from harness.registry import choose

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
needs_data = pytest.mark.skipif(not SHARED.exists(), reason="real data not at ../shared/data")


def open_camvid(root: Path, **settings: object) -> Source:
    return open_source(choose("data", "camvid", {"root": str(root), **settings}))


@needs_data
def test_official_split() -> None:
    source = open_camvid(SHARED / "camvid-240x180")
    assert {name: len(split.names) for name, split in source.splits.items()} == {"train": 367, "val": 101}
    assert Counter(name[:6] for name in source.splits["train"].names) == {"0001TP": 62, "0006R0": 101, "0016E5": 204}
    assert source.taxonomy == shipped_taxonomy("camvid-11")
    assert source.check() == ()
    image, label = source.splits["val"].read_image(0), source.splits["val"].read_label(0)
    assert image.shape == (180, 240, 3)
    assert label.shape == (180, 240)
    assert set(label.ravel().tolist()) <= {*range(11), 255}


@needs_data
def test_by_sequence_holds_a_whole_drive_out() -> None:
    source = open_camvid(SHARED / "camvid-240x180", split="by_sequence")
    drives = {name: {image[:6] for image in split.names} for name, split in source.splits.items()}
    assert drives == {"train": {"0001TP", "0016E5"}, "val": {"0006R0"}, "test": {"0016E5"}}
    assert {name: len(split.names) for name, split in source.splits.items()} == {"train": 266, "val": 101, "test": 101}


@needs_data
@pytest.mark.parametrize("block", [1, 10, 30, 1000])
def test_groups_are_blocks_of_one_drive(block: int) -> None:
    train = open_camvid(SHARED / "camvid-240x180", block=block).splits["train"]
    sizes = Counter(train.groups)
    assert list(dict.fromkeys(train.groups)) == [group for group, _ in sorted(sizes.items())]  # blocks are in one piece
    assert len({group for group in sizes}) == sum(max(round(n / block), 1) for n in (62, 101, 204))
    for name, group in zip(train.names, train.groups, strict=True):
        first, last = group.rpartition("-")[0], f"{name[:6]}_{group.rpartition('-')[2]}"
        assert first <= name <= last


@needs_data
def test_the_manifest_agrees_with_names_and_builtin_classes() -> None:
    manifest = json.loads((SHARED / "camvid-240x180" / "manifest.json").read_text())
    for entries in manifest["splits"].values():
        assert all(entry["sequence"] == entry["id"].partition("_")[0] for entry in entries)


@needs_data
def test_without_a_manifest_the_classes_are_segnets(tmp_path: Path) -> None:
    copy = tmp_path / "camvid"
    shutil.copytree(SHARED / "camvid-tiny", copy, copy_function=shutil.copyfile)
    with_manifest = open_camvid(copy)
    copy.chmod(0o755)
    (copy / "manifest.json").unlink()
    without = open_camvid(copy)
    assert without.taxonomy == with_manifest.taxonomy
    assert {name: len(split.names) for name, split in without.splits.items()} == {"train": 24, "val": 8}
    assert without.splits["val"].digest == open_camvid(SHARED / "camvid-tiny").splits["val"].digest


@needs_data
def test_a_damaged_manifest_is_an_error(tmp_path: Path) -> None:
    copy = tmp_path / "camvid"
    shutil.copytree(SHARED / "camvid-tiny", copy, copy_function=shutil.copyfile)
    (copy / "manifest.json").write_text("{}")
    with pytest.raises(InputError, match=r"manifest\.json: not a list of classes"):
        open_camvid(copy)


def test_wrong_root_says_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no 'train'\n  camvid's root needs the folders train"):
        open_camvid(tmp_path)

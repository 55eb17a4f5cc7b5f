import hashlib
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data import open_source
from harness.data import pairs as pairs_module
from harness.data.faults import describe_faults
from harness.data.folder import divide, make_taxonomy
from harness.data.pairs import Pair
from harness.data.source import Source
from harness.errors import InputError, SettingError
from harness.registry import choose

MakeTree = Callable[..., Path]
NAMES = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]


def open_folder(root: Path, **settings: object) -> Source:
    return open_source(choose("data", "folder", {"root": str(root), "classes": ["ground", "thing"], **settings}))


def problems(source: Source) -> str | None:
    faults = source.check()
    return f"{source.root}: {describe_faults(faults, source.taxonomy)}" if faults else None


def state_of(root: Path) -> dict[str, tuple[str, int]]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns) for path in files}


def test_flat_folder_is_divided_whole_and_the_same_each_time(make_tree: MakeTree) -> None:
    source, again = (open_folder(make_tree(NAMES)) for _ in range(2))
    train, val = source.splits["train"], source.splits["val"]
    assert sorted([*train.names, *val.names]) == NAMES
    assert len(val.names) == 2
    assert (train.names, val.names) == (again.splits["train"].names, again.splits["val"].names)
    assert val.groups == val.names
    assert problems(source) is None


def test_pictures_and_labels_belong_together(make_tree: MakeTree) -> None:
    root = make_tree(NAMES)
    train = open_folder(root).splits["train"]
    for index, name in enumerate(train.names):
        assert train.read_image(index)[0, 0].tolist() == [NAMES.index(name)] * 3
        assert train.read_label(index).tolist() == np.resize([0, 1], (4, 6)).tolist()


def test_user_data_are_untouched(make_tree: MakeTree) -> None:
    root = make_tree(NAMES)
    before = state_of(root)
    source = open_folder(root)
    problems(source)
    source.splits["train"].read_label(0)
    assert state_of(root) == before


def test_folders_of_splits(make_tree: MakeTree, tmp_path: Path) -> None:
    root = tmp_path / "data"
    for below, names in (("training", ["a", "b"]), ("validation", ["a"]), ("extra", ["z"])):
        make_tree(names, root / below)
    splits = {"train": "training", "val": "validation", "test": "extra"}
    source = open_folder(root, splits=splits)
    assert {name: split.names for name, split in source.splits.items()} == {
        "train": ("a", "b"),
        "val": ("a",),
        "test": ("z",),
    }
    with pytest.raises(SettingError, match="splits: 'val' is missing"):
        open_folder(root, splits={"train": "training"})


def test_forgotten_splits_setting_is_suggested(make_tree: MakeTree, tmp_path: Path) -> None:
    make_tree(["a"], tmp_path / "data" / "train")
    with pytest.raises(InputError, match=r"'train/images'; write splits: \{train: train, val: val\}"):
        open_folder(tmp_path / "data")


def test_awkward_names(make_tree: MakeTree) -> None:
    composed = unicodedata.normalize("NFC", "Fläche 2 (süd)")
    root = make_tree(["Fläche 1", composed, "c"])
    (root / "masks" / f"{composed}.png").rename(root / "masks" / f"{unicodedata.normalize('NFD', composed)}.PNG")
    (root / "images" / "c.png").rename(root / "images" / "c.PNG")
    (root / "images" / "Thumbs.db").write_bytes(b"x")
    (root / "images" / "._c.png").write_bytes(b"x")
    source = open_folder(root)
    assert problems(source) is None
    assert {*source.splits["train"].names, *source.splits["val"].names} == {"Fläche 1", composed, "c"}


def test_mask_suffix_and_other_endings(make_tree: MakeTree) -> None:
    root = make_tree(NAMES)
    for name in NAMES:
        (root / "masks" / f"{name}.png").rename(root / "masks" / f"{name}_mask.png")
        PIL.Image.open(root / "images" / f"{name}.png").save(root / "images" / f"{name}.jpg")
        (root / "images" / f"{name}.png").unlink()
    assert problems(open_folder(root, mask_suffix="_mask")) is None


def test_orphans_word_for_word(make_tree: MakeTree) -> None:
    root = make_tree(NAMES)
    for name in "abcd":
        (root / "masks" / f"{name}.png").unlink()
    (root / "images" / "j.png").unlink()
    with pytest.raises(InputError) as caught:
        open_folder(root)
    assert str(caught.value) == (
        f"{root}: its files cannot be used as they are:\n"
        "  images without a label: 4 files, first images/a.png (there is no masks/a.png)\n"
        "  labels without an image: 1 file, first masks/j.png (there is no image of that name in images)\n"
        "  repair them, or write data.on_bad_image: skip to leave these images out, by name, in every run"
    )


def test_two_files_of_one_name(make_tree: MakeTree) -> None:
    root = make_tree(NAMES)
    PIL.Image.new("RGB", (6, 4)).save(root / "images" / "a.jpg")
    with pytest.raises(InputError, match=r"'a\.jpg' and 'a\.png' share a name"):
        open_folder(root)


@pytest.mark.parametrize("below", ["images", "masks"])
def test_missing_folder(make_tree: MakeTree, below: str) -> None:
    root = make_tree(NAMES)
    (root / below).rename(root / "other")
    with pytest.raises(InputError, match=rf"{below}: there is no such folder"):
        open_folder(root)


def test_empty_splits_are_errors(make_tree: MakeTree, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no images there"):
        open_folder(make_tree([]))
    root = make_tree(NAMES)
    for fraction, side in ((0.0, "val"), (1.0, "train")):
        with pytest.raises(
            SettingError, match=f"val_fraction: {fraction} of 10 images in 10 groups leaves {side} empty"
        ):
            open_folder(root, val_fraction=fraction)


def test_groups_come_from_the_pattern(make_tree: MakeTree) -> None:
    root = make_tree([f"{drive}_{frame}" for drive in ("x", "y", "z") for frame in range(4)])
    source = open_folder(root, groups="^([a-z])_")
    assert {len(set(split.groups)) for split in source.splits.values()} == {1, 2}
    assert not set(source.splits["train"].groups) & set(source.splits["val"].groups)
    with pytest.raises(SettingError, match="groups: 'q' matches nothing in the image name 'x_0'"):
        open_folder(root, groups="q")
    with pytest.raises(SettingError, match=r"groups: '\(' is not a regular expression"):
        open_folder(root, groups="(")


@given(st.dictionaries(st.text("abc", min_size=1), st.integers(1, 9), min_size=2), st.floats(0.05, 0.6))
def test_groups_never_straddle(sizes: dict[str, int], fraction: float) -> None:
    pairs = [Pair(f"{group}{k}", group, Path(), Path()) for group, number in sizes.items() for k in range(number)]
    try:
        sides = divide(pairs, fraction)
    except SettingError:  # one group is larger than what may be left
        return
    train, val = ({pair.group for pair in side} for side in sides.values())
    assert not train & val
    assert len(sides["train"]) + len(sides["val"]) == len(pairs)
    assert len(sides["val"]) >= fraction * len(pairs) > len(sides["val"]) - max(sizes.values())


def test_unknown_ids_word_for_word(make_tree: MakeTree) -> None:
    root = make_tree(NAMES, ids=(0, 1, 7))
    source = open_folder(root, classes=["ground", "thing"])
    first = source.splits["train"].names[0]
    assert problems(source) == (
        f"{root}: its files cannot be used as they are:\n"
        f"  label ids without a class: 7 (80 px); known ids: 0-1; "
        f"give them a class, or declare them ignored; first file: masks/{first}.png"
    )
    with pytest.raises(InputError, match=rf"masks/{first}\.png: label ids without a class: 7 \(8 px\)"):
        source.splits["train"].read_label(0)


def test_ids_may_be_ignored_or_mapped(make_tree: MakeTree) -> None:
    root = make_tree(NAMES, ids=(0, 1, 7))
    ignoring = open_folder(root, ignore=[7])
    assert problems(ignoring) is None
    assert ignoring.splits["train"].read_label(0)[0].tolist() == [0, 1, 255, 0, 1, 255]
    merging = open_folder(root, classes={"ground": [0, 7], "thing": 1})
    assert problems(merging) is None
    assert merging.splits["train"].read_label(0)[0].tolist() == [0, 1, 0, 0, 1, 0]


def test_all_troubles_are_told_at_once(make_tree: MakeTree) -> None:
    root = make_tree(NAMES)
    masks, images = root / "masks", root / "images"
    PIL.Image.new("RGB", (6, 4)).save(masks / "a.png")
    PIL.Image.new("L", (3, 2)).save(masks / "b.png")
    (masks / "c.png").write_bytes((masks / "c.png").read_bytes()[:40])
    (images / "d.png").write_bytes((images / "d.png").read_bytes()[:60])
    PIL.Image.fromarray(np.full((4, 6), 9, np.uint8)).save(masks / "e.png")
    told = problems(open_folder(root, val_fraction=0.1))
    assert told is not None
    lines = sorted(told.splitlines()[1:])
    assert len(lines) == 5
    assert lines[0].startswith("  colours instead of ids: 1 file, first masks/a.png: a colour picture (RGB)")
    assert lines[1].startswith(
        "  label and image differ in size (height x width): 1 file, first masks/b.png: the label is 2x3"
    )
    assert lines[2].startswith("  label ids without a class: 9 (24 px); known ids: 0-1")
    assert lines[3].startswith("  repair them, or write data.on_bad_image: skip")
    assert lines[4].startswith("  unreadable: 2 files, first ")


def test_the_check_is_done_once_for_one_content(make_tree: MakeTree, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_tree(NAMES, ids=(0, 5))
    told = problems(open_folder(root))
    with monkeypatch.context() as patched:
        patched.setattr(pairs_module, "_check_pair", lambda *args: pytest.fail("checked again"))
        assert problems(open_folder(root)) == told
        moved = root.rename(root.with_name("moved"))
        assert problems(open_folder(moved)) == str(told).replace(str(root), str(moved))
    assert problems(open_folder(moved, ignore=[5], classes=["a", "b"])) is None


def test_digests_follow_content_and_not_place(make_tree: MakeTree) -> None:
    root = make_tree(NAMES)
    before = {name: split.digest for name, split in open_folder(root).splits.items()}
    moved = root.rename(root.with_name("moved"))
    assert {name: split.digest for name, split in open_folder(moved).splits.items()} == before
    source = open_folder(moved)
    path = moved / "masks" / f"{source.splits['val'].names[0]}.png"
    PIL.Image.fromarray(np.ones((4, 6), np.uint8)).save(path)
    after = {name: split.digest for name, split in open_folder(moved).splits.items()}
    assert after["train"] == before["train"]
    assert after["val"] != before["val"]


def test_class_lists_that_contradict_themselves() -> None:
    with pytest.raises(SettingError, match="classes: 2 names, 1 different"):
        make_taxonomy(["a", "a"])
    with pytest.raises(SettingError, match="classes: 0 names"):
        make_taxonomy([])
    with pytest.raises(SettingError, match="classes: id 3 stands twice"):
        make_taxonomy({"a": 3, "b": [1, 3]})
    with pytest.raises(SettingError, match="classes: id 1 stands twice"):
        make_taxonomy(["a", "b"], ignore=[1])
    with pytest.raises(SettingError, match="colours: 1 colours for 2 classes"):
        make_taxonomy(["a", "b"], colours=[(0, 0, 0)])


def test_settings_are_checked_by_the_catalog() -> None:
    with pytest.raises(SettingError, match=r"ignore\.0"):
        choose("data", "folder", {"root": "x", "classes": ["a"], "ignore": [70000]})
    with pytest.raises(SettingError, match="classes"):
        choose("data", "folder", {"root": "x", "classes": "a"})

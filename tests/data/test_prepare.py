"""`harness data prepare`: masks on disk that say what the Cityscapes reader says, whole and resumable."""

import hashlib
import sys

import numpy as np
import PIL.Image
import pytest
from layout_trees import make_cityscapes

from harness import registry
from harness.cli.app import main
from harness.data import open_whole
from harness.data.convert import convert, find_annotations
from harness.data.label_sets import find_taxonomy, read_taxonomy
from harness.data.layouts import recognise
from harness.errors import HarnessError, InputError


@pytest.fixture
def call(monkeypatch, capsys):
    """Run the program in this process; return its exit code, stdout and stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["harness", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, *capsys.readouterr()

    return run


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return an empty folder, with a small Cityscapes in `city`, that the test works in."""
    monkeypatch.chdir(tmp_path)
    make_cityscapes(tmp_path / "city")
    return tmp_path


def contents(root):
    return {path: hashlib.sha256(path.read_bytes()).digest() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("taxonomy", ["cityscapes34", "cityscapes19", "cityscapes10", "cityscapes7"])
def test_the_folder_data_set_reads_what_cityscapes_reads(place, taxonomy):
    before = contents(place / "city")
    list(convert(find_annotations(place / "city", ("train", "val")), find_taxonomy(taxonomy), place / "out"))
    layout = recognise(place / "out")[0]
    ours = open_whole(registry.choose("data", "folder", layout.settings))
    theirs = open_whole(registry.choose("data", "cityscapes", {"root": str(place / "city"), "taxonomy": taxonomy}))
    assert (ours.taxonomy.classes, ours.taxonomy.colours) == (theirs.taxonomy.classes, theirs.taxonomy.colours)
    for name, split in theirs.splits.items():
        mine = ours.splits[name]
        assert (mine.names, mine.groups) == (split.names, split.groups)
        for index in range(len(split.names)):
            np.testing.assert_array_equal(mine.read_label(index), split.read_label(index))
            np.testing.assert_array_equal(mine.read_image(index), split.read_image(index))
    assert contents(place / "city") == before


def test_masks_are_plain_8_bit_indices_in_the_same_tree(place):
    list(convert(find_annotations(place / "city", ("val",)), find_taxonomy("cityscapes19"), place / "out"))
    with PIL.Image.open(place / "out/gtFine/val/lindau/lindau_000000_000019_gtFine_mask.png") as mask:
        assert mask.mode == "L"
        made = np.array(mask)
    raw = np.array(PIL.Image.open(place / "city/gtFine/val/lindau/lindau_000000_000019_gtFine_labelIds.png"))
    by_hand = {7: 0, 8: 1, 11: 2, 21: 8, 23: 10, 24: 11, 26: 13, 0: 255}
    np.testing.assert_array_equal(made, np.vectorize(by_hand.get)(raw))


def test_class_list_beside_the_masks(place):
    list(convert(find_annotations(place / "city", ("val",)), find_taxonomy("cityscapes10"), place / "out"))
    written, given = read_taxonomy(place / "out/taxonomy.yaml"), find_taxonomy("cityscapes10")
    assert (written.classes, written.colours, written.parents) == (given.classes, given.colours, given.parents)
    assert dict(written.class_of) == {**{index: index for index in range(10)}, 255: 255}


def states(place, taxonomy="cityscapes19"):
    found = find_annotations(place / "city", ("train", "val"))
    return [item.state for item in convert(found, find_taxonomy(taxonomy), place / "out")]


def test_what_is_whole_and_of_the_same_content_is_kept(place):
    assert states(place) == ["written"] * 7
    first, second, third = sorted((place / "out/gtFine/train").rglob("*.png"))[:3]
    before = contents(place / "out")
    first.write_bytes(first.read_bytes()[:-20])
    second.unlink()
    source = place / "city" / third.relative_to(place / "out")
    source = source.with_name(source.name.replace("_mask", "_labelIds"))
    flipped = np.array(PIL.Image.open(source))[:, ::-1]
    PIL.Image.fromarray(flipped).save(source)
    assert states(place) == ["written"] * 3 + ["kept"] * 4
    after = contents(place / "out")
    assert {path for path in after if after[path] != before[path]} == {
        third,
        linked(place, third),
        place / "out/checksums.json",
    }
    assert states(place) == ["kept"] * 7
    assert states(place, "cityscapes7") == ["written"] * 7


def linked(place, mask):
    return place / "out/train/masks" / mask.name.replace("_gtFine_mask", "_mask")


def test_an_interrupted_call_is_continued(place):
    steps = convert(find_annotations(place / "city", ("train", "val")), find_taxonomy("cityscapes19"), place / "out")
    assert [next(steps).state for _ in range(3)] == ["written"] * 3
    steps.close()
    assert states(place) == ["kept"] * 3 + ["written"] * 4


def test_bad_annotations_are_skipped_counted_and_listed(place, call):
    next((place / "city/gtFine/train/zurich").glob("*_labelIds.png")).unlink()
    cut = next((place / "city/gtFine/val/lindau").glob("*_labelIds.png"))
    cut.write_bytes(cut.read_bytes()[:60])
    code, out, err = call("data", "prepare", "city")
    missing = "there is no gtFine/train/zurich/"
    listed = (place / "prepared/cityscapes19/skipped.txt").read_text().splitlines()
    assert code == 0
    assert out.splitlines() == [
        "prepared/cityscapes19: 5 masks of 19 classes, 0 of them there already; 2 skipped, listed in "
        "prepared/cityscapes19/skipped.txt",
        "use them: harness init prepared/cityscapes19 --out STUDY.yaml writes a study on them (data set folder)",
    ]
    assert sum(line.startswith("warning: ") for line in err.splitlines()) == 2
    assert missing in err
    assert [line.split("\t")[0].split("_")[0] for line in listed] == ["zurich", "lindau"]
    assert "cannot be read" in listed[1]
    assert not list((place / "prepared/cityscapes19").rglob(f"{cut.name[:20]}*"))
    assert call("data", "prepare", "city", "--strict")[0] == 1
    assert call("data", "prepare", "city", "--split", "train", "--max-images", "1", "--strict")[0] == 0
    assert not (place / "prepared/cityscapes19/skipped.txt").exists()


def test_at_most_so_many_of_each_split_over_all_cities(place):
    found = find_annotations(place / "city", ("train", "val"), 2)
    assert [(item.split, item.city) for item in found] == [
        ("train", "aachen"),
        ("train", "zurich"),
        ("val", "lindau"),
        ("val", "lindau"),
    ]


def test_the_view_holds_what_the_last_call_asked_for(place):
    states(place)
    list(convert(find_annotations(place / "city", ("train",), 1), find_taxonomy("cityscapes19"), place / "out"))
    assert len(list((place / "out/train/images").iterdir())) == len(list((place / "out/train/masks").iterdir())) == 1


def test_unknown_ids_end_it(place):
    own = place / "own.yaml"
    own.write_text("name: own\nclasses:\n  - {name: road, ids: [7]}\n")
    with pytest.raises(InputError, match="label ids without a class: 0 "):
        list(convert(find_annotations(place / "city", ("val",)), find_taxonomy(str(own)), place / "out"))


def test_a_full_disk_says_how_to_go_on(place, monkeypatch):
    def full(path, fill):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("harness.data.convert.write_whole", full)
    with pytest.raises(
        HarnessError, match="No space left on device; what is there is whole, and the same command goes"
    ):
        states(place)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("city", "--split", "test"), "--split test: its published labels hold nothing but void; give train or val"),
        (("city", "--split", "trian"), "--split trian; give train or val"),
        (("nowhere",), "nowhere: there is no such folder: /"),
        ((".",), "prepared/cityscapes19 would lie within the data's own folder; say where to write with --out FOLDER"),
        (("city", "--taxonomy", "cityscape10"), "no taxonomy is named 'cityscape10'; did you mean 'cityscapes10'?"),
    ],
)
def test_wrong_input_is_one_message(place, call, arguments, told):
    code, out, err = call("data", "prepare", *arguments)
    assert (code, out) == (2, "")
    assert told in err
    assert len(err.splitlines()) == 1
    assert not (place / "prepared").exists()


def test_a_mask_that_changed_since_is_refused_with_the_command_that_mends_it(place, call):
    assert call("data", "prepare", "city", "--taxonomy", "cityscapes10", "--out", "ours")[0] == 0
    settings = recognise(place / "ours")[0].settings
    before = contents(place / "ours")
    written = [path for path in before if not path.is_symlink() and "images" not in path.parts]
    for path in {path.resolve() for path in written if path.resolve().is_relative_to(place / "ours")}:
        content = path.read_bytes()
        path.write_bytes(content[:-20] + bytes([content[-20] ^ 1]) + content[-19:])
        with pytest.raises(InputError, match=r"damaged|does not match|no JSON") as caught:
            open_whole(registry.choose("data", "folder", settings))
        assert str(caught.value).endswith(f"harness data prepare, with --out {place / 'ours'}, makes it again")
        assert call("data", "prepare", "city", "--taxonomy", "cityscapes10", "--out", "ours")[0] == 0
        assert contents(place / "ours") == before
        open_whole(registry.choose("data", "folder", settings))

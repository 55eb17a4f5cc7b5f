"""What is guessed of a folder is right, and is said on the terminal."""

import sys
from itertools import combinations

import numpy as np
import PIL.Image
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from layout_trees import labels, make_camvid, make_cityscapes, make_kaggle, make_offroad, picture, save

from harness import registry
from harness.cli.app import main
from harness.data import open_whole
from harness.data.guessed_classes import is_void
from harness.data.layouts import recognise
from harness.errors import InputError

CLASSES = ("background", "cat", "floor")
COLOURS = [0, 0, 0, 128, 0, 0, 0, 128, 0]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def make_voc(root, *, names=None, number=8, train=6, ids=(0, 1, 2, 255)):
    """Make JPEGImages/ and SegmentationClass/ (palette), lists of train and val, and a CVAT label map."""
    for index in range(number):
        save(root / "JPEGImages" / f"p{index}.jpg", picture(index))
        mask = PIL.Image.fromarray(labels(index, ids).astype(np.uint8))
        mask.putpalette(COLOURS + [224] * (768 - len(COLOURS)))
        (root / "SegmentationClass").mkdir(exist_ok=True)
        mask.save(root / "SegmentationClass" / f"p{index}.png")
    lists = names or {"train": [f"p{k}" for k in range(train)], "val": [f"p{k}" for k in range(train, number)]}
    for split, members in lists.items():
        write(root / "ImageSets/Segmentation" / f"{split}.txt", "\n".join(members))
    rows = [f"{name}:{','.join(map(str, COLOURS[3 * k : 3 * k + 3]))}::" for k, name in enumerate(CLASSES)]
    write(root / "labelmap.txt", "# label:color_rgb:parts:actions\n" + "\n".join(rows))
    return root


def make_beside(root, *, splits=("train", "valid"), suffix="_mask", number=5):
    """Make pictures with their masks beside them in the folder of each split, and `_classes.csv`."""
    for split in splits:
        for index in range(number):
            save(root / split / f"f{index}_jpg.rf.abc.jpg", picture(index))
            save(root / split / f"f{index}_jpg.rf.abc{suffix}.png", labels(index, (0, 1, 2)).astype(np.uint8))
        write(root / split / "_classes.csv", "Pixel Value, Class\n0, background\n1, cat\n2, floor\n")
    return root


def make_inside(root, images="images", masks="annotations"):
    """Make the folders of splits inside those of images and masks, as ADE20K has them."""
    for split, number in (("training", 5), ("validation", 2)):
        for index in range(number):
            save(root / images / split / f"f{index}.jpg", picture(index))
            save(root / masks / split / f"f{index}.png", labels(index, (0, 3, 7)).astype(np.uint8))
    return root


def make_plain(root, *, ids=(0, 1, 255), masks="masks", images="images", suffix="", listed=None, number=9):
    for index in range(number):
        save(root / images / f"f{index}.png", picture(index))
        save(root / masks / f"f{index}{suffix}.png", labels(index, ids).astype(np.uint8))
    if listed is not None:
        write(root / "classes.txt", "\n".join(listed))
    return root


def make_cities(root):
    for index in range(8):
        name = f"{('aachen', 'bonn', 'kiel', 'ulm')[index % 4]}_{index:06}_000019"
        save(root / "images" / f"{name}.png", picture(index))
        save(root / "masks" / f"{name}.png", labels(index, (0, 1)).astype(np.uint8))
    return root


def make_one_orphan(root):
    next((make_plain(root) / "masks").iterdir()).unlink()
    return root


def make_one_damaged(root):
    (make_plain(root) / "masks" / "f2.png").write_bytes(b"\x89PNG")
    return root


def opened(root):
    """Return the settings that were recognised, and the data set that they open."""
    layout = recognise(root)[0]
    return layout, open_whole(registry.choose("data", layout.name, layout.settings))


def members(source):
    return {name: list(split.names) for name, split in source.splits.items()}


def test_lists_of_voc_divide_and_the_label_map_names(tmp_path):
    layout, source = opened(make_voc(tmp_path / "d"))
    assert members(source) == {"train": [f"p{k}" for k in range(6)], "val": ["p6", "p7"]}
    assert layout.settings["classes"] == {"background": 0, "cat": 1, "floor": 2}
    assert layout.settings["ignore"] == [255]
    assert layout.settings["colours"] == [[0, 0, 0], [128, 0, 0], [0, 128, 0]]
    assert source.listed == source.check() == ()


def test_the_palette_says_which_name_an_id_has_where_the_order_is_another(tmp_path):
    root = make_voc(tmp_path / "d")
    head, *rows = (root / "labelmap.txt").read_text().splitlines()
    write(root / "labelmap.txt", "\n".join([head, *reversed(rows)]))
    assert opened(root)[0].settings["classes"] == {"background": 0, "cat": 1, "floor": 2}


def test_lists_may_have_paths_and_endings_and_what_they_name_must_be_there(tmp_path):
    lists = {"train": ["JPEGImages/p0.jpg SegmentationClass/p0.png", "p1.jpg", "p2", "gone"], "val": ["p5"]}
    _, source = opened(make_voc(tmp_path / "d", names=lists))
    assert members(source) == {"train": ["p0", "p1", "p2"], "val": ["p5"]}
    assert [(fault.split, fault.name, fault.kind) for fault in source.listed] == [
        ("train", "gone", "listed images that are missing")
    ]


def test_pictures_that_no_list_names_are_no_faults(tmp_path):
    root = make_voc(tmp_path / "d")
    for index in (20, 21):
        save(root / "JPEGImages" / f"p{index}.jpg", picture(index))
    assert opened(root)[1].listed == ()


@pytest.mark.parametrize("names", [{"train": ["p1"]}, {"default": ["p1"]}, {"train": ["x"], "val": ["y"]}], ids=str)
def test_lists_that_divide_nothing_are_named_and_not_used(tmp_path, names):
    layout, source = opened(make_voc(tmp_path / "d", names=names))
    assert sum(map(len, members(source).values())) == 8
    assert "chosen by a hash" in layout.guesses["division"]
    assert ("train.txt" in layout.guesses["division"]) == ("train" in names)


def test_pictures_and_masks_in_one_folder(tmp_path):
    layout, source = opened(make_beside(tmp_path / "d"))
    assert {name: len(split.names) for name, split in source.splits.items()} == {"train": 5, "val": 5}
    assert not [name for split in source.splits.values() for name in split.names if name.endswith("_mask")]
    assert layout.settings["mask_suffix"] == "_mask"
    assert layout.settings["classes"] == {"background": 0, "cat": 1, "floor": 2}
    assert source.listed == source.check() == ()


@pytest.mark.parametrize("suffix", ["_mask", "-seg", ".label", "_L"])
def test_masks_beside_pictures_are_no_pictures_when_said_by_hand(tmp_path, suffix):
    root = make_beside(tmp_path / "d", suffix=suffix)
    save(root / "train" / f"alone{suffix}.png", labels(1, (0, 1)).astype(np.uint8))
    settings = {"images": ".", "masks": ".", "mask_suffix": suffix, "splits": {"train": "train", "val": "valid"}}
    source = open_whole(registry.choose("data", "folder", {"root": str(root), "classes": list(CLASSES), **settings}))
    assert {name: len(split.names) for name, split in source.splits.items()} == {"train": 5, "val": 5}
    assert [fault.kind for fault in source.listed] == ["labels without an image"]


def test_one_folder_without_a_suffix_is_refused(tmp_path):
    wanted = {"root": str(make_beside(tmp_path)), "images": "train", "masks": "train", "classes": ["a", "b", "c"]}
    with pytest.raises(InputError, match="images and masks lie in one folder; write mask_suffix"):
        open_whole(registry.choose("data", "folder", wanted))


def test_numbered_frames_are_not_taken_for_masks_of_each_other(tmp_path):
    for index in range(12):
        save(tmp_path / "d" / f"frame{index}.png", picture(index))
    with pytest.raises(InputError, match="no known data set"):
        recognise(tmp_path / "d")


@pytest.mark.parametrize(("images", "masks"), [("images", "annotations"), ("img_dir", "ann_dir")])
def test_folders_of_splits_inside_those_of_images_and_masks(tmp_path, images, masks):
    layout, source = opened(make_inside(tmp_path / "d", images, masks))
    assert {name: len(split.names) for name, split in source.splits.items()} == {"train": 5, "val": 2}
    assert layout.settings["images"] == f"{images}/{{split}}"
    assert source.check() == ()


def test_soft_edges_are_refused_and_scaled_greys_are_classes(tmp_path):
    soft, grey = tmp_path / "soft", make_plain(tmp_path / "grey", ids=(0, 127, 255))
    for index in range(6):
        save(soft / "images" / f"p{index}.png", picture(index, (64, 64)))
        square = np.zeros((64, 64), np.uint8)
        square[10 + index : 40, 20:50] = 255
        mask = PIL.Image.fromarray(square).rotate(7, PIL.Image.Resampling.BILINEAR)
        save(soft / "masks" / f"p{index}.png", np.asarray(mask))
    with pytest.raises(InputError, match=r"were resampled or saved as JPEG: ids 0, 255 fill regions, and \d+ others"):
        recognise(soft)
    assert opened(grey)[0].settings["classes"] == {"class_0": 0, "class_127": 127, "class_255": 255}
    assert "ignore" not in opened(grey)[0].settings


@given(st.integers(2, 26), st.sampled_from([np.floor, np.round, np.ceil]))
def test_255_is_a_class_among_scaled_greys(levels, rounding):
    assert not is_void({int(rounding(255 * k / (levels - 1))) for k in range(levels)})


@pytest.mark.parametrize("levels", [3, 4, 5])
def test_255_is_a_class_where_some_scaled_greys_do_not_occur_or_are_rounded_both_ways(levels):
    greys = [round(255 * k / (levels - 1)) for k in range(levels - 1)]
    for number in range(1, levels):
        assert not any(is_void({*chosen, 255}) for chosen in combinations(greys, number))
    assert not is_void({0, 127, 128, 255})


@given(st.integers(0, 2), st.integers(2, 200), st.data())
def test_255_is_void_beside_class_ids(first, number, data):
    ids = set(range(first, first + number))
    absent = data.draw(st.sets(st.sampled_from(sorted(ids)), max_size=number // 4))
    assert is_void({*(ids - absent), 255}) or len(ids - absent) < 2


@given(st.sets(st.integers(256, 65535), min_size=1), st.sets(st.integers(0, 254)))
def test_255_is_a_class_where_ids_go_beyond_it(beyond, below):
    assert not is_void({*beyond, *below, 255})


@pytest.mark.parametrize(
    ("ids", "names", "classes"),
    [
        ((0, 1, 2), ["road", "sky", "tree"], {"road": 0, "sky": 1, "tree": 2}),
        ((0, 2), ["road", "sky", "tree"], {"road": 0, "sky": 1, "tree": 2}),
        ((0, 1, 255), ["road", "sky"], {"road": 0, "sky": 1}),
        ((0, 255), ["road", "sky"], {"road": 0, "sky": 255}),
        ((0, 127, 255), ["road", "sky", "tree"], {"road": 0, "sky": 127, "tree": 255}),
        ((0, 1, 2), ["__ignore__", "road", "sky", "tree"], {"road": 0, "sky": 1, "tree": 2}),
        ((4, 9), ["4 road", "9: sky"], {"road": 4, "sky": 9}),
        ((0, 1, 2), ["sky", "tree"], {"class_0": 0, "class_1": 1, "class_2": 2}),
        ((0, 1), ["same", "same"], {"class_0": 0, "class_1": 1}),
    ],
)
def test_names_of_a_list_are_given_to_ids_only_where_it_fits(tmp_path, ids, names, classes):
    layout, _ = opened(make_plain(tmp_path / "d", ids=ids, listed=names))
    assert layout.settings["classes"] == classes


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"\x89PNG", "damaged"), (b"", "not a picture"), ("too large", "are too many")],
    ids=["cut", "empty", "too large"],
)
def test_the_reason_why_no_mask_can_be_read_is_said(tmp_path, monkeypatch, content, reason):
    root = make_plain(tmp_path / "d")
    for path in (root / "masks").iterdir():
        if isinstance(content, bytes):
            path.write_bytes(content)
    if not isinstance(content, bytes):
        monkeypatch.setattr("harness.data.stored.MOST_PIXELS", 100)
    with pytest.raises(InputError, match=rf"no mask in {root}/masks can be read \(9 masks were tried\): .*{reason}"):
        recognise(root)


LAYOUTS = {
    "cityscapes": make_cityscapes,
    "cityscapes, coarse": lambda root: make_cityscapes(root, coarse=True),
    "offroad": make_offroad,
    "offroad with background": lambda root: make_offroad(root, ids=(0, 100, 200, 600)),
    "kaggle_cityscapes": make_kaggle,
    "camvid": make_camvid,
    "VOC": make_voc,
    "beside": make_beside,
    "inside": make_inside,
    "plain": make_plain,
    "greys": lambda root: make_plain(root, ids=(0, 127, 255)),
    "suffix and names": lambda root: make_plain(root, images="imgs", masks="SegmentationClass", suffix="_L"),
    "names listed": lambda root: make_plain(root, listed=["road", "sky"]),
    "train without val": lambda root: make_plain(root / "train").parent,
    "cities": make_cities,
    "an orphan": make_one_orphan,
    "a damaged mask": make_one_damaged,
}


def said_of(key, value):
    """Return the words of which the terminal must show one where a setting was guessed."""
    named = [*value.values()] if isinstance(value, dict) else [value]
    return {
        "classes": ["class_", "named by", *(value if isinstance(value, dict) else ())],
        "ignore": [f"id {item}" for item in value] if isinstance(value, list) else [],
        "colours": ["named by", "palette"],
        "on_bad_image": ["left out"],
        "inputs": ["pictures alone"],
        "images": [str(value).removesuffix("/{split}"), "one folder"],
        "masks": [str(value).removesuffix("/{split}"), "one folder"],
    }.get(key, [str(item) for item in named])


@pytest.mark.parametrize(
    ("command", "name"),
    [*(("init", name) for name in LAYOUTS), ("audit", "offroad"), ("audit", "VOC"), ("audit", "plain")],
)
def test_each_guess_is_on_the_terminal(tmp_path, monkeypatch, capfd, name, command):
    monkeypatch.chdir(tmp_path)
    LAYOUTS[name](tmp_path / "d")
    arguments = ["data", "audit", "d"] if command == "audit" else ["init", "d"]
    monkeypatch.setattr(sys, "argv", ["harness", *arguments])
    with pytest.raises(SystemExit):
        main()
    told = "".join(capfd.readouterr())
    if command == "init":
        data = yaml.safe_load((tmp_path / "study.yaml").read_text())["base"]["data"]
    else:
        data = {"name": recognise(tmp_path / "d")[0].name, **recognise(tmp_path / "d")[0].settings}
    for key, value in data.items():
        if key not in ("root", "size"):
            assert any(word in told for word in said_of(key, value)), (key, value, told)
    if data["name"] == "folder" and "splits" not in data:
        assert "chosen by a hash" in told
    assert ("counts as independent" in told) or ("can be resampled" in told)
    assert ("left out:" in told) == (name == "an orphan")
    assert ("unread:" in told) == (name == "a damaged mask")


def test_a_damaged_first_mask_does_not_hide_the_palette_of_the_others(tmp_path):
    root = make_voc(tmp_path / "d")
    first = min((root / "SegmentationClass").iterdir())
    first.write_bytes(b"xx")
    layout, _ = opened(root)
    assert "palette" in layout.guesses["classes"]
    assert first.name in layout.guesses["unread"]

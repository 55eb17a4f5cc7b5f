"""Taxonomies: the shipped ones against cityscapesScripts, files of one's own, moved ids."""

import json

import numpy as np
import pytest
from cityscapesscripts.helpers import labels as official

from harness.data.label_sets import find_taxonomy, move_ids, read_taxonomy, shipped_taxonomies, shipped_taxonomy
from harness.data.taxonomy import IGNORE
from harness.errors import InputError, SettingError
from harness.report.study.common_labels import LabelSet, map_classes

WITH_ID = [label for label in official.labels if label.id >= 0]
COUNTED = sorted((label for label in WITH_ID if not label.ignoreInEval), key=lambda label: label.trainId)


def test_what_is_shipped():
    assert shipped_taxonomies() == (
        "camvid-11",
        "cityscapes10",
        "cityscapes19",
        "cityscapes34",
        "cityscapes7",
        "offroad",
        "offroad-background",
    )


@pytest.mark.parametrize("name", shipped_taxonomies())
def test_every_shipped_taxonomy_is_whole(name):
    taxonomy = shipped_taxonomy(name)
    assert taxonomy.name == name
    number = len(taxonomy.classes)
    assert len(set(taxonomy.classes)) == len(taxonomy.colours) == len(taxonomy.parents) == number
    assert len(set(taxonomy.colours)) == number or name == "cityscapes34", "its own table gives void ids one colour"
    assert {index for index in taxonomy.class_of.values() if index != IGNORE} == set(range(len(taxonomy.classes)))


def test_cityscapes_agrees_with_its_own_table():
    all_ids, benchmark = shipped_taxonomy("cityscapes34"), shipped_taxonomy("cityscapes19")
    assert all_ids.classes == tuple(label.name for label in WITH_ID)
    assert all_ids.colours == tuple(label.color for label in WITH_ID)
    assert all_ids.class_of == {label.id: label.id for label in WITH_ID}
    assert all_ids.parents == tuple(label.category for label in WITH_ID)
    assert benchmark.classes == tuple(label.name for label in COUNTED)
    assert benchmark.colours == tuple(label.color for label in COUNTED)
    assert benchmark.parents == tuple(label.category for label in COUNTED)
    assert benchmark.class_of == {label.id: label.trainId if not label.ignoreInEval else IGNORE for label in WITH_ID}


def test_the_seven_are_the_categories():
    seven = shipped_taxonomy("cityscapes7")
    told = {label.id: IGNORE if label.ignoreInEval else seven.classes.index(label.category) for label in WITH_ID}
    assert seven.class_of == told


def test_the_ten_merge_as_said():
    ten = shipped_taxonomy("cityscapes10")
    by_class = {name: {raw for raw, index in ten.class_of.items() if index == k} for k, name in enumerate(ten.classes)}
    names = {label.id: label.name for label in WITH_ID}
    assert {name: {names[raw] for raw in raws} for name, raws in by_class.items()} == {
        "road": {"road", "sidewalk"},
        "structure": {"wall", "fence", "building"},
        "traffic object": {"traffic light", "traffic sign", "pole"},
        "vegetation": {"vegetation"},
        "terrain": {"terrain"},
        "sky": {"sky"},
        "person": {"person", "rider"},
        "car": {"car"},
        "large vehicle": {"truck", "bus", "train"},
        "two-wheeler": {"motorcycle", "bicycle"},
    }


def as_set(name: str) -> LabelSet:
    taxonomy = shipped_taxonomy(name)
    return LabelSet(taxonomy.name, taxonomy.classes, taxonomy.class_of)


def test_maps_between_label_sets():
    chain = ["cityscapes34", "cityscapes19", "cityscapes10"]
    for place, fine in enumerate(chain):
        for coarse in chain[place:]:
            assert map_classes(as_set(fine), as_set(coarse)) is not None
        for finer in chain[:place]:
            assert map_classes(as_set(fine), as_set(finer)) is None
    assert map_classes(as_set("cityscapes19"), as_set("cityscapes7")) is not None
    assert map_classes(as_set("cityscapes10"), as_set("cityscapes7")) is not None, "ten and seven nest"
    dropped = map_classes(as_set("offroad"), as_set("offroad-background"))
    assert dropped == (1, 2, 3, 4, 5, 0, 6, 7, 8, 9)
    assert map_classes(as_set("offroad-background"), as_set("offroad")) is None


def test_the_background_taxonomy_warns():
    assert "cannot be compared" in shipped_taxonomy("offroad-background").warning
    assert shipped_taxonomy("offroad").warning == ""


def test_moved_ids():
    ten = move_ids(shipped_taxonomy("cityscapes10"), {"person": 33, "ignored": [19, 17]})
    assert ten.class_of[33] == ten.classes.index("person")
    assert ten.class_of[19] == ten.class_of[17] == IGNORE
    assert ten.name == "cityscapes10(33>person,19+17>ignored)"
    with pytest.raises(SettingError, match="no id is left for two-wheeler"):
        move_ids(shipped_taxonomy("cityscapes10"), {"person": [32, 33]})
    with pytest.raises(SettingError, match=r"move\.persn: no class is named 'persn'; did you mean 'person'\?"):
        move_ids(shipped_taxonomy("cityscapes10"), {"persn": 33})


OWN = """\
name: mine
classes:
  - {name: ground, ids: [0, 2], parent: below}
  - {name: thing, ids: [1], colour: [1, 2, 3]}
ignored: [255]
"""


def test_a_file_of_ones_own(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(OWN)
    taxonomy = find_taxonomy(str(path))
    assert (taxonomy.name, taxonomy.classes) == ("mine", ("ground", "thing"))
    assert taxonomy.class_of == {0: 0, 2: 0, 1: 1, 255: IGNORE}
    assert taxonomy.colours[1] == (1, 2, 3)
    assert taxonomy.class_map.take(np.array([0, 1, 2, 255, 7])).tolist() == [0, 1, 0, 255, 256]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("ids: [1]", "ids: [2]"), "{path}:4:25: classes.1.ids.0: the id 2 stands twice; a pixel has one class"),
        (("ids: [1]", "ids: [70000]"), "{path}:4:25: classes.1.ids.0: 70000 was given; it must be a whole number"),
        (("name: thing", "name: ground"), "{path}:4:12: classes.1.name: the class 'ground' stands twice"),
        (("name: thing", "naem: thing"), "{path}:4:6: classes.1.naem: there is no such key; did you mean 'name'?"),
        (("[1, 2, 3]", "[1, 2]"), "{path}:4:37: classes.1.colour: [1, 2] was given; it must be red, green and blue"),
        (("name: mine\n", ""), "{path}:1:1: the key 'name' is missing"),
    ],
)
def test_wrong_files_are_told_with_their_place(tmp_path, change, told):
    path = tmp_path / "mine.yaml"
    path.write_text(OWN.replace(*change))
    with pytest.raises(InputError) as caught:
        read_taxonomy(path)
    assert str(caught.value).startswith(told.format(path=path))


def test_unknown_names_list_the_known(tmp_path):
    with pytest.raises(SettingError, match="no taxonomy is named 'cityscape19'; did you mean 'cityscapes19'"):
        find_taxonomy("cityscape19")
    with pytest.raises(InputError, match=r"nowhere\.yaml: there is no such file"):
        find_taxonomy(str(tmp_path / "nowhere.yaml"))


def test_class_of_goes_through_json():
    class_of = shipped_taxonomy("cityscapes10").class_of
    assert dict(json.loads(json.dumps(sorted(class_of.items())))) == class_of

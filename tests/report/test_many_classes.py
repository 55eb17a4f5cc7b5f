"""Reports of more classes than a reader takes in: those that tell most are shown, files hold all."""

import csv
import json
import time

import numpy as np
import pytest
from PIL import Image

from harness.report.page.many_classes import MOST_CLASSES, extremes, most_wrong
from harness.report.write import write_report

NAMES = [f"class {number:03}" for number in range(150)]
SHOWN = 40


@pytest.fixture(scope="module")
def wide(simulate, tmp_path_factory):
    """The report folder of two variants on 150 classes, of which 30 never occur, and the seconds that it took."""
    shares = np.array([0.0 if number % 5 == 0 else 1.0 + number for number in range(150)])
    colours = {name: (number, 255 - number, 90) for number, name in enumerate(NAMES)}
    made = simulate({"plain": 0.6, "better": 0.7}, colours=colours, shares=shares / shares.sum(), splits=("val",))
    folder, began = tmp_path_factory.mktemp("wide"), time.process_time()
    write_report(made.plan, made.results, folder)
    return folder, time.process_time() - began


def test_it_takes_seconds(wide):
    assert wide[1] < 40  # every cell with a patch of its own took minutes


def test_tables_show_both_ends_and_say_where_the_rest_is(wide):
    folder, _ = wide
    text = (folder / "report.md").read_text()
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| class 0")]
    rows += [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| class 1")]
    assert all(rows.count(name) <= 3 for name in NAMES)
    assert f"{SHOWN} of 150 classes are shown: the 20 with the lowest and the 20 with the highest mean IoU." in text
    assert f"{SHOWN} of 150 classes are shown: the 20 with the lowest and the 20 with the highest mean diff" in text
    with (folder / "tables" / "iou_class.csv").open() as file:
        of_plain = {row["class"]: row["mean"] for row in csv.DictReader(file) if row["variant"] == "plain"}
    assert list(of_plain) == NAMES
    assert len([item["name"] for item in json.loads((folder / "report.json").read_text())["classes"]]) == 150


def test_figures_fit_a_screen_or_two(wide):
    folder, _ = wide
    for path in (folder / "figures").glob("*.png"):
        with Image.open(path) as picture:
            assert max(picture.size) < 2400, path.name


def test_extremes_are_all_or_both_ends():
    few = {name: None for name in NAMES[:MOST_CLASSES]}
    assert extremes(few) == tuple(few)  # in their own order, with or without a value
    many = {name: float(-number) for number, name in enumerate(NAMES)} | {"absent": None}
    assert extremes(many) == (*reversed(NAMES[-20:]), *reversed(NAMES[:20]))
    assert extremes({name: 1.0 if name < "class 005" else None for name in NAMES}) == tuple(NAMES[:5])


def test_the_most_wrong_classes_are_those_with_most_wrong_pixels_in_rows_and_columns():
    assert most_wrong(np.zeros((MOST_CLASSES, MOST_CLASSES), int)).tolist() == list(range(MOST_CLASSES))
    confusion = np.zeros((150, 150), int)
    confusion[7, 99] = 5  # 7 is missed, 99 is said wrongly
    confusion[3, 3] = 1000
    assert most_wrong(confusion).tolist() == [3, 7, 99]
    confusion += np.diag(np.full(150, 10))
    shown = most_wrong(confusion)
    assert {3, 7, 99} <= set(shown.tolist())
    assert len(shown) == SHOWN

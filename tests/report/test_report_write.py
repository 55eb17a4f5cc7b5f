"""Reports on disk: the same bytes twice, valid against the schema, nothing unknown touched, names that bite."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from PIL import Image

import harness.report
from harness.records import RunResult
from harness.report.figures.examples import draw_confusion, draw_examples
from harness.report.page.markdown import render_markdown
from harness.report.page.sections import make_page
from harness.report.page.sentences import conclude
from harness.report.page.text import code, escape, fenced, points, setting
from harness.report.study.record import report_schema, to_json
from harness.report.study.summary import summarise
from harness.report.write import write_report

SCHEMA = Path(harness.report.__file__).parent / "report.schema.json"


@pytest.fixture(scope="module")
def written(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports") / "phase3"
    return folder, write_report(study.plan, study.results, folder)


def all_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_shipped_schema_is_the_models_schema():
    assert SCHEMA.read_text() == to_json(report_schema()), (
        "regenerate it: python -m harness.report.study.record > harness/report/report.schema.json"
    )


def test_every_listed_file_is_written_and_no_other(written):
    folder, report = written
    listed = {*(f"figures/{name}" for name in report.figures), *(f"tables/{name}" for name in report.tables)}
    assert set(all_files(folder)) == listed | {"report.md", "report.html", "report.json"}
    assert {"curves.png", "scores.png", "iou_class.png", "delta_class.png", "examples.png"} < set(report.figures)


def test_json_validates_and_says_what_the_record_says(written):
    folder, report = written
    data = json.loads((folder / "report.json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    jsonschema.validate(data, json.loads(SCHEMA.read_text()))
    assert type(report).model_validate(data) == report


def test_same_results_same_bytes(written, study, tmp_path):
    folder, _ = written
    write_report(study.plan, study.results, tmp_path / "again")
    assert all_files(tmp_path / "again") == all_files(folder)


def test_pictures_hold_neither_date_nor_version_and_are_not_too_large(written):
    folder, report = written
    for name in report.figures:
        with Image.open(folder / "figures" / name) as picture:
            assert set(picture.info) == {"dpi"}
            assert picture.info["dpi"] == pytest.approx((150, 150), abs=0.1)
            assert 600 < picture.width < 2000


def test_markdown_gives_every_seed_and_every_link_leads_somewhere(written):
    folder, report = written
    text = (folder / "report.md").read_text()
    for item in report.variants:
        for seed in item.seeds:
            if seed.status == "finished":
                assert f"{100 * seed.scores['val']['miou_dataset']:.1f}" in text
            else:
                assert seed.reason in text
    assert "## What can be said" in text
    for comparison in report.comparisons:
        assert (conclude(comparison.headline, report.margin) in text) == (comparison.split == report.primary)
    assert "Logs" in text.split("so listed and not averaged:")[1][:10]
    targets = [part.split(")")[0] for part in text.split("](")[1:]]
    assert {f"figures/{name}" for name in report.figures} < set(targets)
    assert all((folder / target).is_file() for target in targets)


@pytest.mark.parametrize("case", ["full", "one variant", "nothing finished", "nothing stated"])
def test_blocks_of_the_page_stand_apart(study, simulate, case):
    """A heading, table, list or picture that follows a line of text directly would be read as part of it."""
    one = simulate({"only": 0.7}, (0,), splits=("val",))
    plan, results = {
        "full": (study.plan, study.results),
        "one variant": (one.plan, one.results),
        "nothing finished": (study.plan, {}),
        "nothing stated": (replace(one.plan, spec_text="", command="", margin=0.0), {}),
    }[case]
    lines = render_markdown(make_page(summarise(plan, results))).splitlines()
    for before, line in pairwise(lines):
        kinds = [
            next((mark for mark in ("#", "|", "- ", "![", "<") if text.startswith(mark)), "") for text in (before, line)
        ]
        assert not line or not before or kinds[0] == kinds[1], (before, line)
        assert "None" not in line.replace("None of the", "")
    assert "\n\n\n" not in "\n".join(lines)


def test_tables_hold_the_numbers_of_the_record(written):
    folder, report = written
    with (folder / "tables" / "differences.csv").open() as file:
        rows = list(csv.DictReader(file))
    row = next(r for r in rows if (r["variant"], r["split"], r["name"]) == ("phase3", "test", "Sky"))
    found = next(item for item in report.variants if item.name == "phase3").delta.iou_class["test"]["Sky"]
    assert (float(row["mean"]), float(row["seed1"]), row["seed2"]) == (found.mean, found.values[1], "")
    assert (row["outcome"], row["p_adjusted"], row["correction"]) == ("not judged", "", "")
    claims = [item.headline for item in report.comparisons if (item.against, item.split) == (report.reference, "val")]
    told = {r["variant"]: r for r in rows if (r["split"], r["name"]) == ("val", "miou_dataset")}
    judged = {claim.variant: claim.p_adjusted for claim in claims if claim.p_adjusted is not None}
    assert judged
    assert {name: float(told[name]["p_adjusted"]) for name in judged} == judged
    assert {told[name]["correction"] for name in judged} == {report.correction} == {"holm"}
    with (folder / "tables" / "epochs_head-only_seed0.csv").open() as file:
        epochs = list(csv.DictReader(file))
    assert [int(item["epoch"]) for item in epochs] == list(range(11))
    assert epochs[0]["train/loss"] == ""
    assert epochs[0]["val/iou/Logs"] == ""
    assert float(epochs[3]["val/iou/Sky"]) > 0


def test_only_files_of_an_earlier_report_are_removed(simulate, tmp_path):
    wide = simulate({"a": 0.6, "b": 0.7}, (0,), splits=("val",))
    write_report(wide.plan, wide.results, tmp_path)
    mine = [tmp_path / "figures" / "confusion_mine.png", tmp_path / "tables" / "epochs_x_seed0.csv", tmp_path / "n.txt"]
    for path in mine:
        path.write_text("mine")
    older = json.loads((tmp_path / "report.json").read_text()) | {"version": 1}
    (tmp_path / "report.json").write_text(json.dumps(older))
    narrow = replace(wide.plan, runs=wide.plan.runs[:1])
    write_report(narrow, wide.results, tmp_path)
    assert all(path.read_text() == "mine" for path in mine)
    left = set(all_files(tmp_path))
    assert "figures/confusion_a.png" in left
    assert not left & {"figures/confusion_b.png", "figures/delta_class.png", "tables/epochs_b_seed0.csv"}


@pytest.mark.parametrize("text", ["not json", "{}", '{"figures": ["../../n.txt"]}'])
def test_an_unknown_report_json_removes_nothing(simulate, tmp_path, text):
    made = simulate({"a": 0.6}, (0,), splits=("val",))
    (tmp_path / "report.json").write_text(text)
    (tmp_path / "n.txt").write_text("mine")
    write_report(made.plan, {}, tmp_path)
    assert (tmp_path / "n.txt").read_text() == "mine"


def test_a_listed_path_that_leads_out_of_the_folder_is_not_removed(simulate, tmp_path):
    made = simulate({"a": 0.6}, (0,), splits=("val",))
    folder = tmp_path / "report"
    write_report(made.plan, {}, folder)
    data = json.loads((folder / "report.json").read_text())
    data["figures"] = ["../../n.png"]
    (folder / "report.json").write_text(json.dumps(data))
    (tmp_path / "n.png").write_text("mine")
    write_report(made.plan, {}, folder)
    assert (tmp_path / "n.png").exists()


def test_names_that_bite(simulate, tmp_path):
    names = ["../../etc|<b>x</b>", "_a_", "a/b", "a:b", "$x_1$ `q`", "日本", "x\ny"]
    made = simulate(dict.fromkeys(names, 0.7), (0,), splits=("val",))
    write_report(made.plan, made.results, tmp_path / "deep" / "report")
    assert {path.name for path in tmp_path.iterdir()} == {"deep"}
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {"report"}
    text = (tmp_path / "deep" / "report" / "report.md").read_text()
    assert "<b>" not in text
    assert "../../etc\\|&lt;b&gt;x&lt;/b&gt;" in text
    columns = {line.replace("\\|", "").count("|") for line in text.splitlines() if line.startswith("| ../../etc")}
    headers = {line.count("|") for line in text.splitlines() if line.startswith("| :--")}
    assert columns <= headers


def test_a_study_in_which_everything_failed_is_reported(simulate, tmp_path):
    made = simulate({"a": 0.6, "b": 0.7}, (0, 1))
    results = {run.id: RunResult(run.id, "failed", "out of | memory") for run in made.plan.runs}
    report = write_report(made.plan, results, tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert report.figures == ()
    assert "There are no scores" in text
    assert text.count("out of \\| memory") == 4
    assert "figures/" not in text


def test_many_classes_stay_legible(simulate, tmp_path):
    colours = {f"class number {index}": (7 * index % 256, 90, 255 - index) for index in range(34)}
    shares = np.full(34, 1 / 34)
    made = simulate({"a": 0.6, "b": 0.7}, (0,), colours=colours, shares=shares, splits=("val",))
    write_report(made.plan, made.results, tmp_path)
    with Image.open(tmp_path / "figures" / "confusion_a.png") as picture:
        assert picture.height / 34 > 24  # a line of text of 11 points at 150 dpi


def test_pictures_of_one_run(study, tmp_path):
    result = next(iter(study.results.values()))
    draw_confusion(result.counts["val"], tmp_path / "confusion_matrix.png")
    classes = result.counts["val"].classes
    draw_examples(result.examples, classes, result.colours, tmp_path / "predictions.png")
    with Image.open(tmp_path / "predictions.png") as picture:
        shown = {tuple(colour) for colour in np.asarray(picture.convert("RGB")).reshape(-1, 3)[::7].tolist()}
    assert {result.colours[8], result.colours[9], (0, 0, 0), (110, 110, 110)} <= shown


def test_text_is_shown_as_it_is():
    assert escape("a|b <i> _x_ snake_case *y* #3 [z](q)\nnext") == (
        "a\\|b &lt;i&gt; \\_x\\_ snake_case \\*y\\* \\#3 \\[z\\](q) next"
    )
    assert code("a|b`c") == "``a\\|b`c``"
    assert code("") == "–"
    assert fenced("x\n```\ny", "yaml") == "````yaml\nx\n```\ny\n````"
    assert setting({"size": [64, 64], "p": None}) == "`{size: [64, 64], p: null}`"
    assert setting("none") == "`none`"
    assert setting(None) == "–"
    assert points(-0.0001) == "+0.0"
    assert points(-0.021) == "−2.1"


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("harness.report.write", {"torch", "mlflow", "matplotlib.pyplot", "PIL.ImageTk"}),
        ("harness.report.study.summary", {"torch", "mlflow", "matplotlib", "jinja2"}),
    ],
)
def test_heavy_packages_stay_out(module, absent):
    program = f"import sys, {module}; print(*sorted(set(sys.modules) & {absent!r}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""

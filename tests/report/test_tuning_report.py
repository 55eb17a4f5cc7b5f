"""The tuning report, from simulated results and hand-made trials: what it says, what it draws, stable to the byte."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

import pytest
from PIL import Image

from harness.report.page.markdown import render_markdown
from harness.report.page.model import Table
from harness.report.study.summary import summarise
from harness.spec.load import load_spec
from harness.spec.tuning import Trial
from harness.tune.record import make_record
from harness.tune.report import tuning_page, write_tuning
from harness.tune.winners import SearchOutcome

SPEC = """
study: phase3
question: Which learning rate?
base:
  data: {name: desert}
  model: {name: unet}
  loss: {cross_entropy: {}}
  optimizer: {name: adam, lr: 1.0e-3}
variants:
  plain: {}
tune:
  space:
    optimizer: {choice: [{name: adam}, {name: sgd}]}
    optimizer.lr: {log_uniform: [1.0e-4, 1.0]}
    optimizer.momentum: {uniform: [0.0, 0.9], when: {optimizer.name: sgd}}
"""
ADAM, SGD = '{"name":"adam"}', '{"name":"sgd"}'


def make_trials(objectives=1):
    trials = [
        Trial(0, "finished", {"optimizer": ADAM, "optimizer.lr": 1e-3}, "r0", (0.5, 90.0)[:objectives], seconds=36)
    ]
    for number in range(1, 14):
        rate = 10 ** (-4 + 4 * number / 14)
        values = {"optimizer": SGD, "optimizer.lr": rate, "optimizer.momentum": 0.05 * number}
        if number % 2:
            values = {"optimizer": ADAM, "optimizer.lr": rate}
        scores = (0.7 - 0.05 * abs(number - 8), 100.0 - 5 * abs(number - 5))[:objectives]
        trials.append(Trial(number, "finished", values, f"r{number}", scores, {}, {1: 0.3, 2: scores[0]}, 36))
    pruned = {"optimizer": ADAM, "optimizer.lr": 2e-4}
    trials.append(Trial(14, "pruned", pruned, "r14", (), {}, {1: 0.1}, 12, "median: miou_dataset 0.1000 after epoch 1"))
    trials.append(
        Trial(15, "failed", {"optimizer": ADAM, "optimizer.lr": 1}, "r15", reason="the loss is nan", host="pc")
    )
    return tuple(trials)


@pytest.fixture
def load(tmp_path):
    def load(more=""):
        (tmp_path / "phase3.yaml").write_text(SPEC + more)
        return load_spec(tmp_path / "phase3.yaml")

    return load


@pytest.fixture(scope="module")
def report(simulate):
    made = simulate({"plain": 0.62, "plain-tuned": 0.74}, seeds=(0, 1, 2))
    return summarise(replace(made.plan, reference="plain-tuned"), made.results)


def found(spec, trials):
    written = {"optimizer": ADAM, "optimizer.lr": 1e-3}
    return [SearchOutcome(spec.variants[0], spec.tune.knobs, written, trials, "phase3/plain/abc")]


def test_it_says_what_was_gained_on_images_that_tuning_did_not_see(load, report, tmp_path):
    spec = load()
    record = write_tuning(spec.tune, found(spec, make_trials()), report, tmp_path / "out")
    page = (tmp_path / "out/tuning.md").read_text()
    claim = next(c for c in record.variants[0].gains if c.split == "val")
    assert claim.delta == pytest.approx(
        sum(
            a - b for a, b in zip(*(v.scores["val"]["miou_dataset"].values for v in report.variants[::-1]), strict=True)
        )
        / 3
    )
    assert re.search(
        r"- On val: \*\*plain-tuned improved\*\* against plain: \+\d+\.\d points of miou_dataset \(95 % ", page
    )
    assert "tuning saw none of these images" in page
    assert "| plain | 16 | 14 | 1 | 1 | 0 |" in page
    assert "Trial 9 won: miou_dataset 0.7000; +20.0 points of miou_dataset on trial 1, the settings as written" in page
    assert "| `optimizer.lr` | log uniform, 0.0001 to 1 | `0.001` | `0.01931` |" in page
    assert "| `optimizer.momentum` | uniform, 0 to 0.9 | – | `0.4` |" in page
    assert claim.low < claim.delta < claim.high
    assert "| `optimizer` | `{name: adam}`, `{name: sgd}` | `{name: adam}` | `{name: sgd}` |" in page
    shares = [item.share for item in record.variants[0].importance]
    assert sum(shares) == pytest.approx(1)
    assert all(item.low <= item.share <= item.high for item in record.variants[0].importance if item.share > 0.3)


def test_the_gain_is_the_same_whichever_is_the_reference(load, report, simulate):
    spec, made = load(), simulate({"plain": 0.62, "plain-tuned": 0.74}, seeds=(0, 1, 2))
    turned = summarise(replace(made.plan, reference="plain"), made.results)
    gains = [make_record(spec.tune, found(spec, make_trials()), item).variants[0].gains for item in (report, turned)]
    for one, other in zip(*gains, strict=True):
        outcome = "improved" if one.split == "val" else "not judged"
        assert (one.outcome, one.variant) == (other.outcome, other.variant) == (outcome, "plain-tuned")
        for name in ("delta", "low", "high", "p", "low_margin", "high_margin", "by_seed"):
            assert getattr(one, name) == pytest.approx(getattr(other, name))


def test_where_tuning_saw_the_images_it_says_so(load, report):
    spec = load("  judge_on: val\n")
    page = render_markdown(tuning_page(make_record(spec.tune, found(spec, make_trials()), report)))
    assert "**Tuning saw the images of val**" in page
    assert "saw none" not in page


def test_without_a_winner_it_says_why(load, report):
    spec = load()
    page = render_markdown(tuning_page(make_record(spec.tune, found(spec, make_trials()[14:]), report)))
    assert "no trial is finished and keeps the constraints" in page
    assert "Importance is not given: fewer than 10 trials are finished." in page


def test_several_objectives_show_their_front(load, report):
    spec = load("  objective: [miou_dataset, images_per_s]\n  pruner: none\n")
    record = make_record(spec.tune, found(spec, make_trials(2)), report)
    # trials 6 to 9 (scores 0.55 to 0.7, 100 to 85): nothing is better in one and as good in the other
    assert record.variants[0].front == (6, 7, 8, 9)
    assert record.variants[0].best in (7, 8)
    page = render_markdown(tuning_page(record))
    tables = [block for block in tuning_page(record).blocks if isinstance(block, Table)]
    rounded = [cell for table in tables for row in table.rows for cell in row if re.search(r"\d\.\d", cell.text)]
    assert len(rounded) > 10
    assert all(cell.exact for cell in rounded if not cell.text.startswith("`"))
    assert "| trial of the front | miou\\_dataset | images\\_per\\_s |" in page.replace(
        "miou_dataset", "miou\\_dataset"
    ).replace("images_per_s", "images\\_per\\_s")
    assert {item.objective for item in record.variants[0].importance} == {"miou_dataset", "images_per_s"}


def test_figures_tables_and_bytes(load, report, tmp_path):
    spec = load()
    for place in ("one", "two"):
        write_tuning(spec.tune, found(spec, make_trials()), report, tmp_path / place)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    names = {path.name for path in files}
    kinds = ("history", "slices", "parallel", "importance")
    assert names >= {*(f"tuning-plain-{kind}.png" for kind in kinds), "tuning.md", "tuning.json", "trials-plain.csv"}
    for path in files:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes(), path
    for kind in kinds:
        with Image.open(tmp_path / f"one/figures/tuning-plain-{kind}.png") as picture:
            assert picture.width > 600
            assert picture.height > 150
    page = (tmp_path / "one/tuning.md").read_text()
    assert all((tmp_path / "one" / link).exists() for link in re.findall(r"\]\((figures/[^)]+)\)", page))
    rows = list(csv.DictReader(io.StringIO((tmp_path / "one/tables/trials-plain.csv").read_text())))
    assert len(rows) == 16
    assert (rows[14]["state"], rows[14]["miou_dataset"], rows[14]["epochs"]) == ("pruned", "", "1")
    (told,) = json.loads((tmp_path / "one/tuning.json").read_text())["variants"]
    assert (told["best"], told["trials"][0]["number"], told["trials"][-1]["reason"]) == (9, 1, "the loss is nan")
    assert "host" not in told["trials"][-1], "a report is the same wherever its trials ran"

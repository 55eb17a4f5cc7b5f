"""The model card: its numbers are those of the record, and its intervals cover what they claim."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from finished_study import WINNER, finished

from benchmarks.resample import bootstrap_scores
from harness.apply.card.facts import describe_classes, find_worst, own_intervals, weak_sentences
from harness.apply.card.write import Licences, find_context, write_card
from harness.counts import make_counts
from harness.scores import miou_dataset, miou_image
from harness.stats.margins import sum_margins

CLASSES = ("road", "car", "sky", "boat")
CONFUSIONS = [
    np.array([[80, 10, 10, 0], [30, 10, 60, 0], [0, 0, 100, 0], [0, 0, 0, 0]]),
    np.array([[100, 0, 0, 0], [0, 0, 0, 0], [0, 5, 95, 0], [0, 0, 0, 0]]),
]


def hand_counts():
    return make_counts(CONFUSIONS, ("one", "two"), ("one", "two"), CLASSES)


def test_classes_are_weakest_first_with_what_they_are_taken_for():
    weakest, *_, absent = describe_classes(hand_counts())
    assert weakest.name == "car"
    assert weakest.iou.value == pytest.approx(10 / (100 + 25 - 10))
    assert weakest.taken_for == (("sky", 0.6), ("road", 0.3))
    assert weakest.share == pytest.approx(100 / 500)
    assert weakest.images == 1
    assert absent.name == "boat"
    assert absent.iou is None


def test_the_sentences_say_it():
    lines = weak_sentences(hand_counts())
    assert lines[0].startswith(
        "**car**: IoU 8.7 %; 20.0 % of the pixels, in 1 image; its pixels are taken for sky (60.0 %)"
    )
    assert lines[-1] == "Not in val, so nothing is known of: boat."


def test_intervals_agree_with_a_bootstrap_of_many_groups():
    rng = np.random.default_rng(3)
    confusions = []
    for _ in range(150):
        right = rng.binomial(400, np.clip(rng.normal([0.9, 0.7], 0.1), 0, 1))
        confusions.append(np.array([[right[0], 400 - right[0]], [400 - right[1], right[1]]]))
    names = [f"image{index}" for index in range(len(confusions))]
    counts = make_counts(confusions, names, names, ("a", "b"))
    found = own_intervals(counts)
    drawn = bootstrap_scores(sum_margins({("run", 0): counts}), 4000, 0)[0]
    for place, name in enumerate(("miou_dataset", "a", "b")):
        low, high = np.quantile(drawn[:, place], [0.025, 0.975])
        width = high - low
        assert found[name].low == pytest.approx(low, abs=0.1 * width)
        assert found[name].high == pytest.approx(high, abs=0.1 * width)


def test_one_group_gives_no_interval():
    found = own_intervals(make_counts(CONFUSIONS, ("one", "two"), ("clip", "clip"), CLASSES))
    assert np.isnan(found["miou_dataset"].low)
    assert found["miou_dataset"].value == pytest.approx(miou_dataset(sum(CONFUSIONS)))


def test_the_worst_pictures_are_the_worst():
    result = finished().choose().result
    worst, counts = find_worst(result), result.counts["val"]
    assert [item.miou for item in worst] == sorted(item.miou for item in worst)
    scores = []
    for index in range(len(counts.images)):
        alone = make_counts([counts.confusion_NCC()[index]], ("x",), ("x",), counts.classes)
        scores.append(miou_image(alone))
    assert [item.miou for item in worst] == pytest.approx(sorted(scores)[:6])
    assert counts.images[int(np.argmin(scores))] == worst[0].name
    assert worst[0].seen.label.shape == worst[0].seen.prediction.shape


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    study = finished()
    chosen = study.choose()
    path = tmp_path_factory.mktemp("card") / "card.md"
    files = write_card(chosen, find_context(chosen, study.store), path, Licences(data="CC BY 4.0"), ["parity was held"])
    return chosen, path, files


def test_the_card_tells_scores_seeds_comparison_data_and_environment(card):
    chosen, path, _ = card
    text, val = path.read_text(), chosen.result.counts["val"]
    assert f"**{100 * miou_dataset(val.confusion_CC()):.1f} %** (95 % interval " in text
    assert "Over 2 seeds of second the mean is " in text
    assert "which speaks for new seeds and images" in text
    assert re.search(r"- On test: .*second.*baseline", text), "val chose the epochs"
    assert "- On val: " not in text
    assert chosen.result.contract["splits"]["val"] in text
    assert chosen.result.provenance["packages"]["torch"] in text
    assert "base_channels: 4" in text
    assert "| data | CC BY 4.0 |" in text
    assert "| weights | not stated |" in text
    assert f"they are those of run {chosen.result.provenance['run']['starts_from']['run_id']}" in text
    assert "- parity was held" in text
    assert f"harness reproduce {WINNER}" in text
    assert "None" not in text
    assert "nan" not in text


def test_the_pictures_are_beside_the_card(card):
    _, path, files = card
    linked = re.findall(r"!\[.*\]\((.*)\)", path.read_text())
    assert [path.parent / name for name in linked] == list(files[1:])
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files[1:])
    assert len(linked) == 6


def test_the_same_record_gives_the_same_card(card, tmp_path):
    chosen, path, _ = card
    again = tmp_path / "card.md"
    write_card(chosen, find_context(chosen, finished().store), again, Licences(data="CC BY 4.0"), ["parity was held"])
    assert again.read_bytes() == path.read_bytes()


def test_weights_of_the_last_epoch_are_not_given_the_best_ones_scores(tmp_path):
    last = finished().choose_last()
    counts = {split: replace(item, pixels_K=item.pixels_K * 2) for split, item in last.result.counts.items()}
    own = replace(last, result=replace(last.result, best_epoch=1, last_counts=counts))
    older = replace(last, result=replace(last.result, best_epoch=1, last_counts={}))
    assert own.counts == counts
    assert older.counts == {}
    texts = []
    for chosen in (own, older):
        write_card(chosen, None, tmp_path / "card.md", Licences())
        texts.append((tmp_path / "card.md").read_text())
    told = "The scores below are those of the best epoch's weights, not of these."
    assert [told in text for text in texts] == [False, True]
    epoch = last.result.history[-1].epoch
    assert all(f"The weights are those of the last epoch, epoch {epoch}." in text for text in texts)
    assert epoch > 1
    assert "### The worst pictures" not in texts[0], "the pictures kept are those of the best epoch"


@pytest.mark.parametrize(("which", "epoch"), [("best", "best"), ("last", "best"), ("best", "last"), ("last", "last")])
def test_claims_about_other_weights_say_so(which, epoch, tmp_path):
    study = finished()
    chosen = study.choose(f"small/second/seed0@{which}")
    context = find_context(chosen, study.store)
    write_card(chosen, replace(context, plan=replace(context.plan, epoch=epoch)), tmp_path / "card.md", Licences())
    (line,) = [line for line in (tmp_path / "card.md").read_text().splitlines() if line.startswith("Against other")]
    other = "" if which == epoch else f", compared at the {epoch} epoch of each run, which is not that of these weights"
    assert line == f"Against other variants of the study{other}:"


def test_what_a_user_named_cannot_break_the_page(tmp_path):
    chosen = finished().choose()
    write_card(replace(chosen, note="a | b <script>"), None, tmp_path / "card.md", Licences(data="x | y"))
    text = (tmp_path / "card.md").read_text()
    assert "<script>" not in text
    assert "| data | x \\| y |" in text


def test_the_command_needs_neither_torch_nor_data(tmp_path):
    study = finished()
    program = (
        "import sys, json; from harness.cli.app import app\n"
        "app(sys.argv[1:], standalone_mode=False)\n"
        "print(json.dumps([name for name in ('torch', 'onnx', 'onnxruntime') if name in sys.modules]))"
    )
    arguments = ["card", WINNER, "--root", str(study.place / "mlruns"), "--tracking-uri", study.uri]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    first, last = done.stdout.splitlines()
    assert first == "exports/small-second-seed0-best.md, 6 pictures beside it"
    assert json.loads(last) == []

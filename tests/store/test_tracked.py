"""Names and values shown in the tracking store."""

import re
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from harness.counts import make_counts
from harness.fingerprint import flatten
from harness.records import Machine, Progress, RunResult
from harness.runs.credentials import mask_credentials
from harness.runs.provenance import read_provenance
from harness.tracking.payload import epoch_metrics, final_metrics, metric_names


@given(st.lists(st.text(max_size=300), unique=True, max_size=8))
def test_any_class_name_makes_an_accepted_name_of_its_own(classes):
    names = metric_names([f"val/iou/{name}" for name in classes])
    assert len(set(names.values())) == len(classes)
    for name in names.values():
        assert re.fullmatch(r"val/iou/[\w\-. :]+", name)
        assert len(name) <= 250
        assert not set(name.split("/")) & {"", ".", ".."}


def test_ordinary_names_stay_as_they_are():
    names = metric_names(["val/loss", "val/iou/Ground Clutter", "val/iou/a|b", "val/iou/a[b", "val/iou/../x"])
    assert list(names.values()) == ["val/loss", "val/iou/Ground Clutter", "val/iou/a_b", "val/iou/a_b_2", "val/iou/_x"]


def test_flatten_gives_dotted_keys():
    assert flatten({"a": {"b": 1, "c": {"d": [2]}}, "e": None}) == {"a.b": 1, "a.c.d": [2], "e": None}


def test_provenance_holds_no_secret(monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "s3cr3t-value")
    monkeypatch.setattr("sys.argv", ["harness", "--tracking-uri", "http://user:s3cr3t-value@host/x"])
    facts = read_provenance(Machine())
    assert "s3cr3t-value" not in str(facts)
    assert facts["command"][2] == "http://***@host/x"
    assert facts["packages"]["torch"]
    assert mask_credentials("plain") == "plain"


def test_the_best_epoch_that_is_shown_is_one_that_the_run_trained():
    """Of an older result whose best epoch is 0, its parent's weights, nothing is shown as its best."""
    counts = {hits: make_counts([np.array([[hits, 8 - hits], [0, 8]])], ["a"], ["g"], ["x", "y"]) for hits in (2, 4, 6)}
    history = tuple(Progress(epoch, 2, {"val/miou_dataset": 0.9 - epoch / 4}, False, epoch) for epoch in range(3))
    own = RunResult(
        "r", "finished", "", history, 1, {"val": counts[6], "test": counts[4]}, {"val": counts[6], "test": counts[2]}
    )
    shown = final_metrics(own)
    assert (shown["best/epoch"], shown["last/epoch"]) == (1, 2)
    assert (shown["best/val/miou_dataset"], shown["last/val/miou_dataset"]) == (0.65, 0.4)
    assert (shown["best/test/pixel_accuracy"], shown["last/test/pixel_accuracy"]) == (12 / 16, 10 / 16)
    older = final_metrics(replace(own, best_epoch=0, last_counts={}))
    assert not [name for name in older if name.startswith("best/")]
    assert older["last/val/miou_dataset"] == 0.4
    assert not [name for name in older if "/test/" in name]


def test_what_an_epoch_showed_of_each_class_stays_in_the_journal():
    metrics = {"train/grad_norm": 1.0, "train/shown": 0.4}
    by_class = {"train/shown/Sky": 0.1, "train/shown_share/Sky": 0.2, "train/weight_share/Sky": 0.3}
    progress = Progress(1, 2, {**metrics, **by_class}, True, 0)
    assert epoch_metrics(progress) == metrics

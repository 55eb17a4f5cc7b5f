"""A run's folder: a torn journal, results with scores that are not defined, damage."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from harness.counts import make_counts
from harness.errors import InputError
from harness.files import locked
from harness.predictions import PredictedImage, pack_predictions
from harness.records import Examples, Progress, RunResult
from harness.runs.folder import (
    append_progress,
    files_to_keep,
    is_finished,
    is_running,
    load_result,
    read_progress,
    run_folder,
    save_result,
)


def progress(epoch: int, score: float = 0.5) -> Progress:
    return Progress(epoch, 3, {"val/miou_dataset": score, "val/loss": 1.0}, improved=True, time_ms=1000 + epoch)


@pytest.fixture
def folder(tmp_path):
    return run_folder(tmp_path, "abc")


def make_result() -> RunResult:
    counts = make_counts([np.array([[3, 1], [0, 4]])], ["a"], ["g"], ["x", "straße"])
    picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    examples = Examples(("a",), (picture,), (picture[..., 0],), (picture[..., 1],))
    halves = {
        name: make_counts([np.array(part)], ["a"], ["g"], ["x", "straße"])
        for name, part in (("border", [[1, 1], [0, 0]]), ("interior", [[2, 0], [0, 4]]))
    }
    contract = {"version": 1, "splits": {"val": "d"}}
    return RunResult(
        run_id="abc",
        status="finished",
        history=(progress(1),),
        best_epoch=1,
        counts={"val": counts},
        regions={"val": halves},
        contract=contract,
        examples=examples,
        predictions=pack_predictions(("a",), [PredictedImage(picture, picture[..., 0], picture[..., 1])]),
        colours=((1, 2, 3),) * 2,
    )


def test_journal_keeps_each_epoch_once_and_nan(folder):
    for item in (progress(0, math.nan), progress(1), progress(1, 0.9), progress(2)):
        append_progress(folder, item)
    back = read_progress(folder)
    assert [item.epoch for item in back] == [0, 1, 2]
    assert math.isnan(back[0].metrics["val/miou_dataset"])
    assert back[1] == progress(1)


def test_torn_last_line_is_no_epoch_and_is_cut_off(folder):
    append_progress(folder, progress(1))
    append_progress(folder, progress(2))
    whole = folder.journal.read_bytes()
    folder.journal.write_bytes(whole[:-9])
    assert [item.epoch for item in read_progress(folder)] == [1]
    append_progress(folder, progress(2))
    assert folder.journal.read_bytes() == whole


def test_result_comes_back_as_it_was(folder):
    append_progress(folder, progress(1))
    assert load_result(folder) is None
    assert not is_finished(folder)
    save_result(folder, make_result())
    back = load_result(folder)
    assert is_finished(folder)
    assert (back.history, back.contract, back.colours, back.best_epoch) == (
        make_result().history,
        make_result().contract,
        make_result().colours,
        1,
    )
    assert (back.counts["val"].confusion_CC() == [[3, 1], [0, 4]]).all()
    assert (back.examples.images[0] == make_result().examples.images[0]).all()


def test_regions_and_predictions_come_back(folder):
    save_result(folder, make_result())
    back = load_result(folder)
    assert {split: list(names) for split, names in back.regions.items()} == {"val": ["border", "interior"]}
    assert back.regions["val"]["border"].confusion_CC().tolist() == [[1, 1], [0, 0]]
    assert back.regions["val"]["interior"].confusion_CC().tolist() == [[2, 0], [0, 4]]
    assert back.predictions == make_result().predictions
    names = {path.relative_to(folder.path).as_posix() for path in files_to_keep(folder)}
    assert {"evaluation/regions/val-border.npz", "evaluation/regions/val-interior.npz"} <= names
    assert "evaluation/predictions.npz" in names


def of_all_epochs() -> RunResult:
    """A result whose best, last and start counts differ."""
    confusions = [[2, 2], [0, 4]], [[0, 4], [4, 0]]
    last, start = (make_counts([np.array(confusion)], ["a"], ["g"], ["x", "y"]) for confusion in confusions)
    contract = {"version": 1, "splits": {"val": "d"}, "checkpoint": "best"}
    return replace(make_result(), last_counts={"val": last}, start_counts={"val": start}, contract=contract)


def test_counts_of_the_last_epoch_and_of_the_start_come_back_with_their_contracts(folder):
    save_result(folder, of_all_epochs())
    back = load_result(folder)
    assert back.last_counts["val"].confusion_CC().tolist() == [[2, 2], [0, 4]]
    assert back.start_counts["val"].confusion_CC().tolist() == [[0, 4], [4, 0]]
    assert back.contract["checkpoint"] == "best"
    names = {path.relative_to(folder.path).as_posix() for path in files_to_keep(folder)}
    for kind in ("last", "start"):
        assert {f"evaluation/{kind}/val.npz", f"evaluation/{kind}/contract.json"} <= names
        assert json.loads((folder.evaluation / kind / "contract.json").read_text())["checkpoint"] == kind


@pytest.mark.parametrize("kind", ["last", "start"])
def test_damage_to_any_of_them_is_named(kind, folder):
    save_result(folder, of_all_epochs())
    path = folder.evaluation / kind / "val.npz"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match=rf"{kind}/val\.npz: damaged"):
        load_result(folder)


def test_a_result_from_before_regions_is_read(folder):
    save_result(folder, replace(make_result(), regions={}, predictions=None))
    entry = json.loads(folder.result.read_text())
    del entry["regions"], entry["last"], entry["start"], entry["checksum"], entry["sha256"]
    folder.result.write_text(json.dumps(entry))
    back = load_result(folder)
    assert back.regions == back.last_counts == back.start_counts == {}
    assert back.predictions is None


def test_damaged_result_is_named(folder):
    save_result(folder, make_result())
    folder.result.write_text("{")
    with pytest.raises(InputError, match=r"result\.json: damaged"):
        load_result(folder)


def test_a_run_is_running_while_its_lock_is_held(folder):
    assert not is_running(folder)
    with locked(folder.lock):
        assert is_running(folder)
    assert not is_running(folder)

"""A record is run again: it tells what differs, and whether the counts come again."""

import json
import shutil
from dataclasses import replace

import pytest
from finished_study import WINNER, finished

from harness import api
from harness.apply.choose import choose
from harness.apply.reproduce import compare_counts, prepare, run_again
from harness.counts import load_counts, save_counts
from harness.errors import HarnessError, InputError
from harness.execute.events import Started
from harness.runs.folder import digests_of, read_entry, write_entry
from harness.scores import miou_dataset


def test_a_warm_started_run_comes_again_from_its_parents_stored_weights(tmp_path):
    study, heard = finished(), []
    chosen = study.choose()
    again = prepare(chosen, study.store, tmp_path, device=None, from_scratch=False)
    assert [run.id for run in again.runs] == [chosen.run_id]
    result = run_again(again, heard.append)
    assert [event.run.id for event in heard if isinstance(event, Started)] == [chosen.run_id]
    outcomes = compare_counts(chosen.result, result)
    assert {item.split: (item.images, item.differing, item.delta) for item in outcomes} == {
        "val": (8, 0, 0.0),
        "test": (2, 0, 0.0),
    }
    assert all(item.identical for item in outcomes)


@pytest.fixture
def own_copy(tmp_path):
    """Return a copy of the study whose records a test may change, and the folder of its winner."""
    study = finished()
    shutil.copytree(study.place / "mlruns" / "runs", tmp_path / "mlruns" / "runs")
    store = api.open_store(tmp_path / "mlruns", study.uri)
    return store, tmp_path / "mlruns" / "runs" / study.choose().run_id


def test_from_scratch_the_parent_is_trained_again_too(own_copy, tmp_path):
    store, _ = own_copy
    chosen = choose(WINNER, store)
    parent = chosen.result.provenance["run"]["starts_from"]["run_id"]
    again = prepare(chosen, store, tmp_path / "fresh", device="cpu", from_scratch=True)
    assert [run.id for run in again.runs] == [parent, chosen.run_id]
    (tmp_path / "mlruns" / "runs" / parent / "checkpoints" / "best.pt").unlink()  # it must not be what is used
    outcomes = compare_counts(chosen.result, run_again(again, lambda event: None))
    assert all(item.identical for item in outcomes)


def sign(folder, changed):
    """Give a changed file of a run the checksum that it would have had."""
    result = folder / "result.json"
    entry = read_entry(result)
    write_entry(result, {**entry, "sha256": {**entry["sha256"], **digests_of([changed], folder)}})


def test_what_differs_from_the_recorded_environment_is_told(own_copy, tmp_path):
    store, folder = own_copy
    facts = json.loads((folder / "provenance.json").read_text())
    facts["python"], facts["packages"]["torch"], facts["device"]["torch"] = "2.7.18", "0.4.1", "cuda:0"
    facts["git"] = {"commit": "f00", "dirty": True, "diff_sha256": "abcdef0123456789", "diff": ""}
    facts["run"]["inputs"]["data"] = "other"
    (folder / "provenance.json").write_text(json.dumps(facts))
    sign(folder, folder / "provenance.json")
    chosen = choose(WINNER, store)
    again = prepare(chosen, store, tmp_path / "fresh", device="cpu", from_scratch=False)
    told = {change.what: change.recorded for change in again.changes}
    assert told == {
        "python": "2.7.18",
        "package torch": "0.4.1",
        "commit": "f00",
        "working tree": "with changes abcdef012345",
        "content of data": "other",
        "device": "cuda:0",
    }
    assert again.machine.device == "cpu"


def test_counts_that_do_not_come_again_are_told(own_copy):
    _, folder = own_copy
    recorded = finished().choose().result
    counts = load_counts(folder / "evaluation" / "val.npz")
    moved = counts.predicted_K.copy()
    moved[counts.image_K == 3] = 0
    confusions = replace(counts, predicted_K=moved).confusion_NCC()
    assert (confusions[3] != counts.confusion_NCC()[3]).any()
    other = replace(recorded, counts={**recorded.counts, "val": replace(counts, predicted_K=moved)})
    val, test = compare_counts(recorded, other)
    assert (val.split, val.images, val.differing, val.identical) == ("val", 8, 1, False)
    wanted = miou_dataset(other.counts["val"].confusion_CC()) - miou_dataset(recorded.counts["val"].confusion_CC())
    assert val.delta == wanted != 0
    assert test.identical
    renamed = replace(counts, images=tuple(f"x{name}" for name in counts.images))
    strange = compare_counts(recorded, replace(recorded, counts={"val": renamed}))
    assert [item.differing for item in strange] == [8, 2]


def test_the_command_ends_with_1_where_counts_differ(own_copy, tmp_path, capsys):
    from typer import Exit

    from harness.cli.export import reproduce

    _, folder = own_copy
    path = folder / "evaluation" / "val.npz"
    counts = load_counts(path)
    pixels = counts.pixels_K.copy()
    pixels[0] += 1
    save_counts(path, replace(counts, pixels_K=pixels))
    sign(folder, path)
    with pytest.raises(Exit) as ended:
        reproduce(WINNER, root=tmp_path / "mlruns", tracking_uri=finished().uri)
    assert ended.value.exit_code == 1
    said = capsys.readouterr().out
    assert "val: 1 of 8 images differ, miou_dataset " in said
    assert "test: identical, all counts of 2 images" in said


def test_a_parent_that_is_gone_is_named(own_copy, tmp_path):
    store, _ = own_copy
    chosen = choose(WINNER, store)
    parent = chosen.result.provenance["run"]["starts_from"]["run_id"]
    shutil.rmtree(tmp_path / "mlruns" / "runs" / parent)
    with pytest.raises(InputError, match=f"starts from run {parent}, which is neither here nor in the store"):
        prepare(replace(chosen, study="unknown"), store, tmp_path / "fresh", device=None, from_scratch=False)


def test_a_run_that_fails_again_says_why(own_copy, tmp_path):
    store, _ = own_copy
    chosen = choose(WINNER, store)
    parent = chosen.result.provenance["run"]["starts_from"]["run_id"]
    again = prepare(chosen, store, tmp_path / "fresh", device="cpu", from_scratch=False)
    (tmp_path / "mlruns" / "runs" / parent / "checkpoints" / "best.pt").unlink()
    with pytest.raises(HarnessError, match="did not finish again: the weights that it starts from are gone"):
        run_again(again, lambda event: None)

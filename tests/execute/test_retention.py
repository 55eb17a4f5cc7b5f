"""Weights of last epochs: kept where a study asks, made again where a later one does; none is twice on a disk."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from tiny_study import TINY, final_counts, harness_here

from harness import api
from harness.execute.events import Ended, Started, Warned
from harness.runs.folder import load_result, require_model_file, run_folder, save_result
from harness.runs.studies import save_study
from harness.tracking.mlflow_store import MlflowStore

FROM_LAST = {"child": {"from": "baseline@last", "set": {"optimizer.lr": 1.0e-3}}}


def write_study(folder, name="study", variants=None, **compare):
    """Write a tiny study of 2 epochs and 1 seed; return its file."""
    spec = yaml.safe_load(TINY)
    spec["base"]["train"]["epochs"] = 2
    spec |= {"study": name, "variants": {"baseline": {}, **(variants or {})}, "seeds": [0]}
    spec |= {"compare": compare} if compare else {}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    return path


def execute(path, root, **options):
    """Return the plan of a study, and the events of executing it below a root."""
    plan, events = api.make_plan(api.load_spec(path)), []
    api.execute(plan, store=MlflowStore(root, **options), jobs=1, listen=events.append)
    return plan, events


def label_of(root, plan):
    """Return variant -> names of the weights that its run kept."""
    kept = {run.variant: run_folder(root, run.id).state.parent for run in plan.runs}
    return {variant: sorted(path.name for path in folder.glob("*")) for variant, folder in kept.items()}


def test_last_weights_go_when_a_run_is_finished_and_its_counts_stay(tmp_path):
    plan, _ = execute(write_study(tmp_path), tmp_path / "m")
    folder = run_folder(tmp_path / "m", plan.runs[0].id)
    assert label_of(tmp_path / "m", plan) == {"baseline": ["best.pt"]}
    assert (folder.evaluation / "last" / "val.npz").exists()
    copies = [path for path in (tmp_path / "m" / "artifacts").rglob("*.pt")]
    assert not copies
    told = next((tmp_path / "m" / "artifacts").rglob("checkpoints/where.txt")).read_text().splitlines()[0]
    assert (tmp_path / "m" / told).samefile(folder.best)


@pytest.mark.slow
def test_last_weights_stay_where_a_study_asks(tmp_path):
    plan, _ = execute(write_study(tmp_path, variants=FROM_LAST), tmp_path / "start")
    assert label_of(tmp_path / "start", plan) == {"baseline": ["best.pt", "last.pt"], "child": ["best.pt"]}
    plan, _ = execute(write_study(tmp_path, epoch="last"), tmp_path / "compare")
    assert label_of(tmp_path / "compare", plan) == {"baseline": ["best.pt", "last.pt"]}


def test_they_stay_where_another_study_on_record_asks(tmp_path):
    asking = api.make_plan(api.load_spec(write_study(tmp_path, "asking", FROM_LAST)))
    save_study(tmp_path / "m", asking)
    plan, _ = execute(write_study(tmp_path, "plain"), tmp_path / "m")
    assert plan.runs[0].id == asking.runs[0].id
    assert label_of(tmp_path / "m", plan) == {"baseline": ["best.pt", "last.pt"]}


@pytest.mark.slow
def test_a_later_start_from_last_weights_makes_them_again_with_the_same_numbers(tmp_path):
    execute(write_study(tmp_path), tmp_path / "m")
    before = final_counts(tmp_path / "m")
    record = {path: path.read_bytes() for path in (tmp_path / "m" / "runs").rglob("*") if path.is_file()}
    path = write_study(tmp_path, variants=FROM_LAST)
    told = harness_here("plan", str(path), "--root", str(tmp_path / "m"))
    assert "note: baseline/seed0: finished, but the weights that others start from now were not kept" in told.stderr
    assert "2 runs, 2 to do" in told.stdout
    plan, events = execute(path, tmp_path / "m")
    warned = [event.text for event in events if isinstance(event, Warned)]
    assert any(text.startswith("baseline/seed0: finished, but the weights") for text in warned)
    assert [event.run.variant for event in events if isinstance(event, Started)] == ["baseline", "child"]
    assert label_of(tmp_path / "m", plan) == {"baseline": ["best.pt", "last.pt"], "child": ["best.pt"]}
    assert {path: path.read_bytes() for path in record} == record
    fresh, _ = execute(path, tmp_path / "fresh")
    assert final_counts(tmp_path / "m") == final_counts(tmp_path / "fresh")
    assert before.items() <= final_counts(tmp_path / "m").items()
    lasts = [torch.load(run_folder(tmp_path / root, fresh.runs[0].id).last) for root in ("m", "fresh")]
    assert all(torch.equal(lasts[0][key], lasts[1][key]) for key in lasts[1])
    assert not [event for event in execute(path, tmp_path / "m")[1] if isinstance(event, Started)]


@pytest.mark.slow
def test_weights_that_come_out_otherwise_are_not_used_and_the_record_stays(tmp_path):
    plan, _ = execute(write_study(tmp_path), tmp_path / "m")
    folder = run_folder(tmp_path / "m", plan.runs[0].id)
    result = load_result(folder)
    counts = {name: replace(item, pixels_K=item.pixels_K + 1) for name, item in result.last_counts.items()}
    save_result(folder, replace(result, last_counts=counts))
    record = folder.result.read_bytes()
    plan, events = execute(write_study(tmp_path, variants=FROM_LAST), tmp_path / "m")
    problem = [event.text for event in events if isinstance(event, Warned) and "counts something else" in event.text]
    assert problem[0].endswith(f"To replace the record: remove the folder {folder.path}")
    ends = {event.run.variant: event.result for event in events if isinstance(event, Ended)}
    assert (ends["baseline"].status, ends["child"].status) == ("finished", "failed")
    assert f"gone: {folder.last}; remove the folder {folder.path}" in ends["child"].reason
    assert folder.result.read_bytes() == record


@pytest.mark.slow
def test_best_weights_that_were_removed_by_hand_come_again_for_a_new_start(tmp_path):
    plan, _ = execute(write_study(tmp_path), tmp_path / "m")
    run_folder(tmp_path / "m", plan.runs[0].id).best.unlink()
    assert not [event for event in execute(write_study(tmp_path), tmp_path / "m")[1] if isinstance(event, Started)]
    chain = {"child": {"from": "baseline@best", "set": {"optimizer.lr": 1.0e-3}}}
    plan, _ = execute(write_study(tmp_path, variants=chain), tmp_path / "m")
    assert label_of(tmp_path / "m", plan) == {"baseline": ["best.pt"], "child": ["best.pt"]}


@pytest.mark.slow
def test_asked_for_weights_are_linked_into_mlflow_also_later_and_take_no_room(tmp_path):
    path = write_study(tmp_path)
    plan, _ = execute(path, tmp_path / "m")
    best = run_folder(tmp_path / "m", plan.runs[0].id).best
    command = ("sync", "--root", str(tmp_path / "m"), "--upload-weights", "--json")
    for delivered in (1, 0):
        told = harness_here(*command).stdout
        assert len(json.loads(told)[0]["delivered"]) == delivered
        linked = next((tmp_path / "m" / "artifacts").rglob("best.pt"))
        assert linked.samefile(best)
    plan, _ = execute(path, tmp_path / "other", upload_weights=True)
    assert next((tmp_path / "other" / "artifacts").rglob("best.pt")).samefile(
        run_folder(tmp_path / "other", plan.runs[0].id).best
    )


@pytest.mark.slow
@pytest.mark.parametrize("kept", [True, False])
def test_a_run_whose_folder_is_gone_is_fetched_with_its_weights_or_made_again(kept, tmp_path):
    path = write_study(tmp_path)
    plan, _ = execute(path, tmp_path / "m", upload_weights=kept)
    before = final_counts(tmp_path / "m")
    shutil.rmtree(tmp_path / "m" / "runs")
    plan, results = api.load_results("study", store=MlflowStore(tmp_path / "m"))
    assert [item.status for item in results.values()] == ["finished"]  # a report needs no weights
    plan, events = execute(path, tmp_path / "m")
    warned = [event.text for event in events if isinstance(event, Warned)]
    again = "baseline/seed0: its weights are gone or damaged; it is trained again"
    assert (again in warned) == (not kept)
    assert len([event for event in events if isinstance(event, Started)]) == (0 if kept else 1)
    assert final_counts(tmp_path / "m") == before
    assert Path(run_folder(tmp_path / "m", plan.runs[0].id).best).exists()


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["in the store", "here"])
def test_what_is_damaged_where_a_lost_run_would_be_fetched_from_is_not_brought(where, tmp_path):
    """The advice of the messages about damaged files: remove the result, or the folder, and run again."""
    path = write_study(tmp_path)
    plan, _ = execute(path, tmp_path / "m")
    before, folder = final_counts(tmp_path / "m"), run_folder(tmp_path / "m", plan.runs[0].id)
    if where == "here":
        flip(folder.best)
        folder.result.unlink()
    else:
        flip(next((tmp_path / "m/artifacts").rglob("journal.jsonl")))
        shutil.rmtree(folder.path)
    _, events = execute(path, tmp_path / "m")
    assert [event.run.id for event in events if isinstance(event, Started)] == [folder.path.name]
    assert len([event for event in events if isinstance(event, Warned) and "damaged" in event.text]) == 1
    assert final_counts(tmp_path / "m") == before
    require_model_file(folder, folder.best)

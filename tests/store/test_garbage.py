"""`harness ls` and `harness gc`: what no study needs goes, all that a study needs stays, byte for byte."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest
import yaml
from PIL import Image
from tiny_study import TINY, harness_here

from harness import api
from harness.errors import InputError
from harness.files import locked
from harness.runs.folder import read_entry, run_folder, write_entry
from harness.tracking.mlflow_store import MlflowStore
from harness.tracking.protocol import StoreError

pytestmark = pytest.mark.slow
FROM_LAST = {"child": {"from": "baseline@last", "set": {"optimizer.lr": 1.0e-3}}}


def command(folder, *words):
    done = harness_here(*words, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def write_study(folder, name, variants=None, lr=3.0e-3):
    spec = yaml.safe_load(TINY)
    spec["base"]["train"]["epochs"] = 2
    spec["base"]["optimizer"]["lr"] = lr
    spec |= {"study": name, "variants": {"baseline": {}, **(variants or {})}, "seeds": [0]}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    return api.make_plan(api.load_spec(folder / f"{name}.yaml"))


def files_of(root):
    """Return path below a root -> content, of all files but MLflow's database and locks."""
    files = [path for path in root.rglob("*") if path.is_file() and "mlflow.db" not in path.name]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files if "lock" not in path.name}


def size_of(root):
    """Return the bytes of all files but MLflow's database, which may grow meanwhile."""
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file() and "mlflow.db" not in path.name)


@pytest.fixture(scope="module")
def littered(tmp_path_factory):
    """A store of two studies with all kinds of garbage: its folder, kind -> path of the garbage, an old torn file."""
    folder = tmp_path_factory.mktemp("littered")
    old = write_study(folder, "edited", lr=1.0e-2)
    command(folder, "run", "edited.yaml")
    write_study(folder, "edited")
    chain = write_study(folder, "chain", FROM_LAST)
    command(folder, "run", "edited.yaml")
    command(folder, "run", "chain.yaml")
    root = folder / "mlruns"
    child, stale = run_folder(root, chain.runs[1].id), run_folder(root, old.runs[0].id)
    shutil.copy(child.best, child.last)
    copy = next(root.glob("artifacts/chain/*/artifacts/checkpoints/where.txt")).with_name("best.pt")
    owner = json.loads((copy.parent.parent / "result.json").read_text())["run_id"]
    shutil.copy(run_folder(root, owner).best, copy)
    orphan = run_folder(root, "0123456789ab")
    shutil.copytree(stale.path, orphan.path)
    torn = child.path / ".journal.jsonl.99.partial"
    old_torn = root / "studies" / "edited" / ".plan.json.99.partial"
    again = child.path / "again"
    again.mkdir()
    (again / "journal.jsonl").write_text("{}")
    for path in (torn, old_torn):
        path.write_text("torn")
    os.utime(old_torn, (time.time() - 1e6,) * 2)
    litter = {
        "stale run": stale.path,
        "run of no study": orphan.path,
        "last weights": child.last,
        "second copy of weights": copy,
        "weights made again": again,
        "torn file": torn,
    }
    return folder, litter, old_torn


@pytest.fixture
def store(littered, tmp_path):
    """A copy of the littered store, to be spoilt."""
    folder, litter, old_torn = littered
    shutil.copytree(folder, tmp_path / "copy")
    inside = {kind: tmp_path / "copy" / path.relative_to(folder) for kind, path in litter.items()}
    return tmp_path / "copy", inside, tmp_path / "copy" / old_torn.relative_to(folder)


def test_gc_removes_each_kind_and_nothing_else(store):
    folder, litter, old_torn = store
    root = folder / "mlruns"
    before = files_of(root)
    told = json.loads(command(folder, "gc", "--dry-run", "--json"))
    assert files_of(root) == before
    assert {item["kind"] for item in told["items"]} == litter.keys()
    assert {item["path"] for item in told["items"]} == {str(path) for path in (*litter.values(), old_torn)}
    inventory = json.loads(command(folder, "ls", "--json"))
    assert inventory["removable_bytes"] == told["bytes"] > 0
    assert [(item["study"], item["runs"], item["finished"], item["stale"]) for item in inventory["studies"]] == [
        ("chain", 2, 2, 0),
        ("edited", 1, 1, 1),
    ]
    size = size_of(root)
    done = json.loads(command(folder, "gc", "--json"))
    assert (done["bytes"], done["items"]) == (told["bytes"], told["items"])
    after = files_of(root)
    gone = before.keys() - after.keys()
    assert not any(path.exists() for path in (*litter.values(), old_torn))
    places = [path.relative_to(root).as_posix() for path in (*litter.values(), old_torn)]
    assert all(any(name == place or name.startswith(f"{place}/") for place in places) for name in gone)
    assert {name: before[name] for name in after} == after  # the rest is as it was
    assert abs(size - size_of(root) - done["bytes"]) < 2e5
    assert "nothing to remove" in command(folder, "gc")


def test_what_commands_say_is_the_same_before_and_after(store):
    folder, _, _ = store
    picture = folder / "picture.png"
    Image.new("RGB", (32, 32), (90, 140, 60)).save(picture)

    def outputs():
        shutil.rmtree(folder / "reports", ignore_errors=True)
        told = [command(folder, "report", name, "--json") for name in ("edited", "chain")]
        told += [command(folder, "plan", f"{name}.yaml") for name in ("edited", "chain")]
        told += [command(folder, "run", f"{name}.yaml", "--json") for name in ("edited", "chain")]
        command(folder, "predict", "chain/baseline@last", str(picture), "--out", "p")
        command(folder, "sync")
        kept = {**files_of(folder / "reports"), **files_of(folder / "p")}
        return told, {name: data for name, data in kept.items() if not name.endswith(".json") or "report" in name}

    before = outputs()
    command(folder, "gc")
    assert outputs() == before


def test_what_runs_stays_and_a_stranger_s_file_too(store):
    folder, litter, _ = store
    root = folder / "mlruns"
    stale = litter["stale run"]
    (litter["run of no study"] / "notes.txt").write_text("mine")
    (root / "runs" / "my-folder").mkdir()
    (root / "runs" / "my-folder" / "best.pt").write_text("mine")
    with locked(stale / "lock"):
        found = api.collect_garbage(root)
    assert "stale run" not in {item.kind for item in found}
    assert (stale / "result.json").exists()
    assert [path.name for path in litter["run of no study"].iterdir()] == ["notes.txt"]
    assert (root / "runs" / "my-folder" / "best.pt").exists()


def test_runs_of_seeds_and_trials_that_are_not_planned_now_are_not_of_no_study(store):
    folder, litter, _ = store
    root = folder / "mlruns"
    remembered = root / "studies" / "edited" / "runs.json"
    known = read_entry(remembered)
    write_entry(remembered, {**known, "baseline/seed7": {litter["run of no study"].name: {}}})
    assert "run of no study" not in {item.kind for item in api.collect_garbage(root, dry_run=True)}
    write_entry(remembered, known)
    plan = read_entry(root / "studies" / "edited" / "plan.json")
    trials = root / "studies" / "edited-trials"
    trials.mkdir()
    write_entry(trials / "plan.json", {**plan, "study": "edited-trials", "kind": "tuning"})
    assert "run of no study" not in {item.kind for item in api.collect_garbage(root, dry_run=True)}


def test_nothing_is_removed_where_it_is_not_known_what_is_needed(store, monkeypatch):
    folder, _, _ = store
    root = folder / "mlruns"
    before = files_of(root)
    with monkeypatch.context() as patch:
        patch.setattr(MlflowStore, "studies", lambda self: (_ for _ in ()).throw(StoreError("it is down")))
        with pytest.raises(StoreError, match="it is down"):
            api.collect_garbage(root)
    (root / "studies" / "chain" / "plan.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        api.collect_garbage(root)
    (root / "studies" / "chain" / "plan.json").write_bytes(before["studies/chain/plan.json"])
    assert files_of(root) == before


def test_a_store_that_is_not_there_is_not_made(tmp_path):
    for words in (["ls"], ["gc"]):
        done = harness_here(*words, cwd=tmp_path)
        assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
        assert "mlruns: there is no such folder: " in done.stderr
        assert "; name the one that harness run kept its runs in" in done.stderr
    (tmp_path / "mlruns").mkdir()
    assert command(tmp_path, "ls").startswith("0 studies, 0 runs, 0 kB; 0 kB can be freed by harness gc")
    assert list(Path(tmp_path / "mlruns").iterdir()) == []

"""What `harness plan` says of the disk: by earlier runs of the same networks, and whether it will fit."""

import shutil
from collections import namedtuple

import pytest
import yaml
from tiny_study import TINY, harness_here

from harness import api
from harness.execute.disk_forecast import DiskForecast, foresee_disk
from harness.runs.folder import run_folder
from harness.tracking.mlflow_store import MlflowStore

Usage = namedtuple("Usage", "total used free")


def plan_of(folder, name, seeds, **model):
    spec = yaml.safe_load(TINY)
    spec["base"]["train"]["epochs"] = 1
    spec["base"]["model"] |= model
    spec |= {"study": name, "variants": {"baseline": {}}, "seeds": seeds}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    return api.make_plan(api.load_spec(folder / f"{name}.yaml"))


@pytest.mark.slow
def test_it_is_what_an_earlier_run_of_the_network_left(tmp_path, monkeypatch):
    root, first = tmp_path / "m", plan_of(tmp_path, "first", [0])
    assert foresee_disk(root, first.runs, ()).in_words == ""  # nothing is known yet
    api.execute(first, store=MlflowStore(root), jobs=1)
    folder = run_folder(root, first.runs[0].id)
    weights = folder.best.stat().st_size
    rest = sum(path.stat().st_size for path in folder.path.rglob("*") if path.is_file()) - weights
    later = plan_of(tmp_path, "later", [1, 2])
    found = foresee_disk(root, later.runs, {later.runs[0].id})
    assert (found.runs, found.known) == (2, 2)
    assert found.kept_bytes == 2 * (2 * rest + weights) + weights
    assert found.resume_bytes == 12 * weights
    wider = plan_of(tmp_path, "wider", [0], base_channels=8)
    assert foresee_disk(root, (*later.runs, *wider.runs), ()).known == 2
    told = harness_here("plan", "later.yaml", "--root", "m", cwd=tmp_path)
    assert "note: disk: 2 runs to do keep about" in told.stderr
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(1, 1, found.kept_bytes))
    text = foresee_disk(root, later.runs, ()).in_words
    assert text.endswith("they will not fit; harness gc may free some, or give another --root")


def test_room_for_what_is_kept_and_for_a_run_under_way_is_enough():
    assert DiskForecast(1, 1, 600, 400, 1000).fits
    assert not DiskForecast(1, 1, 600, 401, 1000).fits
    assert "1 of 3 runs to do keep about 1 kB" in DiskForecast(3, 1, 600, 400, 1000).in_words

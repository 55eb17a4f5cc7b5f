"""No changed byte of any file below store, cache and prepared folders gives other output: `benchmarks.byte_flips`."""

import itertools
import pickle
import shutil

import pytest
from finished_study import copy_store

from benchmarks.byte_flips import COMMANDS, DAMAGES, is_left_out, operations, sweep, workplace
from harness import api
from harness.apply.choose import choose
from harness.errors import HarnessError
from harness.judged import digest_counts
from harness.randomness import make_rng
from harness.runs.folder import load_result, run_folder
from harness.runs.looks import taken_looks
from harness.runs.studies import load_study
from harness.spec.plan_json import plan_to_json
from harness.tracking.load import find_looks, find_study
from harness.tracking.protocol import Store
from harness.tracking.sync import sync_study


def read_all(store: Store) -> bytes:
    """Return all that a report is made from, and what predict, card, export and reproduce go by."""
    plan, results = find_study(store, "small", warn=lambda text: None)
    looks = taken_looks(plan, find_looks(store, "small", warn=lambda text: None))
    chosen = choose("small/second/seed0@best", store)
    used = [str(chosen.config), chosen.weights.read_bytes(), str(chosen.taxonomy)]
    return pickle.dumps([plan_to_json(plan), results, looks, used])


@pytest.mark.slow
def test_every_file_below_the_store_is_checked_by_what_reads_results(tmp_path):
    """One kind of damage for each file, in turn; the slow test, and `benchmarks.byte_flips --every`, go further."""
    root = tmp_path / "mlruns"
    copy_store(root)
    store, refused = api.open_store(root), 0
    expected = read_all(store)
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and not is_left_out(path)]
    files = [path for path in files if "artifacts" not in path.parts or path.name == "plan.json"]
    assert len(files) > 40
    for path, (kind, damage) in zip(files, itertools.cycle(DAMAGES.items()), strict=False):
        content = path.read_bytes()
        path.write_bytes(damage(content, make_rng(7, kind)) if content else content)
        try:
            found = read_all(store)
        except HarnessError as error:
            refused += 1
            assert "\n" not in str(error), path
        else:
            assert found == expected, (path, kind)
        finally:
            path.write_bytes(content)
    assert refused > 30


@pytest.mark.slow
def test_each_command_refuses_mends_or_gives_what_it_gave_before():
    with workplace() as made:
        fates, wrong = sweep(made, every=False, seed=3, share=0.02)
    assert wrong == []
    assert {name for name, _ in fates} <= set(operations()) > set(COMMANDS)
    assert sum(number for (_, fate), number in fates.items() if fate == "message") > 4


def test_sync_makes_the_tracking_database_anew_and_no_number_comes_from_it(tmp_path):
    """Without it, and without its files, the study is read from the run folders; after sync, from the store alone."""
    root = tmp_path / "mlruns"
    copy_store(root)
    shutil.rmtree(root / "artifacts")
    (root / "mlflow.db").unlink()
    plan = load_study(root, "small")
    expected = {run.id: digest_counts(load_result(run_folder(root, run.id))) for run in plan.runs}
    store = api.open_store(root)
    assert len(sync_study(plan, store).delivered) == len(plan.runs)
    assert len(sync_study(plan, store).there) == len(plan.runs)
    shutil.rmtree(root / "runs")
    found = api.open_store(root).load_results("small", list(expected))
    assert {id_: digest_counts(result) for id_, result in found.items()} == expected

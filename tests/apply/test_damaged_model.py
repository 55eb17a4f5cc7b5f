"""A run's weights and config are checked by all that use them, whether they were damaged or exchanged."""

import json
import shutil
from pathlib import Path

import pytest
from finished_study import copy_store, finished

from harness import api
from harness.apply.choose import choose
from harness.errors import InputError
from harness.fingerprint import fingerprint
from harness.runs.folder import find_start_problem, require_model_file, run_folder


@pytest.fixture
def store(tmp_path):
    """Return a copy of a finished study's folders, which may be spoilt."""
    copy_store(tmp_path / "mlruns")
    return api.open_store(tmp_path / "mlruns")


def find_folder(store, variant: str):
    plan = api.make_plan(api.load_spec(finished().place / "small.yaml"))
    return next(run_folder(store.root, run.id) for run in plan.runs if (run.variant, run.seed) == (variant, 0))


def flip(path: Path, place: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    path.write_bytes(content)


SPOILT = {
    **{f"byte at {share}": lambda path, share=share: flip(path, share) for share in (0, 0.03, 0.5, 0.9, 1)},
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-200]),
    "emptied": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("file", ["best", "config"])
@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_what_is_damaged_is_chosen_by_no_command(store, file, spoil):
    path = getattr(find_folder(store, "second"), file)
    spoil(path)
    with pytest.raises(InputError) as caught:
        choose("small/second/seed0@best", store)
    assert str(caught.value).startswith(f"{path}: damaged (")
    assert "put a whole copy of the file back, or remove" in str(caught.value)


def test_whole_weights_of_another_run_are_not_taken_for_its_own(store):
    """Their checksum inside is right; that of the run's result is not."""
    folder = find_folder(store, "second")
    shutil.copy(find_folder(store, "baseline").best, folder.best)
    with pytest.raises(InputError, match=r"best\.pt: damaged \(its checksum does not match\)"):
        choose("small/second/seed0@best", store)


def test_no_run_starts_from_damaged_weights(store):
    weights = find_folder(store, "baseline").best
    assert find_start_problem(weights) is None
    flip(weights, 0.5)
    assert "the weights that it starts from are damaged (its checksum does not match)" in find_start_problem(weights)
    weights.unlink()
    assert "the weights that it starts from are gone" in find_start_problem(weights)


def test_results_of_before_are_held_against_the_checksum_inside_the_checkpoint(store):
    folder = find_folder(store, "second")
    entry = json.loads(folder.result.read_text())
    del entry["checksum"], entry["model_sha256"]
    folder.result.write_text(json.dumps({**entry, "checksum": fingerprint(entry)}))
    require_model_file(folder, folder.best)
    flip(folder.best, 0.5)
    with pytest.raises(InputError, match=r"best\.pt: damaged"):
        require_model_file(folder, folder.best)

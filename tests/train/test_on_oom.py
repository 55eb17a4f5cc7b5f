"""Memory that runs out in training: for real, in a process that may not have more; and what the pieces compute."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_runs import make_config, make_setup, same, weights_of, without_speed

from harness.errors import RunFailed, is_out_of_memory
from harness.execute.events import Warned
from harness.execute.run import run_one
from harness.records import Machine, Plan, Progress, Run
from harness.registry import choose
from harness.report.study.summary import summarise
from harness.runs.folder import RunFolder, load_result
from harness.settings import TrainSettings
from harness.spec.plan import run_id
from harness.train import loop
from harness.train.batches import Batch
from harness.train.loop import train
from harness.train.memory import MicroBatch, OutOfMemory

LIMITED = """
import resource, sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tiny_runs import large_config
from tiny_runs import make_setup
from harness.execute.run import run_one
from harness.errors import RunFailed
from harness.records import Machine, Run
from harness.settings import TrainSettings
from harness.runs.folder import RunFolder
from harness.train.loop import train

place = Path(sys.argv[2])
small = replace(large_config("fail", images=4), train=TrainSettings(epochs=1, batch_size=1))
setup = make_setup(small)
next(train(setup))  # what a process needs whatever its batch
for split in setup.data.splits.values():
    split.stacked([0])
lines = Path("/proc/self/status").read_text().splitlines()
have = int(next(line for line in lines if line.startswith("VmData")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (have + 1000 * 2**20,) * 2)  # of what is written to, not of mapped files
run = Run("limited", "v", 0, large_config(sys.argv[3]), {})
try:
    run_one(run, RunFolder(place), Machine("cpu"), None, lambda progress: None)
except RunFailed as error:
    print(error)
"""


@pytest.mark.slow
def test_out_of_memory_a_run_says_which_batch_fits_or_goes_on_with_less_and_records_it(tmp_path):
    def run_limited(on_oom):
        """What a process of its own says: what one run left allocated would be missing in the next."""
        command = [sys.executable, "-c", LIMITED, str(Path(__file__).parent), str(tmp_path / on_oom), on_oom]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    said = run_limited("fail")
    assert said.startswith("out of memory while training on 64 images at once")
    fits = next(size for size in (32, 16, 8, 4, 2, 1) if f"a batch of {size} fits" in said)
    assert f"set train.batch_size: {fits} and train.accumulate: {64 // fits}, or train.on_oom: accumulate" in said
    assert said.count("\n") == 1
    assert run_limited("accumulate") == ""
    result = load_result(RunFolder(tmp_path / "accumulate"))
    assert result.status == "finished"
    pieces = result.history[0].metrics["train/images_at_once"]
    assert pieces in (32, 16, 8, 4, 2, 1)
    assert f"in pieces of at most {pieces:.0f} images" in " ".join(result.provenance["notes"])


@given(images=st.integers(1, 40), most=st.integers(1, 40), least=st.integers(1, 3))
def test_micro_batches_are_the_batch_cut_evenly(images, most, least):
    batch = Batch(torch.arange(images)[:, None, None, None], torch.arange(images)[:, None, None], None)
    parts = [part.labels_BHW for part in batch.micro_batches(most, least)]
    sizes = [len(part) for part in parts]
    assert torch.cat(parts).equal(batch.labels_BHW)
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= min(least, images)
    assert max(sizes) <= most or images // (len(sizes) + 1) < least


def train_in_pieces(most, **changes):
    setup = make_setup(make_config(**changes))
    setup = replace(setup, micro_batch=MicroBatch(train=most))
    history = list(train(setup))
    return weights_of(setup), history


def test_pieces_are_the_whole_batch_where_each_image_counts_for_itself():
    """Frozen BatchNorm and images whose every pixel is labelled: one gradient, up to rounding."""
    changes = {
        "model": choose("model", "unet", {"base_channels": 4, "freeze": "all_but_classifier"}),
        "data": choose("data", "desert", {"size": [32, 32], "train_images": 9, "normalize": "unit"}),
        "optimizer": choose("optimizer", "sgd", {"lr": 0.1}),
        "train": TrainSettings(epochs=2, batch_size=5),
    }
    (whole, _), (pieces, history) = train_in_pieces(None, **changes), train_in_pieces(2, **changes)
    assert history[-1].metrics["train/images_at_once"] == 2
    for name, value in whole.items():
        torch.testing.assert_close(value, pieces[name], rtol=1e-4, atol=1e-6)


def test_a_limit_that_is_never_reached_changes_no_bit():
    whole, pieces = train_in_pieces(None), train_in_pieces(100)
    assert same(whole[0], pieces[0])


def no_memory_for(images, monkeypatch, since=0):
    """Let training fail, as torch does, with more images at once than that, from the given call on."""
    calls, forward = [], loop.forward

    def limited(setup, split_name, batch):
        calls.append(len(batch.labels_BHW))
        if len(calls) > since and len(batch.labels_BHW) > images:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
        return forward(setup, split_name, batch)

    monkeypatch.setattr(loop, "forward", limited)


def make_run(**changes):
    config = make_config(**changes)
    return Run(run_id(config, {}, None), "v", 0, config, {})


def run_to_end(run, place, stop_after=None):
    def tell(news):
        if isinstance(news, Progress) and news.epoch == stop_after:
            raise KeyboardInterrupt

    run_one(run, RunFolder(place), Machine("cpu"), None, tell)
    return load_result(RunFolder(place))


def test_interrupted_after_a_change_of_the_batch_it_is_the_run_it_would_have_been(tmp_path, monkeypatch):
    run = make_run(train=TrainSettings(epochs=4, batch_size=4, on_oom="accumulate", checkpoint_every=3))
    with monkeypatch.context() as patch:
        no_memory_for(2, patch, since=3)  # in the second of an epoch's two steps, at epoch 2
        whole = run_to_end(run, tmp_path / "whole")
    with monkeypatch.context() as patch:
        no_memory_for(2, patch, since=3)
        with pytest.raises(KeyboardInterrupt):
            run_to_end(run, tmp_path / "broken", stop_after=2)
    again = run_to_end(run, tmp_path / "broken")  # memory is there again, and the pieces stay
    seen = [item.metrics.get("train/images_at_once") for item in again.history]
    assert seen == [None, 2, 2, 2]
    assert [without_speed(item) for item in again.history] == [without_speed(item) for item in whole.history]
    assert (again.counts["val"].pixels_K == whole.counts["val"].pixels_K).all()


def test_the_user_and_the_report_are_told(tmp_path, monkeypatch):
    no_memory_for(2, monkeypatch, since=3)
    run = make_run(train=TrainSettings(epochs=3, batch_size=4, on_oom="accumulate"))
    told = []
    run_one(run, RunFolder(tmp_path), Machine("cpu"), None, told.append)
    (warned,) = [event.text for event in told if isinstance(event, Warned)]
    assert warned.startswith("v/seed0: memory ran out: batches of 4 went through in pieces of at most 2 images")
    report = summarise(Plan("s", "?", "v", 0.0, (run,)), {run.id: load_result(RunFolder(tmp_path))})
    (note,) = [note for note in report.notes if note.startswith("Memory ran out")]
    assert "runs of 'v'" in note
    assert "(seed 0 from epoch 2 on, in the end 2 images at once)" in note


def test_where_no_batch_fits_it_says_what_needs_less(tmp_path, monkeypatch):
    no_memory_for(0, monkeypatch)
    with pytest.raises(RunFailed, match=r"fewer did not fit either: a smaller data.size.*no good checkpoint of"):
        run_to_end(make_run(train=TrainSettings(batch_size=4, on_oom="accumulate")), tmp_path)


def test_a_batch_that_does_not_divide_says_what_the_step_becomes(tmp_path, monkeypatch):
    no_memory_for(2, monkeypatch)
    with pytest.raises(RunFailed, match=r"train.accumulate: 2 \(a step of 4 images instead of 5\)"):
        run_to_end(make_run(train=TrainSettings(batch_size=5)), tmp_path)


@pytest.mark.slow
def test_an_evaluation_out_of_memory_names_its_own_setting(tmp_path, monkeypatch):
    from harness.train import evaluate

    forward = evaluate.forward

    def limited(setup, split_name, batch):
        if len(batch.labels_BHW) > 2:
            raise MemoryError("std::bad_alloc")
        return forward(setup, split_name, batch)

    monkeypatch.setattr(evaluate, "forward", limited)
    with pytest.raises(RunFailed, match=r"while evaluating 16 images at once .* set evaluate.batch_size: 2 "):
        run_to_end(make_run(), tmp_path / "fail")
    result = run_to_end(make_run(train=TrainSettings(epochs=1, on_oom="accumulate")), tmp_path / "go on")
    assert result.history[0].metrics["val/images_at_once"] == 2
    assert "2 images were evaluated at once" in " ".join(result.provenance["notes"])


def test_other_errors_are_not_taken_for_it(monkeypatch):
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    assert not is_out_of_memory(RuntimeError("could not create a primitive descriptor for a convolution"))
    assert not is_out_of_memory(ValueError("out of memory"))

    def broken(setup, split_name, batch):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(loop, "forward", broken)
    with pytest.raises(RuntimeError, match="shapes") as caught:
        next(train(make_setup()))
    assert not isinstance(caught.value, OutOfMemory)


def test_only_a_setting_that_may_change_numbers_changes_the_id():
    plain, same_id, other = (
        make_run(),
        make_run(),
        make_run(train=TrainSettings(epochs=3, batch_size=4, on_oom="accumulate")),
    )
    assert plain.id == same_id.id != other.id

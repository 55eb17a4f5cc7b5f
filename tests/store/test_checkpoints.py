"""Checkpoints: any program loads them, no changed bit goes unseen, and the one before stands in for a damaged one."""

import json
import os
import random
import zipfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from harness.errors import RunFailed
from harness.files import NO_ROOM, CannotWrite, find_damage, write_whole
from harness.records import Progress
from harness.train.checkpoint import Checkpoint, _save_sealed, copy_weights, load_newest, save_state, save_weights
from harness.train.memory import MicroBatch


class Net:
    def __init__(self):
        self.module = nn.Linear(3, 2)


class State:
    """What checkpoints use of a train state."""

    def __init__(self):
        self.network = Net()
        self.optimizer = torch.optim.SGD(self.network.module.parameters(), 0.1, momentum=0.9)

    def step(self, number: int) -> Checkpoint:
        """Move the weights, and return how far the run has come after so many epochs."""
        self.optimizer.zero_grad()
        self.network.module(torch.ones(1, 3)).sum().backward()
        self.optimizer.step()
        history = tuple(Progress(e, 9, {"val/miou_dataset": 0.1 * e}, True, 1000 + e) for e in range(1, number + 1))
        return Checkpoint(history, copy_weights(self.network), 2.0 * number)


def states(folder: Path) -> tuple[Path, Path]:
    return folder / "state.pt", folder / "state.previous.pt"


def train_and_save(folder: Path, epochs: int) -> dict[int, torch.Tensor]:
    """Save after each epoch, and return the weights of each."""
    state, weights = State(), {}
    for number in range(1, epochs + 1):
        save_state(*states(folder), state, state.step(number))
        weights[number] = state.network.module.weight.detach().clone()
    return weights


def flip(path: Path, place: int, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


def test_any_program_loads_the_weights(tmp_path):
    state = State()
    save_weights(tmp_path / "best.pt", copy_weights(state.network))
    assert find_damage(tmp_path / "best.pt") is None
    for how in ({}, {"mmap": True}):
        loaded = torch.load(tmp_path / "best.pt", weights_only=True, **how)
        assert torch.equal(loaded["weight"], state.network.module.weight)
    with zipfile.ZipFile(tmp_path / "best.pt") as file:
        assert file.testzip() is None


def test_every_flipped_bit_is_seen(tmp_path):
    """torch alone loads many of these files without a word, and with other weights."""
    path = tmp_path / "best.pt"
    state = State()
    save_weights(path, copy_weights(state.network))
    whole = path.read_bytes()
    wrong_in_silence = 0
    for place in range(len(whole)):
        path.write_bytes(whole)
        flip(path, place, place % 8)
        assert find_damage(path), f"byte {place}"
        with suppress(Exception):
            loaded = torch.load(path, weights_only=True)
            wrong_in_silence += not torch.equal(loaded["weight"], state.network.module.weight)
    assert wrong_in_silence > 0


def test_every_truncation_is_seen(tmp_path):
    path = tmp_path / "best.pt"
    save_weights(path, copy_weights(State().network))
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert find_damage(path), length


def test_files_of_an_older_harness_are_judged_by_their_crc(tmp_path):
    path = tmp_path / "old.pt"
    torch.save({"weight": torch.ones(50)}, path)
    assert find_damage(path) is None
    flip(path, path.read_bytes().index(b"\x00\x00\x80\x3f" * 20))
    assert find_damage(path) == "its checksum does not match"


def test_the_state_before_stands_in_for_a_damaged_one(tmp_path):
    weights = train_and_save(tmp_path, 3)
    newest, before = states(tmp_path)
    flip(newest, 700, 3)
    state = State()
    checkpoint = load_newest((newest, before), state)
    assert torch.equal(state.network.module.weight, weights[2])
    assert torch.equal(checkpoint.best["weight"], weights[2])
    assert (len(checkpoint.history), checkpoint.seconds) == (2, 4.0)
    assert checkpoint.notes == (
        "the checkpoint state.pt was damaged (its checksum does not match): training went on after epoch 2 instead",
    )
    assert not newest.exists()
    save_state(newest, before, state, state.step(3))
    flip(newest, 800)
    again = load_newest((newest, before), State())
    assert len(again.history) == 2, "the damaged state never takes the place of the good one"


def test_with_no_good_state_the_run_begins_anew_and_says_so(tmp_path):
    train_and_save(tmp_path, 2)
    for path in states(tmp_path):
        path.write_bytes(path.read_bytes()[:500])
    checkpoint = load_newest(states(tmp_path), State())
    assert checkpoint.history == ()
    assert checkpoint.notes[0].endswith("training began anew")
    assert "state.pt" in checkpoint.notes[0] and "state.previous.pt" in checkpoint.notes[0]


def test_what_was_said_is_remembered_by_the_next_state(tmp_path):
    train_and_save(tmp_path, 2)
    flip(states(tmp_path)[0], 600)
    state = State()
    checkpoint = load_newest(states(tmp_path), state)
    save_state(*states(tmp_path), state, checkpoint)
    assert load_newest(states(tmp_path), State()).notes == checkpoint.notes


def test_killed_between_the_two_renames_the_state_before_is_used_in_silence(tmp_path):
    weights = train_and_save(tmp_path, 2)
    newest, before = states(tmp_path)
    newest.replace(before)
    state = State()
    assert load_newest((newest, before), state).notes == ()
    assert torch.equal(state.network.module.weight, weights[2])


def test_a_state_of_something_else_is_not_used_and_not_removed(tmp_path):
    newest, before = states(tmp_path)
    torch.save({"model": {"other": torch.ones(1)}}, newest)
    with pytest.raises(RunFailed, match=r"state\.pt: cannot continue from it .*; delete the file"):
        load_newest((newest, before), State())
    assert newest.exists()


@pytest.fixture
def small_disk(tmp_path):
    """Return a folder on a disk of its own, of 256 KiB, and let it grow; skipped where this user cannot mount."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if os.spawnvp(os.P_WAIT, mount[0], mount):
        pytest.skip("mounting a small disk needs root")
    yield place
    os.spawnvp(os.P_WAIT, "umount", ["umount", str(place)])


def test_a_full_disk_is_named_and_costs_nothing(small_disk):
    """A disk with room for two states and no third: the error says which file and disk, and both states stay whole."""
    state = State()
    newest, before = states(small_disk)
    for number in (1, 2):
        save_state(newest, before, state, state.step(number))
    (small_disk / "other").write_bytes(bytes(os.statvfs(small_disk).f_bavail * 4096))
    contents = [path.read_bytes() for path in (newest, before)]
    with pytest.raises(CannotWrite) as caught:
        save_state(newest, before, state, state.step(3))
    assert caught.value.errno in NO_ROOM
    assert f"{newest}: cannot be written: No space left on device; the disk {small_disk} has " in str(caught.value)
    assert "bytes free of 262,144" in str(caught.value)
    assert [path.read_bytes() for path in (newest, before)] == contents
    assert sorted(path.name for path in small_disk.iterdir()) == ["other", "state.previous.pt", "state.pt"]
    (small_disk / "other").unlink()
    save_state(newest, before, state, state.step(3))
    assert len(load_newest((newest, before), State()).history) == 3


def test_lost_blocks_are_seen(tmp_path):
    """Disks lose blocks, not bits: a block of zeros, or of another file, anywhere."""
    path = tmp_path / "state.pt"
    train_and_save(tmp_path, 1)
    whole = path.read_bytes()
    rng = random.Random(0)
    for _ in range(100):
        start, length = rng.randrange(len(whole) - 64), rng.randrange(16, 512)
        block = bytes(length) if rng.random() < 0.5 else rng.randbytes(length)
        damaged = (whole[:start] + block + whole[start + length :])[: len(whole)]
        path.write_bytes(damaged)
        assert (find_damage(path) is None) == (damaged == whole)


def test_history_keeps_what_is_not_a_number(tmp_path):
    state = State()
    odd = Progress(1, 9, {"val/iou/x": float("nan")}, True, 1)
    save_state(*states(tmp_path), state, Checkpoint((odd,), copy_weights(state.network)))
    back = load_newest(states(tmp_path), State()).history[0]
    assert json.dumps(back.metrics) == json.dumps(odd.metrics)


def test_a_state_says_with_which_micro_batch_a_run_goes_on(tmp_path):
    state = State()
    save_state(*states(tmp_path), state, replace(state.step(1), micro_batch=MicroBatch(train=3)))
    assert load_newest(states(tmp_path), State()).micro_batch == MicroBatch(train=3)


def test_a_state_of_an_older_version_says_it_in_its_last_epoch(tmp_path):
    newest, before = states(tmp_path)
    last = Progress(1, 9, {"train/images_at_once": 2.0}, True, 1000)
    save_state(newest, before, State(), Checkpoint((last,)))
    content = torch.load(newest, weights_only=True)
    del content["micro_batch"]
    write_whole(newest, lambda file: _save_sealed(content, file))
    assert load_newest((newest, before), State()).micro_batch == MicroBatch(train=2)

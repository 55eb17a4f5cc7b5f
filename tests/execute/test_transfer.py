"""Files on their way between two disks: whatever is interrupted, what has arrived is something to go on from."""

import pytest

from harness.execute.remote import transfer
from harness.execute.remote.transfer import Chunk, FolderReceiver, FolderSender, pack_to_go_on
from harness.files import write_text
from harness.runs.folder import RunFolder


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(transfer, "CHUNK_BYTES", 4)


def fill(folder, epoch):
    """Write what a run has after an epoch, in the order in which a run writes it."""
    for path in (folder.best, folder.state, folder.journal):
        write_text(path, f"{path.name} of epoch {epoch}")


def read(path):
    return {file.relative_to(path).as_posix(): file.read_text() for file in path.rglob("*") if file.is_file()}


@pytest.mark.parametrize("content", ["", "abc", "abcd", "abcde", "abcdefgh"])
def test_a_file_arrives_as_it_was_whatever_its_length(tmp_path, content):
    here, there = RunFolder(tmp_path / "here"), tmp_path / "there"
    write_text(here.best, content)
    pieces = list(FolderSender(here).changed())
    FolderReceiver(there).take_all(pieces)
    assert read(there) == {"checkpoints/best.pt": content}
    assert all(len(piece.data) <= 4 for piece in pieces)


def test_only_what_has_changed_is_sent_again(tmp_path):
    folder = RunFolder(tmp_path)
    fill(folder, 1)
    write_text(folder.log, "printed")
    write_text(folder.lock, "")
    outbox = FolderSender(folder)
    assert {piece.file for piece in outbox.changed()} == {
        "checkpoints/best.pt",
        "checkpoints/state.pt",
        "journal.jsonl",
    }
    assert not list(outbox.changed())
    write_text(folder.state, "state.pt of epoch 1")  # the same text, but written anew
    assert {piece.file for piece in outbox.changed()} == {"checkpoints/state.pt"}
    assert {piece.file for piece in outbox.changed(with_log=True)} == {"output.log"}


def test_the_result_comes_last_and_the_state_after_the_weights_it_counts_as_done(tmp_path):
    folder = RunFolder(tmp_path)
    fill(folder, 1)
    write_text(folder.last, "last")
    write_text(folder.result, "{}")
    write_text(folder.evaluation / "val.npz", "counts")
    sent = [piece.file for piece in FolderSender(folder).changed() if piece.is_last]
    assert sent[-3:] == ["checkpoints/state.pt", "journal.jsonl", "result.json"]
    assert set(sent[:-3]) == {"checkpoints/best.pt", "checkpoints/last.pt", "evaluation/val.npz"}


@pytest.mark.parametrize("moment", range(1, 12))
def test_an_epoch_that_ends_meanwhile_never_leaves_a_state_without_its_weights(tmp_path, moment):
    here, there = RunFolder(tmp_path / "here"), RunFolder(tmp_path / "there")
    fill(here, 1)
    inbox = FolderReceiver(there.path)
    for number, piece in enumerate(FolderSender(here).changed(), start=1):
        inbox.take(piece)
        if number == moment:
            fill(here, 2)
    assert there.state.read_text() == "state.pt of epoch 1"
    assert there.best.read_text() == "best.pt of epoch 1"


def test_a_file_cut_off_on_its_way_leaves_the_older_one(tmp_path):
    folder = RunFolder(tmp_path)
    write_text(folder.state, "older")
    inbox = FolderReceiver(tmp_path)
    inbox.take(Chunk("checkpoints/state.pt", b"new", is_last=False))
    inbox.close()
    assert read(tmp_path) == {"checkpoints/state.pt": "older"}


def test_what_a_run_needs_to_go_on_is_packed_and_its_state_is_last(tmp_path):
    here, there = RunFolder(tmp_path / "here"), tmp_path / "there"
    assert not list(pack_to_go_on(here))
    fill(here, 3)
    write_text(here.log, "printed")
    write_text(here.result, "{}")  # of an attempt that failed: the next one makes its own
    pieces = list(pack_to_go_on(here))
    FolderReceiver(there).take_all(pieces)
    assert read(there) == {name: text for name, text in read(here.path).items() if name != "result.json"}
    assert pieces[-1].file == "checkpoints/state.pt"

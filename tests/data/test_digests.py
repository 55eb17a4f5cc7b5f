import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.data import digests
from harness.data.digests import cache_folder, digest_files, remember
from harness.errors import InputError


def write(folder: Path, **files: str) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return {name: folder / name for name in files}


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files that a test has just written count as unchanged for long."""
    monkeypatch.setattr(digests, "CLOCK_STEP_NS", -3_600_000_000_000)


def test_one_byte_changes_the_digest(tmp_path: Path) -> None:
    files = write(tmp_path / "d", a="hello", b="world")
    before = digest_files(files)
    files["b"].write_text("worle")
    assert digest_files(files) != before


def test_names_count_and_the_border_between_files_too(tmp_path: Path) -> None:
    first = digest_files(write(tmp_path / "1", a="xy", b="z"))
    assert digest_files(write(tmp_path / "2", a="x", b="yz")) != first
    assert digest_files(write(tmp_path / "3", a="xy", c="z")) != first


def test_a_moved_folder_keeps_its_digest(tmp_path: Path) -> None:
    files = write(tmp_path / "here", a="hello", b="world")
    before = digest_files(files)
    (tmp_path / "here").rename(tmp_path / "there")
    assert digest_files({name: tmp_path / "there" / name for name in files}) == before


@pytest.mark.usefixtures("settled")
def test_known_files_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = write(tmp_path / "d", a="hello")
    before = digest_files(files)
    monkeypatch.setattr(digests, "digest_file", lambda path: pytest.fail("the files were read again"))
    assert digest_files(files) == before


@pytest.mark.usefixtures("settled")
def test_same_size_but_later_is_read_again(tmp_path: Path) -> None:
    files = write(tmp_path / "d", a="hello")
    before, state = digest_files(files), files["a"].stat()
    files["a"].write_text("hallo")
    os.utime(files["a"], ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert digest_files(files) != before


def edit_in_place(path: Path) -> None:
    path.write_text("hallo")


def replace_file(path: Path) -> None:
    path.with_name("new").write_text("hallo")
    path.with_name("new").rename(path)


def swap_names(path: Path) -> None:
    """Another file, as large and as old, takes its place: nothing was written."""
    path.rename(path.with_name("old"))
    path.with_name("twin").rename(path)


@pytest.mark.parametrize("change", [edit_in_place, replace_file, swap_names])
@pytest.mark.usefixtures("settled")
def test_another_content_is_seen_where_size_and_time_are_kept(tmp_path: Path, change) -> None:
    """As `cp -p`, `rsync -t` and tar leave them."""
    files = write(tmp_path / "d", a="hello")
    write(tmp_path / "d", twin="hallo")
    state = files["a"].stat()
    os.utime(tmp_path / "d" / "twin", ns=(state.st_atime_ns, state.st_mtime_ns))
    before = digest_files(files)
    assert before == digest_files(files)
    change(files["a"])
    os.utime(files["a"], ns=(state.st_atime_ns, state.st_mtime_ns))
    assert (files["a"].stat().st_size, files["a"].stat().st_mtime_ns) == (state.st_size, state.st_mtime_ns)
    assert digest_files(files) not in (before, "")


def test_files_just_written_are_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second change in the same tick of the clock would leave no trace: here the system tells the same of both."""
    files = write(tmp_path / "d", a="hello")
    frozen = digests._states(files)
    monkeypatch.setattr(digests, "_states", lambda files: frozen)
    before = digest_files(files)
    files["a"].write_text("hallo")
    assert digest_files(files) != before


def test_a_file_that_changes_while_it_is_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, read = write(tmp_path / "d", a="hello", b="world"), digests.digest_file

    def read_slowly(path: Path) -> str:
        digest = read(path)
        files["b"].write_text("other")
        return digest

    monkeypatch.setattr(digests, "digest_file", read_slowly)
    with pytest.raises(InputError, match=r"d/b: changed while it was read"):
        digest_files(files)


@pytest.mark.parametrize("kind", ["flip", "cut", "empty", "json", "other answer"])
@pytest.mark.usefixtures("settled")
def test_a_damaged_memory_is_worked_out_again_and_repaired(tmp_path: Path, own_cache: Path, kind: str) -> None:
    files = write(tmp_path / "d", a="hello")
    before = digest_files(files)
    (entry,) = (own_cache / "digests").iterdir()
    whole = entry.read_bytes()
    spoilt = {
        "cut": [whole[:end] for end in range(len(whole))],
        "flip": [whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :] for place in range(len(whole))],
        "empty": [b""],
        "json": [b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000],
        "other answer": [whole.replace(before.encode(), b"0" * 64)],
    }[kind]
    for content in spoilt:
        entry.write_bytes(content)
        assert digest_files(files) == before
        assert json.loads(entry.read_text())["answer"] == before


def test_a_cache_that_cannot_be_written_is_no_reason_to_stop(tmp_path: Path, own_cache: Path) -> None:
    own_cache.write_text("a file where the folder should be")
    assert remember("digests", "k", lambda: "answer") == "answer"
    assert own_cache.read_text() == "a file where the folder should be"


def test_an_empty_answer_is_remembered() -> None:
    assert remember("problems", "k", lambda: "") == ""
    assert remember("problems", "k", lambda: pytest.fail("worked out again")) == ""


def test_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone"):
        digest_files({"gone": tmp_path / "gone"})


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", "/a")
    assert cache_folder() == Path("/a")
    monkeypatch.delenv("HARNESS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert cache_folder() == Path("/b/ablation-harness")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/c")
    assert cache_folder() == Path("/c/.cache/ablation-harness")


def test_processes_that_remember_at_once_leave_whole_entries(own_cache: Path) -> None:
    program = (
        "from harness.data.digests import remember\nfor k in range(200): remember('x', str(k % 5), lambda: 'y' * 9999)"
    )
    running = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    entries = sorted((own_cache / "x").iterdir())
    assert [entry.name for entry in entries] == [f"{k}.json" for k in range(5)]
    assert {json.loads(entry.read_text())["answer"] for entry in entries} == {"y" * 9999}

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from cached_arrays import NUMBER, assert_right, read

from harness.data import cache
from harness.data.cache import clear_caches, list_caches, open_cache
from harness.errors import InputError


def unread(index: int) -> dict[str, np.ndarray]:
    raise AssertionError("read again")


def files_of(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def names_of(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "prepared").iterdir())


def test_arrays_come_back_as_they_were_and_are_read_once():
    assert_right(open_cache("t", "content", NUMBER, read))
    assert_right(open_cache("t", "content", NUMBER, unread))


def test_views_cannot_be_written():
    picture = open_cache("t", "content", NUMBER, read)(0)["picture"]
    assert not picture.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        picture[0] = 0


def test_bytes_do_not_depend_on_the_threads(own_cache: Path, monkeypatch):
    def slower_first(index: int) -> dict[str, np.ndarray]:
        time.sleep(0.004 * (index % 3 == 0))
        return read(index)

    written = []
    for cores in (1, 7):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid, cores=cores: set(range(cores)))
        open_cache("t", "content", NUMBER, slower_first)
        written.append(files_of(own_cache))
        shutil.rmtree(own_cache)
    assert written[0] == written[1]


PROGRAM = """
import sys, time, os
sys.path.insert(0, {tests!r})
from cached_arrays import NUMBER, read, assert_right
from harness.data.cache import open_cache
def slow(index):
    print("read %d\\n" % index, end="", flush=True)  # in one piece: threads write at once
    time.sleep(float(sys.argv[1]))
    return read(index)
print("ready", flush=True)
sys.stdin.readline()
assert_right(open_cache("t", "content", NUMBER, slow))
"""


def let_build(builder: subprocess.Popen[str], until_read: int | None = None) -> None:
    builder.stdin.write("go\n")
    builder.stdin.flush()
    if until_read is not None:
        assert any(line == f"read {until_read}\n" for line in builder.stdout), "the builder ended before that"


def start_builder(seconds_an_image: float) -> subprocess.Popen[str]:
    program = PROGRAM.format(tests=str(Path(__file__).parent))
    command = [sys.executable, "-c", program, str(seconds_an_image)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def test_two_processes_that_want_one_cache_build_it_once(own_cache: Path):
    builders = [start_builder(0.01) for _ in range(3)]
    for builder in builders:
        let_build(builder)
    read_by = [builder.communicate(timeout=60)[0].count("read") for builder in builders]
    assert [builder.returncode for builder in builders] == [0, 0, 0]
    assert sorted(read_by) == [0, 0, NUMBER]
    by_three = files_of(own_cache)
    shutil.rmtree(own_cache)
    open_cache("t", "content", NUMBER, read)
    assert files_of(own_cache) == by_three


def test_a_killed_builder_leaves_nothing_that_hurts(own_cache: Path):
    builder = start_builder(0.05)
    let_build(builder, until_read=20)
    os.kill(builder.pid, signal.SIGKILL)
    builder.communicate()
    assert [kept.title for kept in list_caches()] == ["unfinished"]
    assert_right(open_cache("t", "content", NUMBER, read))
    assert [kept.title for kept in list_caches()] == ["t"]


def cut_short(folder: Path) -> None:
    with (folder / "picture.bin").open("r+b") as file:
        file.truncate(100)


def lengthen(folder: Path) -> None:
    with (folder / "far.bin").open("ab") as file:
        file.write(b"1234")


def empty(folder: Path) -> None:
    (folder / "far.bin").write_bytes(b"")


def remove(folder: Path) -> None:
    (folder / "picture.bin").unlink()


def swap_shapes(folder: Path) -> None:
    entry = json.loads((folder / "index.json").read_text())
    shapes = entry["index"]["kinds"]["picture"]["shapes"]
    shapes[0], shapes[1] = shapes[1], shapes[0]
    (folder / "index.json").write_text(json.dumps(entry))


def halve_index(folder: Path) -> None:
    text = (folder / "index.json").read_text()
    (folder / "index.json").write_text(text[: len(text) // 2])


def other_json(folder: Path) -> None:
    (folder / "index.json").write_text("[]")


@pytest.mark.parametrize("damage", [cut_short, lengthen, empty, remove, swap_shapes, halve_index, other_json])
def test_a_damaged_cache_is_built_again(damage, own_cache: Path):
    open_cache("t", "content", NUMBER, read)
    before = files_of(own_cache)
    (kept,) = list_caches()
    damage(kept.folder)
    assert_right(open_cache("t", "content", NUMBER, read))
    assert files_of(own_cache) == before


@pytest.mark.parametrize("damage", [b"\x00", b"\xff", b"4"])
def test_a_byte_that_changed_gives_the_image_from_its_original_and_the_cache_is_built_again(
    damage: bytes, own_cache: Path, capsys
):
    open_cache("t", "content", NUMBER, read)
    before = files_of(own_cache)
    (kept,) = list_caches()
    rng = np.random.default_rng(damage[0])
    for file in sorted(kept.folder.glob("*.bin")):
        whole = file.read_bytes()
        for place in (0, len(whole) - 1, *rng.integers(len(whole), size=10)):
            changed = bytearray(whole)
            changed[place] = damage[0] if whole[place] != damage[0] else damage[0] ^ 1
            file.write_bytes(changed)
            rows = open_cache("t", "content", NUMBER, read)
            assert_right(rows)
            assert capsys.readouterr().err.count("damaged (the checksum of image") == 1
            assert_right(open_cache("t", "content", NUMBER, read))
            assert files_of(own_cache) == before
    assert capsys.readouterr().err == ""


def test_images_taken_together_are_checked_too(own_cache: Path, capsys):
    def same_shapes(index: int) -> dict[str, np.ndarray]:
        return {"picture": np.full((4, 4), index, np.uint8)}

    rows = open_cache("t", "content", NUMBER, same_shapes)
    (path,) = own_cache.glob("prepared/*/picture.bin")
    content = bytearray(path.read_bytes())
    content[16 * 7 + 3] ^= 1
    path.write_bytes(content)
    rows = open_cache("t", "content", NUMBER, same_shapes)
    taken = rows.together("picture", [3, 7, 7, 1])
    assert [set(np.unique(picture)) for picture in taken] == [{3}, {7}, {7}, {1}]
    assert "damaged" in capsys.readouterr().err


def test_an_original_that_changed_never_stands_in_for_a_damaged_image(own_cache: Path):
    open_cache("t", "content", NUMBER, read)
    (path,) = own_cache.glob("prepared/*/picture.bin")
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    rows = open_cache("t", "content", NUMBER, lambda index: read(index + 1))
    with pytest.raises(InputError, match="its original files have changed since; run the same command again"):
        rows(0)


def test_what_changed_while_it_was_read_is_not_kept(own_cache: Path):
    def require_unchanged() -> None:
        raise InputError("files changed while they were read")

    with pytest.raises(InputError, match="changed while"):
        open_cache("t", "content", NUMBER, read, require_unchanged)
    assert list_caches() == ()


def test_one_who_reads_is_not_disturbed_when_the_cache_is_deleted_or_built_again():
    rows = open_cache("t", "content", NUMBER, read)
    clear_caches()
    assert_right(rows)
    open_cache("t", "content", NUMBER, read)
    assert_right(rows)


def test_an_image_that_cannot_be_read_leaves_no_cache(own_cache: Path):
    def broken(index: int) -> dict[str, np.ndarray]:
        if index == 30:
            raise InputError("30.png: cannot be read")
        return read(index)

    with pytest.raises(InputError, match=r"30\.png"):
        open_cache("t", "content", NUMBER, broken)
    assert list_caches() == ()


NEEDED = NUMBER * sum(array.nbytes for array in read(0).values())


def test_too_little_room_is_said_before_anything_is_written(own_cache: Path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda folder: usage(0, 0, 1234))
    read_indices = []
    with pytest.raises(InputError) as caught:
        open_cache("t", "content", NUMBER, lambda index: read_indices.append(index) or read(index))
    text = str(caught.value)
    assert text == (
        f"{own_cache}/prepared: no room to keep the prepared images: {NEEDED:,} bytes are needed, 1,234 are free "
        "(No space left on device); free some space, or set HARNESS_CACHE=FOLDER to a folder on a larger disk. "
        "Nothing half-written is left"
    )
    assert read_indices == [0]
    assert list_caches() == ()


FULL = """
import resource, sys
sys.path.insert(0, {tests!r})
from cached_arrays import NUMBER, read, assert_right
from harness.data.cache import open_cache
from harness.errors import InputError
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    open_cache("t", "content", NUMBER, read)
except InputError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
import os
print(os.listdir({prepared!r}))
assert_right(open_cache("t", "content", NUMBER, read))
"""


def test_a_write_that_the_system_cuts_short_leaves_no_half_cache(own_cache: Path):
    """The limit on a file's size makes the system write what still goes in and refuse the rest, as a full disk does."""
    program = FULL.format(tests=str(Path(__file__).parent), prepared=str(own_cache / "prepared"))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    message, left = done.stdout.splitlines()
    assert message.startswith(f"{own_cache}/prepared: no room to keep the prepared images: {NEEDED:,} bytes are needed")
    assert "(File too large)" in message
    assert "HARNESS_CACHE=FOLDER" in message
    assert ".partial" not in left
    assert ".lock" in left


def test_a_folder_that_cannot_be_written(own_cache: Path):
    own_cache.write_text("a file where the folder should be")
    with pytest.raises(InputError) as caught:
        open_cache("t", "content", NUMBER, read)
    assert str(caught.value) == (
        f"{own_cache}/prepared: the prepared images cannot be kept there: Not a directory; set HARNESS_CACHE=FOLDER to "
        "a folder that can be written"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_may_not_be_written(own_cache: Path):
    own_cache.mkdir(mode=0o500)
    with pytest.raises(InputError, match="Permission denied; set HARNESS_CACHE=FOLDER"):
        open_cache("t", "content", NUMBER, read)


def test_list_and_clear(own_cache: Path):
    assert list_caches() == ()
    assert clear_caches() == 0
    open_cache("b", "one", NUMBER, read)
    open_cache("a", "two", NUMBER, read)
    kept = list_caches()
    assert [entry.title for entry in kept] == ["a", "b"]
    assert sum(entry.bytes for entry in kept) == sum(map(len, files_of(own_cache).values()))
    assert clear_caches() == sum(entry.bytes for entry in kept)
    assert list_caches() == ()


def test_what_is_being_built_is_not_cleared():
    builder = start_builder(0.01)
    let_build(builder, until_read=10)
    assert clear_caches() == 0
    builder.communicate(timeout=60)
    assert builder.returncode == 0
    assert_right(open_cache("t", "content", NUMBER, unread))

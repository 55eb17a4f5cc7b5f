"""Files are written whole or not at all; locks end with their process."""

import os
import signal
import subprocess
import sys
import time

import pytest

from harness.files import locked, write_text, write_whole


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    write_text(path, "old")

    def fail(file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_whole(path, fail)
    assert path.read_text() == "old"
    assert [item.name for item in path.parent.iterdir()] == ["a.txt"]


def test_a_lock_ends_with_the_process_that_holds_it(tmp_path):
    program = (
        "import sys, time; from pathlib import Path; from harness.files import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "lock")]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with locked(tmp_path / "lock", wait=False) as held:
        assert not held
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    began = time.monotonic()
    with locked(tmp_path / "lock") as held:
        assert held
    assert time.monotonic() - began < 5


def test_shared_locks_keep_an_exclusive_one_out(tmp_path):
    path = tmp_path / "lock"
    with locked(path, shared=True) as first, locked(path, shared=True) as second:
        assert first
        assert second
        with locked(path, wait=False) as held:
            assert not held

"""A run's process keeps its memory; nothing else of the program does, and a user's own setting stays."""

import os
import subprocess
import sys

import pytest

from harness.execute.fork_server import KEEP_MEMORY, TUNABLES

PROGRAM = """
import os
from harness.execute.fork_server import TUNABLES, run_context

if __name__ == "__main__":
    context = run_context()
    ours, theirs = context.Pipe()
    process = context.Process(target=tell, args=(theirs,))
    process.start()
    print(repr(ours.recv()), repr(os.environ.get(TUNABLES)), sep="\\n")
    process.join()
"""
TELL = """
import os
def tell(pipe):
    pipe.send(os.environ.get("GLIBC_TUNABLES"))
"""


@pytest.mark.parametrize("own", [None, pytest.param("", marks=pytest.mark.slow), "glibc.malloc.arena_max=2"])
def test_memory_is_kept_in_the_processes_of_runs_unless_the_user_says_otherwise(tmp_path, own):
    (tmp_path / "telling.py").write_text(TELL)
    (tmp_path / "program.py").write_text("from telling import tell\n" + PROGRAM)
    environment = {**os.environ, **({} if own is None else {TUNABLES: own})}
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [repr(KEEP_MEMORY if own is None else own), repr(own)]

"""However much a run prints, its output.log stays small, while it goes on too, and what went is counted in it."""

import os
import re
import subprocess
import sys

import pytest

from harness.execute.output_log import HEAD, MOST, TAIL, cut_middle

NOTE = re.compile(rb"\n\.\.\. ([\d,]+) bytes cut here \.\.\. *\n")
PRINTING = """
import ctypes, os, sys, threading, time
from pathlib import Path
from harness.execute.output_log import print_into

log, way = Path(sys.argv[1]), sys.argv[2]
print_into(log)
sys.stdout = os.fdopen(1, "w", buffering=1)
print("first line")
most = 0
for number in range(200):  # 40 MB
    match way:
        case "python":
            print(*[f"{number:06d} 12345678901234567890123456789012"] * 5000, sep="\\n")
        case "C":
            ctypes.CDLL(None).puts(b"x" * 199_999), ctypes.CDLL(None).fflush(None)
        case "program":
            os.system("head -c 200000 /dev/zero")
    if number % 10 == 0:
        time.sleep(0.02)
        most = max(most, log.stat().st_size)
print("last line")
Path(sys.argv[1] + ".most").write_text(str(most))
"""


@pytest.mark.parametrize("way", ["python", "C", "program"])
def test_a_flood_is_cut_while_it_goes_on(tmp_path, way):
    log = tmp_path / "output.log"
    subprocess.run([sys.executable, "-c", PRINTING, str(log), way], check=True, timeout=120)
    cut_middle(log)  # as the parent does when the process has ended
    assert log.stat().st_size <= MOST
    text = log.read_bytes()
    assert text.startswith(b"first line\n")
    assert text.endswith(b"last line\n")
    (gone,) = NOTE.findall(text)
    assert int(gone.replace(b",", b"")) > 20_000_000
    assert int((tmp_path / "output.log.most").read_text()) < 32_000_000, "it did not wait for the end"


def test_what_is_cut_is_counted_to_the_byte_however_often(tmp_path):
    log, written = tmp_path / "output.log", 0
    line = b"some words that a program prints\n"
    for _ in range(5):
        with log.open("ab") as file:
            written += file.write(line * (MOST // len(line)))
        cut_middle(log)
    text = log.read_bytes()
    (gone,) = NOTE.findall(text)
    note = NOTE.search(text)
    assert int(gone.replace(b",", b"")) + note.start() + len(text) - note.end() == written
    assert HEAD // 2 < note.start() <= HEAD
    assert text.startswith(line * 100)
    assert text.endswith(line * 100)
    assert len(text) <= MOST


def test_what_is_not_too_much_is_left_alone(tmp_path):
    log = tmp_path / "output.log"
    log.write_bytes(os.urandom(MOST))
    before = log.read_bytes()
    cut_middle(log)
    assert log.read_bytes() == before
    log.write_bytes(os.urandom(MOST + 1))
    cut_middle(log)
    assert HEAD // 2 + TAIL <= log.stat().st_size <= HEAD + TAIL + 100
    cut_middle(tmp_path / "none.log")

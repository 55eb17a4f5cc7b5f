"""Evaluating a picture of 2048x1024 with 34 classes takes no more memory than it says, whatever the logits' size."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux")
@pytest.mark.parametrize(
    ("way", "most_mib"),
    [("from 256x512", 64), ("from 512x1024", 64), ("from 384x768", 64), ("from 360x720 (rows cannot be cut)", 96)],
)
def test_labels_and_counts_stay_within_their_bound(way, most_mib):
    command = [sys.executable, "-m", "benchmarks.evaluation_speed", "--way", way]
    _, peak_mib = map(
        float, subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()
    )
    assert 0 < peak_mib <= most_mib

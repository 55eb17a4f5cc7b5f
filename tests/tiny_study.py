"""A study that runs in seconds, and the program as a user runs it."""

import contextlib
import io
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np

TINY = """
study: tiny
question: Does Dice help a tiny network on tiny scenes?
base:
  data: {name: desert, size: [32, 32], train_images: 12, val_images: 6, test_images: 3}
  model: {name: unet, base_channels: 4}
  loss: {cross_entropy: {}}
  augment: {flip: {p: 0.5}}
  optimizer: {name: adam, lr: 3.0e-3}
  train: {epochs: 3, batch_size: 4}
variants:
  baseline: {}
  finetune:
    from: baseline@best
    like: baseline
    components:
      dice: {loss.dice: {weight: 1.0}}
seeds: [0, 1]
"""


def harness_command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from harness.cli.app import main; main()", *arguments]


def harness_here(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the program in this process, for what does not ask for a process of its own: a start takes seconds."""
    from harness.cli import app

    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    heard = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGHUP)}
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        contextlib.chdir(cwd or Path.cwd()),
        mock.patch.object(sys, "argv", ["harness", *arguments]),
    ):
        try:
            app.main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        finally:
            for signum, handler in heard.items():
                signal.signal(signum, handler)
    return subprocess.CompletedProcess(arguments, code, *(stream.buffer.getvalue().decode() for stream in (out, err)))


def hear_signals() -> None:
    """Have a process that is about to start hear the signals that `nohup`, or a shell behind the tests, ignores."""
    for signum in (signal.SIGHUP, signal.SIGINT):
        signal.signal(signum, signal.SIG_DFL)


def final_counts(root: Path) -> dict[str, dict[str, bytes]]:
    """Return run id -> split -> the arrays of its counts, as bytes."""
    found: dict[str, dict[str, bytes]] = {}
    for path in sorted(root.glob("runs/*/evaluation/*.npz")):
        with np.load(path) as file:
            content = b"".join(file[name].tobytes() for name in sorted(file.files))
        found.setdefault(path.parts[-3], {})[path.stem] = content
    return found

"""Whether torch computes at all with the threads that a run asks for."""

from __future__ import annotations

import os
import threading

import torch

from harness.errors import RunFailed

PATIENCE_S = 30.0
"""For what takes a hundredth of a second."""
_OPENMP = ("OMP_", "GOMP_", "KMP_", "MKL_")


def require_threads(threads: int, patience_s: float = PATIENCE_S) -> None:
    """Compute a small convolution and its gradient with the threads that torch was given.

    The kernels of a convolution (oneDNN) wait for as many threads as they have asked for. Where OpenMP gives fewer -
    OMP_THREAD_LIMIT, or OMP_DYNAMIC on a machine that is busy - they wait for ever, without a word. Dynamic threads
    depend on the load, and would pass a test now and hang later: they are refused. No random number is drawn.

    Raises:
        RunFailed: it does not come to its end; the variables that may be why are named.
    """
    if threads <= 1:
        return
    if os.environ.get("OMP_DYNAMIC", "").strip().lower() in ("true", "1", "yes", "on"):
        raise RunFailed(
            f"OMP_DYNAMIC={os.environ['OMP_DYNAMIC']} lets OpenMP give torch fewer threads than train.threads "
            f"({threads}), for which torch then waits for ever; unset OMP_DYNAMIC, or set train.threads: 1"
        )
    work = threading.Thread(target=_convolve, args=(threads,), name="self-test", daemon=True)
    work.start()
    work.join(patience_s)
    if work.is_alive():
        found = [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith(_OPENMP)]
        why = f"unset {', '.join(found)}" if found else "see what limits the threads of this process"
        raise RunFailed(
            f"torch waits for ever with train.threads: {threads} (a small convolution took over {patience_s:g} s): it "
            f"does not get so many threads; {why}, or set train.threads: 1"
        )


def _convolve(threads: int) -> None:
    images_BCHW = torch.ones(2 * threads, 3, 32, 32)
    weight_OIHW = torch.ones(8, 3, 3, 3, requires_grad=True)
    torch.autograd.backward(torch.nn.functional.conv2d(images_BCHW, weight_OIHW).sum())

"""Several processes on one device, and the memory of one: what a run's own process shows, not this one's."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch

from benchmarks.cases import Case, configure
from benchmarks.gpu.record import PARTS
from benchmarks.gpu.runs import build, changed, train_all
from benchmarks.gpu.steps import Found, Rig, Step
from harness.execute.probe import peak_memory, shorten
from harness.predictions import MOST
from harness.records import Machine, RunConfig
from harness.train.evaluate import evaluate_in_detail
from harness.train.setup import Setup

RUNS = 4
LOSS = 1e-3
"""Relative difference of the last loss that is allowed: 0, where every operation has a deterministic algorithm."""


class Used(NamedTuple):
    """Memory that a process has had, bytes."""

    peak: int
    """As `harness plan --probe` counts: of tensors on a GPU, of the whole process on a CPU."""
    taken: int
    """From the device, by torch, its reserve too; the driver's own is not in it. 0 on a CPU."""


def start_processes(count: int) -> ProcessPoolExecutor:
    """Return so many processes that have imported torch, as `harness run` has them; each makes one run."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.gpu.__main__"])
    return ProcessPoolExecutor(count, mp_context=context, max_tasks_per_child=1)


def make_run(config: RunConfig, device: str) -> float:
    """Make a run in this process; return its last loss."""
    return train_all(build(config, torch.device(device)))[-1].metrics["train/loss"]


def sharing(rig: Rig) -> Found:
    """Four small runs one after another, and at once."""
    case = (
        Case("unet", 32, 4, 8, (("base_channels", 4),))
        if rig.toy
        else Case("unet", 96, 8, 256, (("base_channels", 16),))
    )
    config = changed(configure(case), epochs=1 if rig.toy else 8)
    configs = [replace(config, seed=seed) for seed in range(RUNS)]
    spent, losses = {}, {}
    build(config, torch.device("cpu"))  # the scenes come into the cache
    for at_once in (1, RUNS):
        began = time.perf_counter()
        with start_processes(at_once) as pool:
            losses[at_once] = list(pool.map(partial(make_run, device=str(rig.device)), configs))
        spent[at_once] = time.perf_counter() - began
    apart = max(abs(a - b) / a for a, b in zip(*losses.values(), strict=True))
    says = (
        f"{spent[1]:.1f} s one after another, {spent[RUNS]:.1f} s at once: {spent[1] / spent[RUNS]:.2f} times faster; "
    )
    says += f"losses apart by {apart:.1e} (allowed {LOSS:g})"
    return Found(says, {"alone_s": spent[1], "at_once_s": spent[RUNS], "losses": losses}, apart <= LOSS)


def use_memory(config: RunConfig, device: str, whole: bool) -> Used:
    """Make a run in this process, or the few steps of it that a probe makes; return the memory that it has had."""
    setup: Setup = build(config, torch.device(device))
    setup = setup if whole else shorten(setup)
    train_all(setup)
    evaluate_in_detail(setup, "val", keep=MOST)
    taken = torch.cuda.max_memory_reserved(device) if setup.device.type == "cuda" else 0
    return Used(peak_memory(Machine(device)), taken)


def memory(rig: Rig) -> Found:
    """Memory foretold, as `harness plan --probe` does, and taken by the run."""
    case = Case("unet", 32, 4, 64, (("base_channels", 4),)) if rig.toy else Case("deeplabv3_resnet50", 256, 8, 128)
    config = changed(configure(case), epochs=2)
    device = str(rig.device)
    used = []
    for whole in (False, True):
        with start_processes(1) as pool:
            used.append(pool.submit(use_memory, config, device, whole).result())
    foretold, took = used
    says = f"{foretold.peak / 2**20:.0f} MiB foretold, {took.peak / 2**20:.0f} taken: {foretold.peak / took.peak:.2f}"
    if not rig.toy:
        says += (
            f"; torch has reserved {took.taken / 2**20:.0f}, {took.taken / foretold.peak:.2f} times what was foretold"
        )
    return Found(says, {"foretold": foretold._asdict(), "took": took._asdict()})


SHARING = (
    Step(PARTS[2], f"{RUNS} small runs sharing the device", sharing, 120.0),
    Step(PARTS[2], "memory foretold and taken", memory, 90.0),
)

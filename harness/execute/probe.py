"""What a plan will cost: a few steps of each kind of run, for real, in processes of their own, and what follows."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from heapq import heapreplace
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any

from harness.execute.fork_server import ending_processes, lead_family, run_context
from harness.execute.machine import kind_of
from harness.predictions import MOST
from harness.records import Machine, Run, RunResult
from harness.runs.folder import RunFolder, files_to_keep, save_result

if TYPE_CHECKING:
    from harness.data.prepared import PreparedSplit
    from harness.train.setup import Setup

STEPS = 6
"""Training steps of a probed epoch."""
EPOCHS = 3
"""Epochs of a probe; the first, in which memory is laid out and kernels are chosen, is not measured."""
JUDGED = 16
"""Validation images evaluated in a probed epoch."""


@dataclass(frozen=True)
class Cost:
    """What one run takes."""

    seconds: float
    """Of an early-stopped run: at most."""
    memory_bytes: int
    """Peak of the process's resident memory, or of the GPU's where the run is on one."""
    kept_bytes: int
    """On disk for good, with what a local tracking store has of it; without the weights of the last epoch."""
    weights_bytes: int
    """On disk, of one epoch's weights."""
    resume_bytes: int
    """On disk while it is under way: what it needs to go on after an interruption."""


@dataclass(frozen=True)
class Forecast:
    """What a plan's runs take together."""

    costs: Mapping[str, Cost]
    """Variant -> what one of its runs takes."""
    runs: int
    jobs: int
    """Runs at once."""
    seconds: float
    """From start to end, without the report."""
    memory_bytes: int
    disk_bytes: int


def probe(runs: Sequence[Run], machine: Machine, jobs: int, lasts_wanted: Collection[str] = ()) -> Forecast:
    """Measure each kind of run (a config, whatever the seed) and return what all the runs take, so many at once.

    `lasts_wanted` holds the ids of runs that keep the weights of their last epoch.

    As many probes are under way as runs will be: runs that share memory and cores slow each other down. Decoded images
    come into the cache, which the runs then use: preparing them is not part of the forecast.

    Raises:
        InputError: the runs cannot be trained; the message is the one that training would give.
    """
    # One run stands for all of its kind: seeds change numbers, not the work.
    kinds = {kind_of(run.config): run for run in reversed(runs)}
    copies = ceil(jobs / max(len(kinds), 1))
    with _ending_pool(jobs) as pool:
        started = {kind: [pool.submit(measure, run, machine) for _ in range(copies)] for kind, run in kinds.items()}
        of_kind = dict[str, Cost]()
        for kind, futures in started.items():
            measured = [future.result() for future in futures]
            of_kind[kind] = replace(measured[0], seconds=statistics.mean(cost.seconds for cost in measured))
    unique = {run.id: run for run in runs}
    costs = {id_: of_kind[kind_of(run.config)] for id_, run in unique.items()}
    largest = sorted(costs.values(), key=lambda cost: -cost.memory_bytes)[:jobs]
    return Forecast(
        costs={run.variant: of_kind[kind_of(run.config)] for run in runs},
        runs=len(unique),
        jobs=jobs,
        seconds=_span(unique.values(), {id_: cost.seconds for id_, cost in costs.items()}, jobs),
        memory_bytes=sum(cost.memory_bytes for cost in largest),
        disk_bytes=sum(cost.kept_bytes + cost.weights_bytes * (id_ in lasts_wanted) for id_, cost in costs.items())
        + jobs * max((cost.resume_bytes for cost in costs.values()), default=0),
    )


@contextmanager
def _ending_pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Yield processes that each do one probe; when the block is left, by an interrupt too, all that they have started
    is ended with them.
    """
    settings: dict[str, Any] = {"mp_context": run_context(), "max_tasks_per_child": 1, "initializer": lead_family}
    with ProcessPoolExecutor(jobs, **settings) as pool, ending_processes():
        try:
            yield pool
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _span(runs: Iterable[Run], seconds: Mapping[str, float], jobs: int) -> float:
    """Return when the last run ends, if each in turn takes a free place and waits for the run that it starts from."""
    free, ends = [0.0] * jobs, dict[str, float]()
    for run in runs:
        ready = ends.get(run.start.run_id, 0.0) if run.start else 0.0
        ends[run.id] = max(free[0], ready) + seconds[run.id]
        heapreplace(free, ends[run.id])
    return max(free)


def measure(run: Run, machine: Machine) -> Cost:
    """Train and judge a small part of a run in this process, and return what the whole takes.

    Raises:
        HarnessError: the run cannot be trained.
    """
    from harness.spec.plugins import import_plugin
    from harness.train.setup import build_setup, prepare_process

    for module in run.config.plugins:
        import_plugin(module)
    prepare_process(run.config)
    shorten(build_setup(run.config, machine, start=None))  # fills the cache
    began = perf_counter()
    setup = build_setup(run.config, machine, start=None)
    build_s = perf_counter() - began
    images = {name: len(split) for name, split in setup.data.splits.items()}
    reported = sum(count for name, count in images.items() if name not in ("train", "select"))
    epochs, warm = run.config.train.epochs, run.start is not None
    with TemporaryDirectory() as place:
        folder = RunFolder(Path(place))
        pace = _measure_pace(shorten(setup), folder)
        select_s = images[setup.data.selects_on] * pace.judge_s
        epoch_s = images["train"] * pace.train_s + select_s + pace.save_s
        judge_s = reported * (pace.judge_in_detail_s + (1 + warm) * pace.judge_s)  # best epoch, last one, start
        return Cost(
            seconds=build_s + epochs * epoch_s + warm * select_s + judge_s + pace.finish_s,
            memory_bytes=peak_memory(machine),
            kept_bytes=_kept_bytes(folder, reported / min(JUDGED, images["val"])),
            weights_bytes=folder.best.stat().st_size,
            resume_bytes=3 * folder.state.stat().st_size,  # two are kept, while a third is written
        )


@dataclass(frozen=True)
class _Pace:
    train_s: float
    """For an image trained on."""
    judge_s: float
    """For an image judged after an epoch."""
    judge_in_detail_s: float
    """For an image judged at the end, its regions counted and its prediction kept."""
    save_s: float
    """For the checkpoints of an epoch."""
    finish_s: float
    """For pictures and results, without judging."""


def _measure_pace(setup: Setup, folder: RunFolder) -> _Pace:
    """Train a few epochs on a few images, and write into the folder what a run leaves behind."""
    from harness.train.checkpoint import Checkpoint, copy_weights, save_state, save_weights
    from harness.train.loop import train

    began = perf_counter()
    history, train_s, judge_s = [], [], []
    for progress in train(setup):
        history.append(progress)
        # An epoch says how long its steps took; what is left of its time was judging.
        train_s.append(1 / progress.metrics["train/images_per_s"])
        rest_s = perf_counter() - began - train_s[-1] * len(setup.data.splits["train"])
        judge_s.append(rest_s / len(setup.data.splits[setup.data.selects_on]))
        began = perf_counter()
    weights = copy_weights(setup.state.network)
    save_weights(folder.best, weights)
    save_state(folder.state, folder.state_before, setup.state, Checkpoint(tuple(history), weights))
    save_s = perf_counter() - began
    save_weights(folder.last, weights)
    began = perf_counter()
    detailed_s = _finish(setup, folder)
    finish_s = perf_counter() - began - detailed_s
    mean_train_s, mean_judge_s = (statistics.mean(seconds[1:]) for seconds in (train_s, judge_s))
    return _Pace(mean_train_s, mean_judge_s, detailed_s / len(setup.data.splits["val"]), save_s, finish_s)


def shorten(setup: Setup) -> Setup:
    """Return the same setup with a few images of each split and a few epochs; the whole splits come into the cache."""
    train = setup.config.train
    short = replace(setup.config, train=train.model_copy(update={"epochs": EPOCHS, "early_stop": None}))
    counts = {"train": STEPS * train.batch_size * train.accumulate}
    splits = {name: _first(split, counts.get(name, JUDGED)) for name, split in setup.data.splits.items()}
    return replace(setup, config=short, data=replace(setup.data, splits=splits))


def _first(split: PreparedSplit, count: int) -> PreparedSplit:
    split.pair(0), split.judged_label(0), split.depth(0)  # from here on, what was prepared is shared with the copy
    short = copy(split)
    short.names, short.groups = split.names[:count], split.groups[:count]
    return short


def _finish(setup: Setup, folder: RunFolder) -> float:
    """Judge, draw and write what a finished run leaves behind; return the seconds that judging took."""
    from harness.report.figures.examples import draw_confusion, draw_examples
    from harness.train.evaluate import evaluate_in_detail, make_examples

    began = perf_counter()
    judged = evaluate_in_detail(setup, "val", keep=MOST)
    seconds = perf_counter() - began
    examples, taxonomy = make_examples(setup), setup.data.source.taxonomy
    draw_confusion(judged.counts, folder.confusion_picture)
    draw_examples(examples, taxonomy.classes, taxonomy.colours, folder.examples_picture)
    counts, regions = {"val": judged.counts}, {"val": judged.regions}
    result = RunResult("probe", "finished", counts=counts, last_counts=counts, start_counts=counts, regions=regions)
    save_result(folder, replace(result, examples=examples, predictions=judged.predictions))
    return seconds


def _kept_bytes(folder: RunFolder, share: float) -> int:
    """Return the bytes of a run's files and of their copy in the tracking store; counts grow with the images."""
    copied = {path: path.stat().st_size for path in files_to_keep(folder)}
    counts = sum(size for path, size in copied.items() if path.suffix == ".npz" and folder.evaluation in path.parents)
    return round(2 * (sum(copied.values()) + (share - 1) * counts)) + folder.best.stat().st_size


def peak_memory(machine: Machine) -> int:
    """Return the most bytes that this process has held so far, in main memory or, where it computes there, on a GPU."""
    import resource
    import sys

    import torch

    from harness.train.setup import resolve_device

    device = resolve_device(machine.device)
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

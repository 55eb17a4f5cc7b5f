"""Whether the networks of some runs can be trained at all: one real step of each kind, each in a process of its own.

A kind is a network, what it sees and how many images at once: runs that differ in the loss, the optimizer or the seed
alone are of one kind. What works is remembered in the user's cache folder, for one content and version of torch.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from multiprocessing.connection import Connection, wait
from threading import Event, Lock
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np

from harness.data.digests import remember
from harness.data.source import Split
from harness.data.subsets import take
from harness.errors import HarnessError, InputError, describe, is_out_of_memory, name_some
from harness.execute.feasibility import SHOWN
from harness.execute.fork_server import end_family, lead_family, run_context
from harness.execute.machine import read_cores
from harness.fingerprint import canonical, digest
from harness.records import Machine, Run, RunConfig
from harness.spec.conflicts import smallest_batch

if TYPE_CHECKING:
    from harness.train.setup import Setup

WORKS = "works"
PATIENCE_S = 300.0
"""How long a step may take: of one that takes longer the run itself says where it stands."""
POLL_S = 0.5
_FAMILIES = Lock()
"""Held while one begins or ends: who ends one must know of all others."""
OTHER_SIDES_PX = (64, 96, 128, 224, 256, 384, 512)
"""Sides of square images that are tried, where a network does not take those it is given."""


def check_models(runs: Sequence[Run], machine: Machine, patience_s: float = PATIENCE_S) -> None:
    """Train one step of each kind of run, the smallest that occurs, and evaluate one image.

    Memory that runs out is no answer: `train.on_oom` says what happens then. Nor is a step that takes longer than
    `patience_s`: the run itself says where it stands.

    Raises:
        InputError: some cannot be trained; the variants, what came, and what would work.
    """
    kinds: dict[str, list[Run]] = {}
    for run in runs:
        kinds.setdefault(_kind(run.config), []).append(run)
    given_up = Event()
    with ThreadPoolExecutor(min(read_cores(), max(len(kinds), 1))) as pool:
        try:
            answers = list(pool.map(lambda kind: _ask(kind, kinds[kind][0], machine, patience_s, given_up), kinds))
        finally:  # an interrupt waits for no step
            given_up.set()
            pool.shutdown(wait=False, cancel_futures=True)
    # Not by their texts, as other problems are: what fails alike in two kinds of runs is told of each.
    told = [
        f"{name_some(tuple(dict.fromkeys(run.variant for run in found)), SHOWN)}: {answer}"
        for found, answer in zip(kinds.values(), answers, strict=True)
        if answer
    ]
    if told:
        raise InputError(
            "\n  ".join(["of the first steps that were tried, these fail, and nothing was started:", *told])
        )


def _kind(config: RunConfig) -> str:
    train = config.train
    parts = [[part.name, part.settings] for part in (config.model, config.data)]
    resized = [[step.name, step.settings] for step in config.augment if "size" in step.settings]
    steps = [train.batch_size, train.epochs > 0, train.precision, train.memory_format, train.augment_as]
    return canonical([*parts, resized, steps, config.evaluate.size, config.plugins])


class _NotKnown(Exception):
    """What is not to be remembered: a problem in words, or nothing."""


def _ask(kind: str, run: Run, machine: Machine, patience_s: float, given_up: Event) -> str:
    """Return what is wrong with a kind of run; nothing where it works, or where that cannot be told.

    `given_up` is set when no answer is wanted any more.
    """
    content = [kind, dict(run.inputs), bool(run.start), machine.device, version("torch"), version("torchvision")]

    def work_out() -> str:
        if (answer := _try_apart(run, machine, patience_s, given_up)) != WORKS:
            raise _NotKnown(answer)
        return answer

    try:
        if run.config.plugins:  # the code of a plugin changes without its name
            work_out()
        else:
            remember("steps", digest(content), work_out)
    except _NotKnown as problem:
        return str(problem)
    return ""


def _try_apart(run: Run, machine: Machine, patience_s: float, given_up: Event) -> str:
    """Try a step in another process. Return its answer: nothing where it died, of memory perhaps, or takes long."""
    # A process of its own: a step may be killed for its memory, hang, or change what torch keeps for the process.
    context = run_context()
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(run, machine, theirs))
    with _FAMILIES:
        process.start()
    theirs.close()
    until = monotonic() + patience_s
    try:
        while not (wait([ours, process.sentinel], POLL_S) or given_up.is_set() or monotonic() > until):
            pass
        with suppress(EOFError):
            return str(ours.recv()) if ours.poll() else ""
        return ""
    finally:
        process.kill()
        with _FAMILIES:
            end_family(process.pid)
        process.join()
        ours.close()


def _answer(run: Run, machine: Machine, pipe: Connection) -> None:
    lead_family()
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    pipe.send(try_step(run, machine))


def try_step(run: Run, machine: Machine) -> str:
    """Train the smallest step that occurs in a run, evaluate one image, and return `WORKS`, or what is wrong.

    Nothing is returned where memory runs out. The weights of a run that starts from another's are not read.
    """
    from harness.spec.plugins import import_plugin
    from harness.train.self_test import require_threads
    from harness.train.setup import prepare_process, without_weights

    config = replace(run.config, train=run.config.train.model_copy(update={"compile": "none", "early_stop": None}))
    if run.start is not None:
        config = replace(config, model=without_weights(config.model))
    try:
        for module in config.plugins:
            import_plugin(module)
        prepare_process(config)
        require_threads(config.train.threads)
        _step(_short_setup(config, machine), train=config.train.epochs > 0)
    except HarnessError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - networks raise errors of any kind
        if is_out_of_memory(error):
            return ""
        return f"{_describe(config)}: {describe(error)}{_tell_remedy(config)}"
    return WORKS


def _short_setup(config: RunConfig, machine: Machine) -> Setup:
    """Build a run's live objects on the images of its smallest step, which are read from the files."""
    from harness.train.setup import build_setup, open_splits

    source = open_splits(config)
    few = smallest_batch(len(source.splits["train"].names), config.train.batch_size)
    splits = {
        name: _with_known_depth(take(split, range(few if name == "train" else 1)))
        for name, split in source.splits.items()
    }
    apart = replace(machine, cache=False, resident=False)
    return build_setup(config, apart, start=None, source=replace(source, splits=splits))


def _with_known_depth(split: Split) -> Split:
    """Return a split whose depth is known in every pixel: in so few images it may be known in none."""
    depth = split.read_depth
    return split if depth is None else replace(split, read_depth=lambda index: np.nan_to_num(depth(index), nan=1.0))


def _step(setup: Setup, *, train: bool) -> None:
    from harness.models.network import set_train_mode
    from harness.train.evaluate import evaluate
    from harness.train.loop import add_gradient
    from harness.train.prefetch import prefetch

    if train:
        set_train_mode(setup.state.network, setup.config.model.freeze)
        add_gradient(setup, next(prefetch(setup.config, setup.data, setup.device, 1)), 1)
        setup.state.optimizer.step()
    evaluate(setup, setup.data.selects_on)


def _describe(config: RunConfig) -> str:
    crop = next((step.own["size"] for step in config.augment if step.name == "crop"), None)
    sides = "x".join(map(str, crop or config.data.size))
    seen = f"crops of {sides}" if crop else "images of their own size" if config.data.size == "native" else sides
    settings = [f"{key} {value}" for key, value in config.model.settings.items() if isinstance(value, str)]
    chosen = ", ".join(text for text in settings if not text.endswith(" none"))
    return f"model {config.model.name}{f' ({chosen})' if chosen else ''} on {seen}"


def _tell_remedy(config: RunConfig) -> str:
    """Return the size at which, or the number of images with which, the network does take a step."""
    size = config.data.size
    sizes = {} if size == "native" else {size: "with two images a step"}
    sizes |= {(side, side): f"at {side}x{side} (data.size, augment.crop)" for side in OTHER_SIDES_PX}
    for sides, told in sizes.items():
        if _takes(config, sides):
            return f"; it works {told}"
    return "; another model, or other settings of it, may work"


def _takes(config: RunConfig, sides: tuple[int, int]) -> bool:
    """Tell whether a network, with random weights, trains on two images of a size."""
    import torch

    from harness.train.batches import Preprocessing
    from harness.train.setup import build_network, open_splits, without_weights

    plain = replace(config, model=without_weights(config.model))
    classes = len(open_splits(config).taxonomy.classes)
    channels = Preprocessing(config.data.inputs, (), ()).channels
    try:
        network, _ = build_network(plain, classes, channels, None)
        network.read(network.module.train()(torch.zeros(2, channels, *sides)))[0].sum().backward()  # type: ignore[no-untyped-call]
    except Exception:  # noqa: BLE001 - networks raise errors of any kind
        return False
    return True

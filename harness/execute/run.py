"""One run, in the process that calls: train, keep what is needed to go on, judge, write the result."""

from __future__ import annotations

import gc
import json
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
import yaml

from harness.data.source import IGNORE
from harness.errors import RunFailed
from harness.execute.events import Warned
from harness.execute.inputs import find_changed
from harness.files import locked, remove_partial, write_text
from harness.models.weights import load_weights
from harness.predictions import MOST
from harness.records import Counts, Machine, Progress, Run, RunResult
from harness.report.figures.examples import draw_confusion, draw_examples
from harness.runs import folder as on_disk
from harness.runs.credentials import mask_credentials
from harness.runs.folder import RunFolder
from harness.runs.provenance import keep_plugins, read_provenance
from harness.spec.plugins import import_plugin
from harness.train.auto_batch_size import fit_micro_batch
from harness.train.batch_counter import BatchCounter
from harness.train.checkpoint import Checkpoint, copy_weights, load_newest, save_state, save_weights
from harness.train.evaluate import evaluate, evaluate_in_detail, make_examples
from harness.train.loop import train
from harness.train.memory import MicroBatch, OutOfMemory, translate_oom
from harness.train.self_test import require_threads
from harness.train.setup import Setup, build_setup, prepare_process

Tell = Callable[[Progress | Warned], None]


def run_one(
    run: Run, folder: RunFolder, machine: Machine, start: Path | None, tell: Tell, counter: BatchCounter | None = None
) -> None:
    """Bring a run to its end, from wherever its folder says it stands; does nothing if it is finished.

    Another process that works on the same run is waited for. `start` is the weights file of the run it starts from.
    `counter` counts each batch.

    Raises:
        HarnessError: the run cannot go on; what it has is in its folder.
    """
    with locked(folder.lock), warnings.catch_warnings(record=True) as caught:
        if on_disk.is_finished(folder):  # by the process that was waited for
            return
        remove_partial(folder.path)
        if start is not None and (problem := on_disk.find_start_problem(start)):
            raise RunFailed(problem)
        warnings.simplefilter("always")
        for module in run.config.plugins:
            import_plugin(module)
        _require_unchanged(run)
        prepare_process(run.config)
        require_threads(run.config.train.threads)
        write_text(folder.config, yaml.safe_dump(run.config.to_dict(), sort_keys=False, allow_unicode=True))
        setup, result = _train_and_judge(run, folder, machine, start, tell, counter or BatchCounter())
        if not machine.cache:  # images were read from their files to the end
            _require_unchanged(run)
        _save_provenance(setup, run, folder, machine, {str(item.message) for item in caught})
        on_disk.save_result(folder, result)
        # Only now: a process killed before the result is written goes on from the state, and judges again.
        for state in (folder.state, folder.state_before):
            state.unlink(missing_ok=True)


def _train_and_judge(
    run: Run, folder: RunFolder, machine: Machine, start: Path | None, tell: Tell, counter: BatchCounter
) -> tuple[Setup, RunResult]:
    """Return the run's result and its setup; where memory runs out, begin again from the last state."""
    micro_batch: MicroBatch | None = None
    while True:
        setup = build_setup(run.config, machine, start=start)
        checkpoint = load_newest((folder.state, folder.state_before), setup.state)
        for note in checkpoint.notes if micro_batch is None else ():
            tell(Warned(f"{run.label}: {note}"))
        history, notes = list(checkpoint.history), (*setup.notes, *checkpoint.notes)
        setup = replace(setup, micro_batch=micro_batch or checkpoint.micro_batch, notes=notes, counter=counter)
        _save_provenance(setup, run, folder, machine, ())
        try:
            try:
                checkpoint = _train(setup, checkpoint, history, folder, tell)
                return setup, _judge(setup, run, folder, checkpoint, start)
            except OutOfMemory as error:
                phase, reason = error.phase, str(error)
            if setup.data.gpu_datasets:
                told = f"memory ran out on {setup.device}; images are read from the main memory from now on"
                machine = replace(machine, resident=False)
            else:  # only here, with the error, has what the failed step held left memory
                micro_batch = fit_micro_batch(setup, phase, reason)
                told = "; ".join(micro_batch.describe(run.config.train.batch_size))
        except RunFailed as error:
            raise RunFailed(f"{error}; {_last_good(folder, history)}") from None
        tell(Warned(f"{run.label}: {told}"))
        del setup
        gc.collect()  # a compiled network refers to itself: its memory would lie beside that of the next one


def _require_unchanged(run: Run) -> None:
    """Refuse to train on other data than the run's id says: the plan may be hours old."""
    if changed := find_changed(run):
        raise RunFailed(
            f"{', '.join(changed)} changed on disk after the study was planned; run the same command again: it plans "
            "with what is there now"
        )


def _train(setup: Setup, checkpoint: Checkpoint, history: list[Progress], folder: RunFolder, tell: Tell) -> Checkpoint:
    """Train from where the run stands, and add each epoch to its history.

    The state is written before the journal: the journal can be made from it. A run that may change its batch saves its
    state each epoch: what is in the journal is then never made again, in another way.
    """
    best = checkpoint.best
    on_disk.write_progress(folder, history)
    if best is not None:  # an epoch after that of the state may have written another
        save_weights(folder.best, best)
    for progress in history:
        tell(progress)
    began = time.perf_counter() - checkpoint.seconds
    settings = setup.config.train
    every = 1 if settings.on_oom == "accumulate" else settings.checkpoint_every
    for epoch in train(setup, history):
        # Stores sort epochs by their time, so each is later than the last, also where the clock was set back.
        earliest_ms = history[-1].time_ms + 1 if history else 0
        progress = replace(epoch, time_ms=max(epoch.time_ms, earliest_ms))
        history.append(progress)
        # Best weights, then the state that counts them as written, then the journal, then the listener: a kill between
        # two of them leaves an epoch that is made again, never one that is told and not there.
        if progress.improved:
            best = copy_weights(setup.state.network)
            save_weights(folder.best, best)
        seconds = time.perf_counter() - began
        checkpoint = Checkpoint(tuple(history), best, seconds, checkpoint.notes, setup.micro_batch)
        if progress.epoch % every == 0:
            save_state(folder.state, folder.state_before, setup.state, checkpoint)
        on_disk.append_progress(folder, progress)
        tell(progress)
    save_weights(folder.last, copy_weights(setup.state.network))
    return replace(checkpoint, seconds=time.perf_counter() - began)


def _best_epoch(history: Sequence[Progress]) -> int:
    return max(item.epoch for item in history if item.improved)


def _last_good(folder: RunFolder, history: Sequence[Progress]) -> str:
    if not any(item.improved for item in history):
        return "there is no good checkpoint of its own yet"
    return f"the last good checkpoint is that of epoch {_best_epoch(history)}: {folder.best}"


def _judge(setup: Setup, run: Run, folder: RunFolder, checkpoint: Checkpoint, start: Path | None) -> RunResult:
    """Evaluate start, last and best epoch on every labelled split but the training one, and draw the run's pictures.

    Regions and pictures are those of the best epoch. Weights that are the same are evaluated once.
    """
    best, last = _best_epoch(checkpoint.history), checkpoint.history[-1].epoch
    start_counts = _count_all(setup, start) if start is not None and last > 0 else {}
    last_counts = _count_all(setup, folder.last) if last != best else {}
    _load_whole(setup, folder.best)
    with translate_oom("evaluate"):
        names = _reported(setup)
        judged = {name: evaluate_in_detail(setup, name, keep=MOST if name == "val" else 0) for name in names}
        examples = make_examples(setup)
    counts, taxonomy = {name: item.counts for name, item in judged.items()}, setup.data.source.taxonomy
    draw_confusion(counts["val"], folder.confusion_picture)
    draw_examples(examples, taxonomy.classes, taxonomy.colours, folder.examples_picture)
    return RunResult(
        run_id=run.id,
        status="finished",
        history=checkpoint.history,
        best_epoch=best,
        counts=counts,
        last_counts=last_counts or counts,
        start_counts=start_counts,
        contract=_make_contract(setup, counts),
        regions={name: item.regions for name, item in judged.items()},
        examples=examples,
        predictions=judged["val"].predictions,
        colours=taxonomy.colours,
        seconds=checkpoint.seconds,
    )


def _reported(setup: Setup) -> list[str]:
    return [name for name in setup.data.splits if name not in ("train", "select")]


def _count_all(setup: Setup, weights: Path) -> dict[str, Counts]:
    """Return the counts of a checkpoint on every reported split; its weights stay in the network."""
    _load_whole(setup, weights)
    with translate_oom("evaluate"):
        return {name: evaluate(setup, name).counts for name in _reported(setup)}


def _load_whole(setup: Setup, weights: Path) -> None:
    if problem := on_disk.find_model_damage(RunFolder(weights.parent.parent), weights):
        raise RunFailed(f"{weights}: damaged ({problem}) since it was written; run again: it is then written anew")
    load_weights(setup.state.network.module, weights)


def _make_contract(setup: Setup, splits: Iterable[str]) -> dict[str, Any]:
    """Return what must agree before this run's counts are compared with another's."""
    evaluated, size = setup.config.evaluate, setup.config.data.size
    return {
        "version": 1,
        "splits": {name: setup.data.source.splits[name].digest for name in splits},
        "size": size if evaluated.size == "input" else "native",
        "ignore": {"label": IGNORE, "rule": "pixels whose true label is ignored are not counted"},
        "taxonomy": setup.data.source.taxonomy.name,
        "classes": list(setup.data.source.taxonomy.classes),
        "class_of": sorted(setup.data.source.taxonomy.class_of.items()),
        "checkpoint": "best",
        "selected_by": evaluated.select_on,
        "selected_on": setup.data.selects_on,
    }


def _save_provenance(setup: Setup, run: Run, folder: RunFolder, machine: Machine, warned: Iterable[str]) -> None:
    is_gpu = setup.device.type == "cuda"
    plugins = keep_plugins(folder.plugins, run.config.plugins)
    facts = {
        **read_provenance(machine),
        **({"plugins": plugins} if plugins else {}),
        "run": {"id": run.id, "inputs": dict(run.inputs), "starts_from": run.start and vars(run.start)},
        "device": {"name": torch.cuda.get_device_name(setup.device) if is_gpu else "cpu", "torch": str(setup.device)},
        "preprocessing": asdict(setup.data.normalize.preprocessing),
        "data_notes": list(setup.data.source.notes),
        "notes": [*setup.notes, *setup.micro_batch.describe(run.config.train.batch_size)],
        "warnings": sorted(mask_credentials(text) for text in warned),
    }
    write_text(folder.provenance, json.dumps(facts, indent=2, ensure_ascii=False))

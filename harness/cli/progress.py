"""What a person sees of runs, and of a search, on stderr: live lines in a terminal, plain ones elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.status import Status

from harness.execute.events import Advanced, Ended, Event, Started, Tick, Warned
from harness.records import IMAGES_AT_ONCE, Run
from harness.records import Progress as Epoch

if TYPE_CHECKING:
    from harness.spec.tuning import Trial
    from harness.tune.loop import TuneEvent

LINES = 20
"""Lines of a count where there is no terminal."""
Listener = Callable[[Event], None]


@contextmanager
def show_progress(runs: Sequence[Run]) -> Iterator[Listener]:
    """Yield a listener that shows each event of executing `runs`."""
    console = Console(stderr=True)
    if console.is_terminal:
        live = _Live(console, runs)
        with live.bars:
            yield live.show
    else:
        yield _Plain(runs).show


def count_plainly(console: Console, done: int, total: int, what: str) -> None:
    """Tell now and then how many are done, where no bar is drawn."""
    if not console.is_terminal and done * LINES // total > (done - 1) * LINES // total:
        print(f"{done:,} of {total:,} {what}", file=sys.stderr, flush=True)


def warn_beside(console: Console, text: str) -> None:
    """Print a warning above what is drawn."""
    console.print(f"warning: {text}", style="yellow", markup=False, highlight=False, soft_wrap=True)


def describe_epoch(epoch: Epoch) -> str:
    """Return an epoch's figures in one short text."""
    texts = [f"{name} {epoch.metrics[key]:{form}}" for name, key, form in _SHOWN if key in epoch.metrics]
    return ", ".join(texts)


_SHOWN = (
    ("loss", "train/loss", ".4f"),
    ("miou_dataset", "val/miou_dataset", ".4f"),
    ("images/s", "train/images_per_s", ".1f"),
    ("images at once", IMAGES_AT_ONCE["train"], ".0f"),
)


def describe_end(event: Ended) -> str:
    """Return how a run ended, in one line."""
    result = event.result
    if result.status != "finished":
        return f"{event.run.label}: {result.status}: {result.reason}"
    score = next(item for item in result.history if item.epoch == result.best_epoch).metrics["val/miou_dataset"]
    best = f"best miou_dataset {score:.4f} at epoch {result.best_epoch}"
    if result.best_epoch == 0:
        best = f"evaluated only, miou_dataset {score:.4f}"
    return f"{event.run.label}: {'finished before' if event.again else 'finished'}, {best}"


class _Plain:
    """One line an epoch, for logs and pipes."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._epochs = _Remaining(runs)

    def show(self, event: Event) -> None:
        self._epochs.note(event)
        match event:
            case Started(run):
                text = f"{run.label}: started ({run.id})"
            case Advanced(run, epoch):
                text = f"{run.label}: epoch {epoch.epoch}/{epoch.epochs}, {describe_epoch(epoch)}"
            case Ended():
                text = f"{describe_end(event)}{self._epochs.time_left()}"
            case Warned(warning):
                text = f"warning: {warning}"
            case Tick():
                return
        print(text, file=sys.stderr, flush=True)


class _Live:
    """A live line for each run under way and one for the whole, in a terminal."""

    def __init__(self, console: Console, runs: Sequence[Run]) -> None:
        self._epochs = _Remaining(runs)
        self.bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=16),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[figures]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )
        self._total = self.bars.add_task("all epochs", total=max(self._epochs.total, 1), figures="")
        self._tasks: dict[str, TaskID] = {}

    def show(self, event: Event) -> None:
        self._epochs.note(event)
        match event:
            case Started(run):
                total = max(run.config.train.epochs, 1)
                self._tasks[run.id] = self.bars.add_task(run.label, total=total, figures="starting")
            case Advanced(run, epoch):
                self.bars.update(self._tasks[run.id], completed=epoch.epoch, figures=describe_epoch(epoch))
            case Ended(run):
                if run.id in self._tasks:
                    self.bars.remove_task(self._tasks.pop(run.id))
                style = "green" if event.result.status == "finished" else "red"
                self.bars.console.print(describe_end(event), style=style, markup=False, highlight=False)
            case Warned(warning):
                self.bars.console.print(f"warning: {warning}", style="yellow", markup=False, highlight=False)
        self.bars.update(self._total, completed=self._epochs.done)


class _Remaining:
    """How many epochs are done and how many there are; a run that stops early gives the rest back."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._planned = {run.id: run.config.train.epochs for run in runs}
        self._done = dict.fromkeys(self._planned, 0)
        self.total = sum(self._planned.values())
        self._began = time.monotonic()
        self._recalled = 0

    @property
    def done(self) -> int:
        return sum(self._done.values())

    def note(self, event: Event) -> None:
        if isinstance(event, Advanced):
            self._done[event.run.id] = event.progress.epoch
        if isinstance(event, Ended):
            if event.again:
                self._recalled += self._planned[event.run.id]
            self._done[event.run.id] = self._planned[event.run.id]

    def time_left(self) -> str:
        trained, left = self.done - self._recalled, self.total - self.done
        if not trained or not left:
            return ""
        seconds = (time.monotonic() - self._began) / trained * left
        return f"; {self.done} of {self.total} epochs done, about {seconds / 60:.0f} min left"


@contextmanager
def show_trials() -> Iterator[Callable[[TuneEvent], None]]:
    """Yield a listener that shows each event of a search."""
    console = Console(stderr=True)
    if console.is_terminal:
        with console.status("starting") as status:
            yield lambda event: _show_live(console, status, event)
    else:
        yield _show_plain


def _show_plain(event: TuneEvent) -> None:
    if text := _describe(event):
        print(text, file=sys.stderr, flush=True)


def _show_live(console: Console, status: Status, event: TuneEvent) -> None:
    from harness.tune.loop import TrialBegan

    match event:
        case TrialBegan(variant, trial, budget):
            status.update(f"{_name(variant, trial, budget)}: {describe_values(trial)}")
        case Advanced(run, epoch):
            status.update(f"{run.label}: epoch {epoch.epoch}/{epoch.epochs}, {describe_epoch(epoch)}")
        case _:
            if text := _describe(event):
                console.print(text, markup=False, highlight=False)


def _describe(event: TuneEvent) -> str:
    from harness.tune.loop import TrialEnded

    match event:
        case TrialEnded(variant, trial, budget, best):
            so_far = f"; best so far: trial {best.number + 1}, {_scores(best)}" if best else ""
            return f"{_name(variant, trial, budget)}: {_outcome(trial)}; {describe_values(trial)}{so_far}"
        case Warned(warning):
            return f"warning: {warning}"
        case Ended(run, result) if result.status in ("failed", "skipped"):
            return f"{run.label}: {result.status}: {result.reason}"
    return ""


def _name(variant: str, trial: Trial, budget: int) -> str:
    return f"{variant}: trial {trial.number + 1} of {budget}"


def _outcome(trial: Trial) -> str:
    seconds = f"{trial.seconds:.1f} s"
    if trial.state != "finished":
        return f"{trial.state} ({trial.reason}), {seconds}"
    return f"{_scores(trial)}{'' if trial.feasible else ', breaks a constraint'}, {seconds}"


def _scores(trial: Trial) -> str:
    return ", ".join(f"{score:.4f}" for score in trial.scores)


def describe_values(trial: Trial) -> str:
    """Return a trial's values in one line."""
    shown = (
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in trial.values.items()
    )
    return ", ".join(shown)

"""What a person sees of a search: a line for each trial that ends, and in a terminal the one under way. On stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status

from harness.cli.progress import describe_epoch
from harness.execute.events import Advanced, Ended, Warned
from harness.spec.tuning import Trial
from harness.tune.loop import TrialBegan, TrialEnded, TuneEvent

Listener = Callable[[TuneEvent], None]


@contextmanager
def show_trials() -> Iterator[Listener]:
    """Yield a listener that shows each event of a search."""
    console = Console(stderr=True)
    if console.is_terminal:
        with console.status("starting") as status:
            yield lambda event: _show_live(console, status, event)
    else:
        yield _show_plain


def _show_plain(event: TuneEvent) -> None:
    text = _describe(event)
    if text:
        print(text, file=sys.stderr, flush=True)


def _show_live(console: Console, status: Status, event: TuneEvent) -> None:
    match event:
        case TrialBegan(variant, trial, budget):
            status.update(f"{_name(variant, trial, budget)}: {describe_values(trial)}")
        case Advanced(run, epoch):
            status.update(f"{run.label}: epoch {epoch.epoch}/{epoch.epochs}, {describe_epoch(epoch)}")
        case _:
            text = _describe(event)
            if text:
                console.print(text, markup=False, highlight=False)


def _describe(event: TuneEvent) -> str:
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

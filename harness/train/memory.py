"""Memory that runs out: how it is noticed, and what is kept of it in a run's record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from harness.errors import RunFailed, is_out_of_memory
from harness.records import IMAGES_AT_ONCE, Progress
from harness.train.setup import AtOnce, Bench

Phase = Literal["train", "evaluate"]


class OutOfMemory(RunFailed):
    """Memory did not hold what a phase needed; nothing on the bench can be relied on any more."""

    def __init__(self, phase: Phase, text: str) -> None:
        super().__init__(text)
        self.phase = phase


@contextmanager
def noting_memory(phase: Phase) -> Iterator[None]:
    """Turn the many errors by which memory runs out while the block runs into one."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(phase, str(error).partition("\n")[0]) from None


def memory_metrics(at_once: AtOnce) -> dict[str, float]:
    """Return the metrics of an epoch that say that batches went through in pieces; none where they did not."""
    pieces = {"train": at_once.train, "evaluate": at_once.evaluate}
    return {IMAGES_AT_ONCE[phase]: float(images) for phase, images in pieces.items() if images is not None}


def recall(history: Sequence[Progress]) -> AtOnce:
    """Return how many images at once the last epoch was made with."""
    last = history[-1].metrics if history else {}
    return AtOnce(**{phase: int(last[name]) for phase, name in IMAGES_AT_ONCE.items() if name in last})


def describe_memory(bench: Bench, at_once: AtOnce) -> tuple[str, ...]:
    """Return what a reader of the results should know about memory that ran out; the journal says from which epoch."""
    notes = []
    if at_once.train is not None:
        notes.append(
            f"memory ran out: batches of {bench.config.train.batch_size} went through in pieces of at most "
            f"{at_once.train} images, their gradients added up; BatchNorm, dropout and losses over a whole batch "
            "saw the pieces"
        )
    if at_once.evaluate is not None:
        notes.append(f"memory ran out: {at_once.evaluate} images were evaluated at once")
    return tuple(notes)

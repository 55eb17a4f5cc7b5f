"""Memory that runs out: how it is noticed, and the micro-batches with which a run goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from harness.errors import RunFailed, is_out_of_memory
from harness.records import IMAGES_AT_ONCE

Phase = Literal["train", "evaluate"]


class OutOfMemory(RunFailed):
    """Memory did not hold what a phase needed; weights and optimizer can be relied on no more."""

    def __init__(self, phase: Phase, text: str) -> None:
        super().__init__(text)
        self.phase = phase


@contextmanager
def translate_oom(phase: Phase) -> Iterator[None]:
    """Turn the many errors by which memory runs out while the block runs into one."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(phase, str(error).partition("\n")[0]) from None


@dataclass(frozen=True)
class MicroBatch:
    """Most images that go through the network together, where memory holds no more; None: the batch as it is set."""

    train: int | None = None
    evaluate: int | None = None

    def metrics(self) -> dict[str, float]:
        """Return the metrics of an epoch that say that batches went through in micro-batches; none where not."""
        return {IMAGES_AT_ONCE[phase]: float(images) for phase, images in vars(self).items() if images is not None}

    def describe(self, batch_size: int) -> tuple[str, ...]:
        """Return what a reader of the results should know about it; the journal says from which epoch."""
        notes = []
        if self.train is not None:
            notes.append(
                f"memory ran out: batches of {batch_size} went through in pieces of at most {self.train} images, their "
                "gradients added up; BatchNorm, dropout and losses over a whole batch saw the pieces"
            )
        if self.evaluate is not None:
            notes.append(f"memory ran out: {self.evaluate} images were evaluated at once")
        return tuple(notes)

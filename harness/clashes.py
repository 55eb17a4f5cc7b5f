"""Settings that are fine by themselves and do not go together."""

from __future__ import annotations

from typing import NamedTuple

from harness.records import RunConfig


class Clash(NamedTuple):
    """Settings of a run that do not go together."""

    key: str
    """Of `train`: the setting to point at."""
    problem: str


def find_clash(config: RunConfig) -> Clash | None:
    """Return what does not go together in a config, or None."""
    train = config.train
    if train.augment_as == "one_sampling" and config.data["size"] == "native":
        return Clash("augment_as", "one_sampling needs images of one size; set data.size, or use steps")
    if train.compile == "reduce-overhead" and (train.accumulate > 1 or train.on_oom == "accumulate"):
        return Clash(
            "compile",
            "reduce-overhead replays whole steps, and gradients added up over batches are lost between them; use"
            " default, or train.accumulate: 1 and train.on_oom: fail",
        )
    return None

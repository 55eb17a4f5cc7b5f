"""torch.compile, where a run asks for it."""

from __future__ import annotations

import os
import shlex
import shutil

import torch

from harness.errors import InputError
from harness.nets.network import Network
from harness.records import RunConfig

MOST_SIZES = 64
"""Batch sizes, in training and in evaluation, for each of which the network is compiled."""


def check_compile(config: RunConfig, device: torch.device) -> None:
    """Refuse what cannot be compiled.

    Raises:
        InputError: a compiler is missing, or settings do not go together.
    """
    train = config.train
    compiler = (shlex.split(os.environ.get("CXX", "")) or ["g++"])[0]
    if train.compile != "none" and device.type == "cpu" and not shutil.which(compiler):
        raise InputError(f"train.compile: {train.compile} needs the compiler {compiler}; install it, or use none")
    if train.compile == "reduce-overhead" and (train.accumulate > 1 or train.on_oom == "accumulate"):
        raise InputError(
            "train.compile: reduce-overhead replays whole steps, and gradients added up over batches are lost between "
            "them; use default, or train.accumulate: 1 and train.on_oom: fail"
        )


def compile_network(config: RunConfig, network: Network) -> None:
    """Have the network compiled when it is first used, for each size of batch anew.

    One program for all sizes, made when the second size is met, would compute full batches in another way from then on:
    a run that goes on after an interruption would not be the one that it would have been.
    """
    if config.train.compile == "none":
        return
    import torch._dynamo

    torch._dynamo.config.recompile_limit = MOST_SIZES
    network.module.compile(mode=config.train.compile, dynamic=None if config.data["size"] == "native" else False)

"""torch.compile, where a run asks for it."""

from __future__ import annotations

import os
import shlex
import shutil

import torch

from harness.errors import InputError
from harness.models.network import Network
from harness.records import RunConfig

MOST_SIZES = 64
"""Batch sizes, in training and in evaluation, for each of which the network is compiled."""


def check_compile(config: RunConfig, device: torch.device) -> None:
    """Refuse what cannot be compiled.

    Raises:
        InputError: a compiler is missing: that of C++, or, on a GPU, that of C, by which Triton starts its kernels.
    """
    if config.train.compile == "none":
        return
    variable, usual = ("CXX", ["g++"]) if device.type == "cpu" else ("CC", ["gcc", "clang"])
    compilers = shlex.split(os.environ.get(variable, ""))[:1] or usual
    if not any(map(shutil.which, compilers)):
        names = " or ".join(compilers)
        raise InputError(f"train.compile: {config.train.compile} needs the compiler {names}; install it, or use none")


def compile_network(config: RunConfig, network: Network) -> None:
    """Have the network compiled when it is first used, for each size of batch anew.

    One program for all sizes, made when the second size is met, would compute full batches in another way from then on:
    a run that goes on after an interruption would not be the one that it would have been.
    """
    if config.train.compile == "none":
        return
    import torch._dynamo

    torch._dynamo.config.recompile_limit = MOST_SIZES
    network.module.compile(mode=config.train.compile, dynamic=None if config.data.size == "native" else False)

"""What a whole process shares and numbers depend on: read before foreign code runs, and put back after it.

A plugin that sets torch's default dtype would change every run of its process, and no run's id would say so.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from operator import attrgetter, methodcaller
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Shared:
    """One thing that a process shares."""

    read: Callable[[Any], Any]
    """The module -> the value."""
    write: Callable[[Any, Any], None]
    initial: Any = None
    """The value when the module has just been imported; None where that depends on the machine."""
    module: str = "torch"
    """It exists where this module is imported."""


def _functions(read: str, write: str, initial: Any = None) -> Shared:
    """Return what a function of torch reads and another one writes."""
    return Shared(methodcaller(read), lambda torch, value: attrgetter(write)(torch)(value), initial)


def _cudnn(name: str, initial: bool) -> Shared:
    read = attrgetter(f"backends.cudnn.{name}")
    return Shared(read, lambda torch, value: setattr(torch.backends.cudnn, name, value), initial)


PRECISIONS = tuple(
    f"backends.{backend}.{kind}.fp32_precision"
    for backend, kinds in (("cuda", ("matmul",)), ("cudnn", ("conv", "rnn")), ("mkldnn", ("matmul", "conv", "rnn")))
    for kind in kinds
)


def _read_precision(torch: Any) -> tuple[Any, ...]:
    """Return how exactly products of float32 are computed, by torch's older settings; None where newer ones differ."""
    found: list[Any] = []
    for read in (torch.get_float32_matmul_precision, lambda: torch.backends.cudnn.allow_tf32):
        try:
            found.append(read())
        except RuntimeError:  # torch's answer where both ways were used
            found.append(None)
    return tuple(found)


def _write_precision(torch: Any, value: tuple[Any, ...]) -> None:
    matmul, cudnn = value
    if matmul is not None:
        torch.set_float32_matmul_precision(matmul)
    if cudnn is not None:
        torch.backends.cudnn.allow_tf32 = cudnn


def _read_backends(torch: Any) -> dict[str, Any]:
    """Return the same by backend and operation, as torch 2.9 and later have it; {} before."""
    found = {}
    for path in PRECISIONS:
        with suppress(AttributeError):
            found[path] = attrgetter(path)(torch)
    return found


def _write_backends(torch: Any, value: Mapping[str, Any]) -> None:
    for path, precision in value.items():
        attrgetter(path.rpartition(".")[0])(torch).fp32_precision = precision


SHARED: Mapping[str, Shared] = {
    "torch's default dtype": Shared(
        lambda torch: str(torch.get_default_dtype()),
        lambda torch, value: torch.set_default_dtype(getattr(torch, value.removeprefix("torch."))),
        "torch.float32",
    ),
    "torch's default device": Shared(
        lambda torch: str(torch.get_default_device()),
        lambda torch, value: torch.set_default_device(None if value == "cpu" else value),
        "cpu",
    ),
    "torch's gradient mode": _functions("is_grad_enabled", "_C._set_grad_enabled", True),
    "torch's number of threads": _functions("get_num_threads", "set_num_threads"),
    "torch's deterministic algorithms": Shared(
        lambda torch: (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        lambda torch, value: torch.use_deterministic_algorithms(value[0], warn_only=value[1]),
        (False, False),
    ),
    "torch's precision of products": Shared(_read_precision, _write_precision, ("highest", True)),
    "torch's precisions by backend": Shared(_read_backends, _write_backends),
    "torch.backends.cudnn.benchmark": _cudnn("benchmark", False),
    "torch.backends.cudnn.enabled": _cudnn("enabled", True),
    "NumPy's handling of floating-point errors": Shared(
        methodcaller("geterr"), lambda numpy, value: numpy.seterr(**value), module="numpy"
    ),
}


@contextmanager
def kept_state(who: str) -> Iterator[None]:
    """Let foreign code run within this context.

    What the code changes of this process is put back, and said. What it prints goes to stderr, because it is no result.
    A working folder that it enters is left again.
    """
    before, folder = _read(), Path.cwd()
    try:
        with warnings.catch_warnings(), redirect_stdout(sys.stderr):
            yield
    finally:
        if Path.cwd() != folder:
            _tell(who, "the working folder", Path.cwd(), folder)
            os.chdir(folder)
        # A module that the foreign code was the first to import has no state of before: what it begins with counts.
        for name, shared in SHARED.items():
            module = sys.modules.get(shared.module)
            wanted = before.get(name, shared.initial)
            if module is not None and wanted is not None and (now := shared.read(module)) != wanted:
                shared.write(module, wanted)
                _tell(who, name, now, wanted)


def _read() -> dict[str, Any]:
    known = ((name, shared.read, sys.modules.get(shared.module)) for name, shared in SHARED.items())
    return {name: read(module) for name, read, module in known if module is not None}


def _tell(who: str, what: str, now: Any, wanted: Any) -> None:
    print(
        f"{who} set {what} to {now} for the whole process; it is {wanted} again, because other runs' numbers depend on "
        "it: choose it where the part makes or uses its own tensors and files",
        file=sys.stderr,
    )

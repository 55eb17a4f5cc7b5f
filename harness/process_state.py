"""What a whole process shares and numbers depend on: read before foreign code runs, and put back after it.

A plugin that sets torch's default dtype would change every run of its process, and no run's id would say so.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Shared:
    """One thing that a process shares."""

    module: str
    """It exists where this module is imported."""
    read: Callable[[Any], Any]
    """The module -> the value."""
    write: Callable[[Any, Any], None]
    initial: Any = None
    """The value when the module has just been imported; None where that depends on the machine."""


def _attribute(path: str, initial: Any) -> Shared:
    owner, _, name = path.rpartition(".")
    return Shared(
        "torch", attrgetter(path), lambda torch, value: setattr(attrgetter(owner)(torch), name, value), initial
    )


SHARED: Mapping[str, Shared] = {
    "torch's default dtype": Shared(
        "torch",
        lambda torch: str(torch.get_default_dtype()),
        lambda torch, value: torch.set_default_dtype(getattr(torch, value.removeprefix("torch."))),
        "torch.float32",
    ),
    "torch's default device": Shared(
        "torch",
        lambda torch: str(torch.get_default_device()),
        lambda torch, value: torch.set_default_device(None if value == "cpu" else value),
        "cpu",
    ),
    "torch's gradient mode": Shared(
        "torch", lambda torch: torch.is_grad_enabled(), lambda torch, value: torch._C._set_grad_enabled(value), True
    ),
    "torch's number of threads": Shared(
        "torch", lambda torch: torch.get_num_threads(), lambda torch, value: torch.set_num_threads(value)
    ),
    "torch's deterministic algorithms": Shared(
        "torch",
        lambda torch: (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        lambda torch, value: torch.use_deterministic_algorithms(value[0], warn_only=value[1]),
        (False, False),
    ),
    "torch's matmul precision": Shared(
        "torch",
        lambda torch: torch.get_float32_matmul_precision(),
        lambda torch, value: torch.set_float32_matmul_precision(value),
        "highest",
    ),
    **{
        f"torch.{path}": _attribute(path, initial)
        for path, initial in (
            ("backends.cuda.matmul.allow_tf32", False),
            ("backends.cudnn.allow_tf32", True),
            ("backends.cudnn.benchmark", False),
            ("backends.cudnn.enabled", True),
        )
    },
    "NumPy's handling of floating-point errors": Shared(
        "numpy", lambda numpy: numpy.geterr(), lambda numpy, value: numpy.seterr(**value)
    ),
}


@contextmanager
def kept_state(who: str) -> Iterator[None]:
    """Within it, foreign code may run: what it changes of this process is put back and said, what it prints is no
    result, and a folder that it enters is left again.
    """
    before, folder = _read(), Path.cwd()
    try:
        with warnings.catch_warnings(), redirect_stdout(sys.stderr):
            yield
    finally:
        if Path.cwd() != folder:
            _tell(who, "the working folder", Path.cwd(), folder)
            os.chdir(folder)
        for name, shared in SHARED.items():
            module = sys.modules.get(shared.module)
            wanted = before.get(name, shared.initial)
            if module is not None and wanted is not None and (now := shared.read(module)) != wanted:
                shared.write(module, wanted)
                _tell(who, name, now, wanted)


def _read() -> dict[str, Any]:
    return {
        name: shared.read(sys.modules[shared.module]) for name, shared in SHARED.items() if shared.module in sys.modules
    }


def _tell(who: str, what: str, now: Any, wanted: Any) -> None:
    print(
        f"{who} set {what} to {now} for the whole process; it is {wanted} again, because other runs' numbers depend on "
        "it: choose it where the part makes or uses its own tensors and files",
        file=sys.stderr,
    )

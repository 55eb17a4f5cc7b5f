"""The errors a user may see. Each says where, what came, and what would work; none shows a traceback."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class HarnessError(Exception):
    """An error meant for the user: its text is the whole message, and the program ends with `exit_code`."""

    exit_code = 1


class InputError(HarnessError):
    """What the user gave is wrong: a spec, an option, an image, a label, a weights file."""

    exit_code = 2


class SettingError(InputError):
    """A setting of a part is wrong; `path` leads to it from the part, so that a spec can add file, line and column."""

    def __init__(self, path: tuple[str | int, ...], problem: str) -> None:
        super().__init__(f"{'.'.join(map(str, path))}: {problem}" if path else problem)
        self.path = path
        self.problem = problem


class RunFailed(HarnessError):
    """One run cannot go on (loss not finite, out of memory); the other runs do."""


OUT_OF_MEMORY = re.compile(
    r"can't allocate memory|out of memory|(CUBLAS|CUDNN)_STATUS_ALLOC_FAILED|could not (create|execute) a primitive$",
    re.MULTILINE,
)
"""What torch says when memory runs out; the last is how oneDNN, its CPU kernels, says it."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error of Python, numpy or torch, on a CPU or a GPU, says that memory ran out."""
    if isinstance(error, RuntimeError):
        return OUT_OF_MEMORY.search(str(error)) is not None
    return isinstance(error, MemoryError)


_UNSAFE = re.compile(r"weights_only|weights only|trust(ed)? the source|trusted source|safe_globals", re.IGNORECASE)
"""What stands in torch's advice to load a file with the code that it holds."""


def describe(error: BaseException) -> str:
    """Return an error of a foreign library in a line: its type, and `first_line`."""
    return f"{type(error).__name__}: {first_line(error)}".removesuffix(": ")


def first_line(error: BaseException) -> str:
    """Return the first line that a foreign library says; in place of advice to run code, what would work."""
    told = str(error).strip()
    if not _UNSAFE.search(told):
        return told.partition("\n")[0]
    names = ", ".join(sorted(set(re.findall(r"GLOBAL ([\w.]+)", told))))
    return (
        f"a file for torch.load holds more than tensors{f' ({names})' if names else ''}; where it was made, save "
        "model.state_dict() alone"
    )


def without_unsafe_advice(text: str) -> str:
    """Return a text, such as a traceback, without the lines in which torch advises to load files with their code."""
    return "".join(line for line in text.splitlines(keepends=True) if not _UNSAFE.search(line))


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return the end of a message: the nearest known spelling, if any is near, and all known ones."""
    options = list(known)
    near = difflib.get_close_matches(given, options, n=1, cutoff=0.6)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"{hint}known: {', '.join(options) if options else 'none'}"

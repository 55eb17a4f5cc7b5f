"""The errors a user may see. Each says where, what came, and what would work; none shows a traceback."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path


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


def name_some(names: Sequence[str], shown: int) -> str:
    """Return the first of some names, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def join_words(words: Iterable[str]) -> str:
    """Return `a`, `a and b`, `a, b and c`; there is at least one word."""
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def without_unsafe_advice(text: str) -> str:
    """Return a text, such as a traceback, without the lines in which torch advises to load files with their code."""
    return "".join(line for line in text.splitlines(keepends=True) if not _UNSAFE.search(line))


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return the end of a message: the nearest known spelling, if any is near, and all known ones."""
    options = list(known)
    near = difflib.get_close_matches(given, options, n=1, cutoff=0.6)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"{hint}known: {', '.join(options) if options else 'none'}"


def describe_missing(place: Path | str, what: str = "folder") -> str:
    """Return a message about a path that leads nowhere: the folder that was looked in, and what it lacks."""
    written, escapes = _name_escapes(str(place))
    if escapes:
        return f"{written}: there is no such {what}; {escapes}"
    # A path goes wrong at one of its folders: the deepest one that exists, and the name that it lacks, are shown.
    path = Path(place).expanduser().absolute()
    missing, here = path.name, path.parent
    while not here.is_dir() and here != here.parent:
        missing, here = here.name, here.parent
    if (here / missing).exists():
        return f"{place}: there is no such {what}: {here / missing} is a file, not a folder"
    return f"{place}: there is no such {what}: {here} holds no '{missing}'{_name_like(here, missing)}"


def _name_like(folder: Path, name: str) -> str:
    try:
        near = difflib.get_close_matches(name, [path.name for path in folder.iterdir()], n=1, cutoff=0.6)
    except OSError:  # a folder that may be entered and not listed
        return ""
    return f"; did you mean '{near[0]}'?" if near else ""


ESCAPES = {
    "\0": (r"\0", "a zero byte"),
    "\a": (r"\a", "a bell"),
    "\b": (r"\b", "a backspace"),
    "\t": (r"\t", "a tab"),
    "\n": (r"\n", "a line break"),
    "\v": (r"\v", "a vertical tab"),
    "\f": (r"\f", "a form feed"),
    "\r": (r"\r", "a carriage return"),
    "\x1b": (r"\e", "an escape character"),
    "\x85": (r"\N", "a line break"),
    "\u2028": (r"\L", "a line break"),
    "\u2029": (r"\P", "a paragraph break"),
}
"""What YAML makes of a backslash and a letter in double quotes, where no name of a file has it."""


def _name_escapes(text: str) -> tuple[str, str]:
    """Return a path as it was probably written, and what its escapes were read as; "" where it has none."""
    found = dict.fromkeys(mark for mark in text if mark in ESCAPES)
    written = "".join(ESCAPES[mark][0] if mark in ESCAPES else mark for mark in text)
    read = " and ".join(f"{ESCAPES[mark][0]} as {ESCAPES[mark][1]}" for mark in found)
    cure = f"in double quotes YAML reads {read}: put the path in single quotes, '{written}'"
    return written, cure if found else ""

"""Groups of images by a regular expression of the user, found within a time limit.

Python's matcher cannot be stopped from within, and an expression such as `(a+)+$` has it try for ever. So it works in a
process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import lru_cache

from harness.errors import SettingError

MOST_S = 3.0
"""Seconds for all names. A hundred thousand take a tenth of one with an expression that does not backtrack."""
_PROGRAM = """
import json, re, sys
pattern, names = json.load(sys.stdin)
try:
    compiled = re.compile(pattern)
except Exception as error:
    print(json.dumps([str(error) or type(error).__name__, []]))
else:
    matches = map(compiled.search, names)
    print(json.dumps([None, [match and (match[1] if compiled.groups else match[0]) for match in matches]]))
"""


@lru_cache(maxsize=16)
def find_groups(pattern: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return what a regular expression finds in each name: its first bracket, if it has one, else all that it matches.

    Raises:
        SettingError: it is no regular expression, does not match a name, or has not found all after `MOST_S` seconds.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _PROGRAM],
            input=json.dumps([pattern, names]),
            capture_output=True,
            text=True,
            timeout=MOST_S,
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise SettingError(
            ("groups",),
            f"'{pattern}' has not been found in all {len(names)} image names after {MOST_S:g} seconds: a repetition"
            " within a repetition, as in (a+)+, tries all ways to divide a name; write it with one, as in a+",
        ) from None
    problem, found = json.loads(done.stdout)
    if problem is not None:
        raise SettingError(("groups",), f"'{pattern}' is not a regular expression: {problem}")
    for name, group in zip(names, found, strict=True):
        if group is None:
            raise SettingError(("groups",), f"'{pattern}' matches nothing in the image name '{name}'")
    return tuple(found)

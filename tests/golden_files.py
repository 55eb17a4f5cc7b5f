"""What was once found, kept in files: a change shows in a review, and is made by one command."""

import shlex
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def require_golden(path: Path, found: str) -> None:
    """Ask for the text that a file keeps; where another was found, say what brings it there."""
    if found == path.read_text(encoding="utf-8"):
        return
    made = Path(tempfile.mkdtemp(prefix="found-")) / path.name
    made.write_text(found, encoding="utf-8")
    kept, new = (shlex.quote(str(name)) for name in (path.relative_to(ROOT), made))
    raise AssertionError(
        f"{kept} keeps something else: see `git diff --no-index {kept} {new}`; where that is what you meant, "
        f"`cp {new} {kept}`, and say in CHANGELOG.md what it means for runs that are finished"
    )

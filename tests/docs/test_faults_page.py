"""Every fault in docs/faults.md that names its test has one."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_each_named_test_is_there():
    named = set(re.findall(r"`(test_\w+)(?:\.py)?`", (TESTS.parent / "docs/faults.md").read_text(encoding="utf-8")))
    files = {path.stem: path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py")}
    defined = set(re.findall(r"^def (test_\w+)", "\n".join(files.values()), re.MULTILINE)) | files.keys()
    assert len(named) > 100
    assert named <= defined

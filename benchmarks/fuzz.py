"""Coverage-guided fuzzing of what harness reads: specs and counts. Only harness's own errors may come out.

    pip install ".[fuzz]"
    python -m benchmarks.fuzz spec -max_total_time=300
    python -m benchmarks.fuzz counts -max_total_time=300

Whatever else comes out ends the program with its traceback; the input then lies in the current folder as
`crash-<digest>`. Options after the first word are libFuzzer's.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import atheris
import numpy as np

with atheris.instrument_imports(
    include=["harness", "yaml", "numpy.lib._format_impl", "numpy.lib._npyio_impl", "zipfile"]
):
    from benchmarks.faults import STUDY
    from harness.counts import load_counts, make_counts, save_counts
    from harness.errors import HarnessError
    from harness.spec.load import load_spec


def main() -> None:
    """Fuzz what the first argument names until the time is up."""
    target = sys.argv.pop(1)
    place = Path(tempfile.mkdtemp())
    corpus = place / "corpus"
    corpus.mkdir()
    if target == "spec":
        (corpus / "tiny.yaml").write_text(STUDY)
    else:
        save_counts(corpus / "val.npz", make_counts([np.array([[5, 1], [2, 7]])], ["a"], ["g"], ["x", "straße"]))
    read = load_spec if target == "spec" else load_counts
    atheris.Setup([*sys.argv, "-max_len=20000", str(corpus)], make_test(read, place / "case"))
    atheris.Fuzz()


def make_test(read: Callable[[Path], object], path: Path) -> Callable[[bytes], None]:
    """Return what reads one case; specs that name plugins are left out, for these are imported."""

    def test(content: bytes) -> None:
        if b"plugins" in content:
            return
        path.write_bytes(content)
        with suppress(HarnessError):
            read(path)

    return test


if __name__ == "__main__":
    main()

"""Arrays in npz files: read with numpy alone, and nothing in the file is executed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from harness.errors import InputError

ADVICE = "put a whole copy of the file back, or remove the result.json of its run and run the study again"
"""What helps against a damaged file of a result: each lies in the run's folder and in the tracking store."""


def load_arrays(file: Path | IO[bytes], names: Sequence[str], title: str) -> dict[str, npt.NDArray[Any]]:
    """Return some arrays of an npz file; `title` is the file and what it should be, for the message.

    Raises:
        InputError: it is no npz file, it is damaged, or an array is missing.
    """
    try:
        with np.load(file, allow_pickle=False) as content:
            arrays = {name: content[name] for name in names}
            odd = [name for name in names if not isinstance(arrays[name], np.ndarray)]  # numpy hands out raw bytes
            if odd:
                raise ValueError(f"{', '.join(odd)} is no array")
            for array in arrays.values():
                if array.dtype.kind == "U":
                    "".join(array.ravel().tolist()).encode()  # refuses what is no Unicode, which numpy lets through
            return arrays
    except Exception as error:  # noqa: BLE001 - damaged files make the readers raise errors of any kind
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{title} ({reason[:200]}); {ADVICE}") from None

"""Counts on disk: the file `evaluation/<split>.npz`, readable with numpy alone, and joining counts of batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import InputError
from harness.files import ADVICE, load_arrays, write_whole
from harness.records import COUNTS_VERSION, Counts

_ARRAYS: Mapping[str, tuple[str, type[np.generic]]] = {
    "image": ("image_K", np.int32),
    "true": ("true_K", np.int16),
    "predicted": ("predicted_K", np.int16),
    "pixels": ("pixels_K", np.int64),
    "images": ("images", np.str_),
    "groups": ("groups", np.str_),
    "classes": ("classes", np.str_),
}
"""Name of each array of rank 1 in the file -> the field of Counts that it holds, and its kind."""


def make_counts(
    confusions_CC: Sequence[npt.NDArray[np.int64]],
    images: Sequence[str],
    groups: Sequence[str],
    classes: Sequence[str],
) -> Counts:
    """Return sparse counts of images' dense confusion matrices, given in the order of `images` (pixels)."""
    # Sparse: of 19 or 150 classes squared, an image holds a few dozen pairs.
    found = [np.nonzero(confusion) for confusion in confusions_CC]
    sizes = [len(true) for true, _ in found]
    return Counts(
        image_K=np.repeat(np.arange(len(images), dtype=np.int32), sizes),
        true_K=_joined([true for true, _ in found]).astype(np.int16),
        predicted_K=_joined([predicted for _, predicted in found]).astype(np.int16),
        pixels_K=_joined([confusion[place] for confusion, place in zip(confusions_CC, found, strict=True)]),
        images=tuple(images),
        groups=tuple(groups),
        classes=tuple(classes),
    )


def _joined(arrays: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    return np.concatenate([np.zeros(0, np.int64), *arrays])


def save_counts(path: Path, counts: Counts) -> None:
    """Write counts as one compressed npz, whole or not at all."""
    arrays: dict[str, Any] = {name: np.array(getattr(counts, of), kind) for name, (of, kind) in _ARRAYS.items()}
    write_whole(path, lambda file: np.savez_compressed(file, **arrays, version=np.int64(COUNTS_VERSION)))


def load_counts(path: Path) -> Counts:
    """Read counts; nothing in the file is executed.

    Raises:
        InputError: the file is not a counts file of this version, or its arrays do not fit together.
    """
    arrays = load_arrays(path, (*_ARRAYS, "version"), f"{path}: not a counts file")
    wrong = [name for name, (_, kind) in _ARRAYS.items() if not _is_of(arrays[name], kind, 1)]
    wrong += [] if _is_of(arrays["version"], np.int64, 0) else ["version"]
    if wrong:
        raise InputError(f"{path}: not a counts file (wrong type or shape: {', '.join(wrong)}); {ADVICE}")
    if int(arrays["version"]) != COUNTS_VERSION:
        raise InputError(f"{path}: counts of version {arrays['version']}; this harness reads version {COUNTS_VERSION}")
    fields: dict[str, Any] = {
        field: tuple(arrays[name].tolist()) if kind is np.str_ else arrays[name].astype(kind)
        for name, (field, kind) in _ARRAYS.items()
    }
    counts = Counts(**fields)
    _check_fit(path, counts)
    return counts


def _is_of(array: npt.NDArray[Any], kind: type[np.generic], ndim: int) -> bool:
    """Tell whether an array is of a kind and rank. Whole numbers must have the same size; the byte order may differ."""
    same = array.dtype.kind == "U" if kind is np.str_ else array.dtype.newbyteorder("=") == kind
    return same and array.ndim == ndim


def _check_fit(path: Path, counts: Counts) -> None:
    lengths = {len(a) for a in (counts.image_K, counts.true_K, counts.predicted_K, counts.pixels_K)}
    num_classes = len(counts.classes)
    limits = ((counts.image_K, len(counts.images)), (counts.true_K, num_classes), (counts.predicted_K, num_classes))
    fits = len(lengths) == 1 and len(counts.images) == len(counts.groups) and not (counts.pixels_K < 0).any()
    if not fits or any(len(a) and (a.min() < 0 or a.max() >= limit) for a, limit in limits):
        raise InputError(f"{path}: damaged: its arrays do not fit together; {ADVICE}")

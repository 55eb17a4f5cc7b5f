"""Kept predictions: a few images with truth and prediction in one npz, `evaluation/predictions.npz`.

`names` str [K]; for picture k `image<k>` uint8, the bytes of a JPEG; `label<k>` and `prediction<k>` uint8 [H, W], class
indices, 255 for an ignored pixel. They stay packed in memory: a study has as many of these as runs.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.errors import InputError
from harness.files import ADVICE, load_arrays, write_whole
from harness.records import Predictions

MOST = 64
"""Images of a split whose predictions are kept."""
SIDE_PX = 512
"""Longest side of what is kept."""
JPEG_QUALITY = 80

Pixels = npt.NDArray[np.uint8]


class PredictedImage(NamedTuple):
    """One image with its truth and its prediction. The image may have another size than the other two."""

    image: Pixels
    """[H, W, 3]."""
    label: Pixels
    """[H, W]."""
    prediction: Pixels
    """[H, W]."""


def choose_evenly(total: int, most: int = MOST) -> list[int]:
    """Return evenly spaced places among `total` images, first and last among them: the same for every run."""
    return sorted({round(place) for place in np.linspace(0, total - 1, min(total, most)).tolist()})


def downscale(pixels: Pixels, side_px: int = SIDE_PX) -> Pixels:
    """Return every n-th row and column, copied, with the least n at which no side is longer than `side_px`.

    Class indices stay class indices, and pixels at the same place in two pictures of one size stay at the same place.
    """
    step = -(-max(pixels.shape[:2]) // side_px)
    return pixels[::step, ::step].copy()


def pack_predictions(names: Sequence[str], kept: Sequence[PredictedImage]) -> Predictions:
    """Return downscaled pictures, packed; the same pictures give the same bytes."""
    from PIL import Image

    arrays: dict[str, Any] = {"names": np.array(names, dtype=str)}
    for index, seen in enumerate(kept):
        jpeg = io.BytesIO()
        Image.fromarray(seen.image).save(jpeg, format="JPEG", quality=JPEG_QUALITY)
        arrays[f"image{index}"] = np.frombuffer(jpeg.getvalue(), np.uint8)
        arrays[f"label{index}"] = seen.label
        arrays[f"prediction{index}"] = seen.prediction
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return Predictions(tuple(names), file.getvalue())


def unpack(predictions: Predictions, name: str) -> PredictedImage:
    """Return one of the kept pictures.

    Raises:
        KeyError: it is not among them.
    """
    from PIL import Image

    index = dict(zip(predictions.names, range(len(predictions.names)), strict=True))[name]
    with np.load(io.BytesIO(predictions.packed), allow_pickle=False) as file:
        image = np.array(Image.open(io.BytesIO(file[f"image{index}"].tobytes())))
        return PredictedImage(image, file[f"label{index}"], file[f"prediction{index}"])


def save_predictions(path: Path, predictions: Predictions) -> None:
    """Write kept predictions whole or not at all."""
    write_whole(path, lambda file: file.write(predictions.packed))


def load_predictions(path: Path) -> Predictions:
    """Read kept predictions; nothing in the file is executed.

    Raises:
        InputError: the file is damaged.
    """
    packed = path.read_bytes()
    title = f"{path}: not a file of predictions"
    names = load_arrays(io.BytesIO(packed), ("names",), title)["names"]
    if names.dtype.kind != "U" or names.ndim != 1:
        raise InputError(f"{title} (its names are none); {ADVICE}")
    return Predictions(tuple(names.tolist()), packed)

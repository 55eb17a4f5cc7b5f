"""Weights of classes in a loss, from how many pixels each class has. Letters: I training image, C class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from harness.errors import InputError

Rule = Literal["none", "inverse_frequency", "median_frequency", "effective_number"]
Weights = npt.NDArray[np.float64]


def weigh_classes(rule: Rule | Sequence[float], pixels_IC: npt.NDArray[np.int64], beta: float) -> Weights | None:
    """Return one weight for each class, [C], or None where all weigh the same.

    `pixels_IC` counts the pixels of each class in each training image. A list is taken as it is. A rule's weights have
    mean 1 over the classes that occur; a class that no training pixel has weighs 0: no rule says anything about it.

    Raises:
        InputError: a list has another length than there are classes.
    """
    if rule == "none":
        return None
    if not isinstance(rule, str):
        given, wanted = len(rule), pixels_IC.shape[1]
        if given != wanted:
            raise InputError(
                f"class_weights: {given} weights were given, the data has {wanted} classes; give one for each"
            )
        return np.array(rule, np.float64)
    pixels_C = pixels_IC.sum(axis=0)
    if rule == "median_frequency":
        raw_C = median_frequency(pixels_IC)
    else:
        raw_C = effective_number(pixels_C, beta) if rule == "effective_number" else inverse_frequency(pixels_C)
    return raw_C / raw_C[pixels_C > 0].mean() if pixels_C.any() else raw_C


def inverse_frequency(pixels_C: npt.NDArray[np.int64]) -> Weights:
    """Return all pixels / pixels of the class; 0 for a class without any."""
    return _divide(np.full(pixels_C.shape, pixels_C.sum(), np.float64), pixels_C.astype(np.float64))


def median_frequency(pixels_IC: npt.NDArray[np.int64]) -> Weights:
    """Return median frequency / frequency of the class (Eigen & Fergus 2015, section 6.3.2); 0 for a class without any.

    A class's frequency is its share of the pixels of those images that it occurs in: a class that is rare because few
    images have it is not weighted up for that, unlike with inverse_frequency.
    """
    in_its_images_C = (pixels_IC.sum(axis=1)[:, None] * (pixels_IC > 0)).sum(axis=0)
    frequency_C = _divide(pixels_IC.sum(axis=0).astype(np.float64), in_its_images_C.astype(np.float64))
    present = frequency_C[frequency_C > 0]
    median = float(np.median(present)) if len(present) else 0.0
    return _divide(np.full(frequency_C.shape, median), frequency_C)


def effective_number(pixels_C: npt.NDArray[np.int64], beta: float) -> Weights:
    """Return (1 - beta) / (1 - beta^n) for a class of n pixels (Cui et al. 2019, eq. 4); 0 for a class without any.

    Beyond 1 / (1 - beta) pixels, classes count as ever more alike: beta 0 gives equal weights, beta near 1 those of
    inverse_frequency.
    """
    effective_C = np.ones(pixels_C.shape) if beta == 0 else -np.expm1(pixels_C * np.log(beta))
    return np.where(pixels_C > 0, _divide(np.full(pixels_C.shape, 1 - beta), effective_C), 0.0)


def _divide(numerator_C: Weights, denominator_C: Weights) -> Weights:
    return np.divide(numerator_C, denominator_C, out=np.zeros(numerator_C.shape), where=denominator_C > 0)

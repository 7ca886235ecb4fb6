"""The one way in which the pipeline resamples: photo to depth input, disparity to levels. Along each axis, result i is
the mean of the source over an interval as long as a result pixel, but no shorter than a source pixel: an area mean
where it shrinks, linear interpolation between pixel centres where it enlarges.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Pitch = tuple[Fraction, Fraction]
"""Source pixels per result pixel, (vertical, horizontal); exact, so that every client counts the same pixels."""

STRIP_ROWS = 32  # rows of a result that are computed at a time: no copy of a large picture in floats


def resample(values: NDArray[Any], size: tuple[int, int], pitch: Pitch) -> Array:
    """Resample a picture onto a grid of another pitch.

    Along an axis of pitch p, result i is the mean of the source, taken as constant in each of its pixels, over the
    interval of length max(1, p) around (i + ½)·p, in source pixels from its corner. Beyond the source its edge is
    repeated.

    Args:
        values: `[H, W]` or `[H, W, C]`; of integers, too.
        size: (height, width) of the result.
        pitch: see `Pitch`.

    Returns:
        `[height, width]` or `[height, width, C]` float32; `values` itself where nothing has to be done.
    """
    for axis, (count, step) in enumerate(zip(size, pitch, strict=True)):
        if step == 1 and values.shape[axis] == count:
            continue
        if step.denominator == 1 and step > 1:
            parts = (part.astype(np.float32, copy=False) for part in _every(values, count, int(step), axis))
            values = reduce(np.add, parts) * np.float32(1 / step)
        else:
            values = _weighed(values, *taps(values.shape[axis], count, step), axis)
    return values


def largest(values: Array, size: tuple[int, int], pitch: Pitch) -> Array:
    """The largest value in each pixel of a coarser grid; both pitches are at least 1.

    A source pixel belongs to the result pixel in which its centre lies: to result i along an axis belong the j with
    i·p <= j + ½ < (i + 1)·p. Beyond the source its edge is repeated.

    Args:
        values, size, pitch: as of `resample`.
    """
    for axis, (count, step) in enumerate(zip(size, pitch, strict=True)):
        if step.denominator == 1:
            values = reduce(np.maximum, _every(values, count, int(step), axis))
        else:
            first, last = _belonging(count, step)
            indices = np.minimum(first + np.arange(int((last - first).max()) + 1)[:, None], last)
            indices = indices.clip(0, values.shape[axis] - 1)
            values = reduce(np.maximum, (values.take(chosen, axis) for chosen in indices))
    return values


def resize(values: NDArray[Any], size: tuple[int, int]) -> Array:
    """Resample the whole picture to `size` (its sides may be stretched differently)."""
    return resample(values, size, whole_pitch(values.shape, size))


def whole_pitch(shape: tuple[int, ...], size: tuple[int, int]) -> Pitch:
    """The pitch at which a picture `[H, W, …]` fills `size`."""
    return Fraction(shape[0], size[0]), Fraction(shape[1], size[1])


def _every(values: NDArray[Any], count: int, step: int, axis: int) -> Iterator[NDArray[Any]]:
    """The first, second … value of each of `count` blocks of `step` along an axis, the edge repeated."""
    missing = count * step - values.shape[axis]
    if missing > 0:
        values = np.pad(values, [(0, missing if k == axis else 0) for k in range(values.ndim)], mode="edge")
    last = count * step
    # Strided slices: a sixth of the time of a reduction over an axis of blocks.
    for start in range(step):
        yield values[start:last:step] if axis == 0 else values[:, start:last:step]


def taps(side: int, count: int, step: Fraction) -> tuple[NDArray[np.intp], Array]:
    """Which source pixels make each result and how much they weigh: two arrays `[taps, count]`."""
    pitch = float(step)
    length = max(1.0, pitch)
    begin = (np.arange(count) + 0.5) * pitch - length / 2
    first = np.floor(begin)
    indices = first + np.arange(int(np.ceil(begin + length - first).max()))[:, None]
    overlap = np.minimum(indices + 1, begin + length) - np.maximum(indices, begin)
    weights = overlap.clip(min=0) / length
    return indices.clip(0, side - 1).astype(np.intp), weights.astype(np.float32)


def _belonging(count: int, step: Fraction) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first and the last source pixel of each result pixel, see `largest`; in whole numbers."""
    edges = np.arange(count + 1, dtype=np.int64) * (2 * step.numerator) - step.denominator
    first = -(-edges // (2 * step.denominator))
    return first[:-1], first[1:] - 1


def _weighed(values: NDArray[Any], indices: NDArray[np.intp], weights: Array, axis: int) -> Array:
    """The weighed sum of taps along one of the first two axes."""
    if axis == 0:
        result = np.empty((indices.shape[1], *values.shape[1:]), np.float32)
        for top in range(0, len(result), STRIP_ROWS):
            rows = slice(top, top + STRIP_ROWS)
            _sum_up(values, indices[:, rows], weights[:, rows], axis, result[rows])
        return result
    result = np.empty((values.shape[0], indices.shape[1], *values.shape[2:]), np.float32)
    for top in range(0, len(result), STRIP_ROWS):
        rows = slice(top, top + STRIP_ROWS)
        _sum_up(values[rows], indices, weights, axis, result[rows])
    return result


def _sum_up(values: NDArray[Any], indices: NDArray[np.intp], weights: Array, axis: int, result: Array) -> None:
    """One strip of `_weighed`."""
    behind = [1] * (values.ndim - 1 - axis)
    for tap, (chosen, weight) in enumerate(zip(indices, weights, strict=True)):
        shaped = weight.reshape(-1, *behind)
        if tap == 0:
            np.multiply(values.take(chosen, axis), shaped, out=result)
        else:
            result += values.take(chosen, axis) * shaped

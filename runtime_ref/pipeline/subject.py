"""The disparity of what a photo is about: of the subject that nobody points at, or of the thing that a tap hits.

Both look at the disparity alone, so that an exported bundle and PyTorch focus alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DofkitError

Array = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]

# Half-width of the window around a focus point, as a fraction of the map's long side.
FOCUS_WINDOW = 0.01
# A tap looks for what differs by no more. On held-out taps (60 portraits, 60 salient objects, 6 a picture) the in-focus
# IoU rises by 0.001 to 0.008 while 0.25 around the focus is held sharp, by 0.006 to 0.011 where 0.15 is.
ALIKE = 0.1
# Half of the range in which most of the subject's weight is looked for. It was chosen, like CENTRE, on 30 portraits and
# 30 salient objects; on as many others the in-focus IoU rose from 0.727 to 0.731 and from 0.673 to 0.705.
REACH = 0.15
# The spread of what counts as central, as a share of each side.
CENTRE = 0.25
BINS = 64
WINDOW = 2 * round(REACH * BINS) + 1
# Finer maps are looked at in every k-th row and column: the subject of 48 megapixels is no other.
FINEST = 512


def focus_at(disparity: Array, x: float, y: float, reach: float = 0.0) -> float:
    """Disparity in focus for a point: the median over the thing that is there.

    What is there is the region that hangs together with a small window at the point and differs from the window's
    median by at most `reach`: the whole person, not the one finger that was tapped. The result differs from the
    window's median by no more than that either.

    Args:
        disparity: `[H, W]` in [0, 1].
        x, y: position as fractions of width and height, each in [0, 1].
        reach: in disparity; 0: the window's median itself.

    Raises:
        DofkitError: when the point lies outside the picture.
    """
    if not (0.0 <= x <= 1.0 and 0.0 <= y <= 1.0):
        raise DofkitError(f"focus point {x:g},{y:g} is outside the picture; give fractions of width and height in 0..1")
    height, width = disparity.shape
    radius = max(1, round(FOCUS_WINDOW * max(height, width)))
    row, column = min(int(y * height), height - 1), min(int(x * width), width - 1)
    middle = float(np.median(disparity[_around(row, radius), _around(column, radius)]))
    if reach <= 0:
        return middle
    step = _step(disparity)
    thin, near = thinned(disparity), max(1, radius // step)
    alike = np.abs(thin - np.float32(middle)) <= np.float32(reach)
    seeds = np.zeros_like(alike)
    window = _around(min(row // step, len(thin) - 1), near), _around(min(column // step, thin.shape[1] - 1), near)
    seeds[window] = alike[window]
    region = connected(alike, seeds)
    return float(np.median(thin[region])) if region.any() else middle


def auto_focus(disparity: Array) -> float:
    """Disparity of the subject when nobody points at it: that around which most of what is near and central lies.

    Each pixel weighs g · n²: g falls off from the picture's middle, exp(−(u² + v²) / (2 · 0.25²)) with u and v in
    fractions of its sides, and n is the disparity stretched to [0, 1] by the map's own range. Of all windows of
    ± `REACH` the heaviest is taken, and the weighted median of what lies in it: several faces at one distance count
    together, a near floor at the border and a wall behind do not count much.

    Args:
        disparity: `[H, W]` in [0, 1].
    """
    thin = thinned(disparity)
    weights = _centrality(*thin.shape) * _nearness(thin) ** 2
    if not weights.any():  # a flat map
        return float(np.median(thin))
    bins = np.clip(thin * BINS, 0, BINS - 1).astype(int)
    last = int(np.argmax(np.convolve(np.bincount(bins.ravel(), weights.ravel(), BINS), np.ones(WINDOW))))
    inside = (bins > last - WINDOW) & (bins <= last)
    return weighted_median(thin[inside], weights[inside])


def weighted_median(values: Array, weights: Array) -> float:
    """The least of the values up to which half of the weight lies; both `[N]`, weights >= 0, not all 0."""
    order = np.argsort(values, kind="stable")
    sums = np.cumsum(weights[order], dtype=np.float64)
    return float(values[order][np.searchsorted(sums, sums[-1] / 2)])


def connected(alike: Mask, seeds: Mask) -> Mask:
    """`[H, W]`: what is alike and hangs together with a seed that is alike, over common sides of pixels."""
    reached = alike & seeds
    while True:
        grown = _along_rows(alike, reached)
        grown = _along_rows(alike.T, grown.T).T
        if np.array_equal(grown, reached):
            return reached
        reached = grown


def _along_rows(alike: Mask, reached: Mask) -> Mask:
    """Every run of alike pixels in a row with one that is reached, reached as a whole."""
    starts = np.ones_like(alike)
    starts[:, 1:] = alike[:, 1:] != alike[:, :-1]
    runs = np.cumsum(starts.ravel()).reshape(alike.shape)
    hit = np.bincount(runs[reached], minlength=int(runs[-1, -1]) + 1) > 0
    return alike & hit[runs]


def thinned(disparity: Array) -> Array:
    """Every k-th row and column, so that the long side is at most `FINEST`."""
    step = _step(disparity)
    return np.ascontiguousarray(disparity[::step, ::step])


def _step(disparity: Array) -> int:
    return -(-max(disparity.shape) // FINEST)


def _around(place: int, radius: int) -> slice:
    return slice(max(0, place - radius), place + radius + 1)


def _nearness(disparity: Array) -> Array:
    """Stretched to [0, 1]; 0 where the map is flat."""
    rise = disparity.astype(np.float64) - disparity.min()
    return rise / rise.max() if rise.max() > 0 else rise


def _centrality(height: int, width: int) -> Array:
    """`[height, width]`, 1 in the middle."""
    down, across = (np.exp(-((((np.arange(n) + 0.5) / n - 0.5) / CENTRE) ** 2) / 2) for n in (height, width))
    return down[:, None] * across

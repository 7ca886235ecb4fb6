"""Mistakes of a depth network: what the renderer's training sees beside the true disparity.

Wang et al. 2018 train the blur on predicted depth, so that it learns to live with its errors. Here the errors are
drawn: each is one small function of a map [H, W] of disparity, `corrupt` joins some of them. Lengths are in pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from ...runtime_ref.pipeline.resampling import resize
from ..rendering.lens import Array
from .textures import Rng, noise

Error = Callable[[Rng, Array, float], Array]


def corrupt(rng: Rng, disparity: Array, unit: float) -> Array:
    """One to three errors after another.

    Args:
        disparity: [H, W] in [0, 1].
        unit: pixels of the map to one pixel of the lowest level, which is about what a depth network resolves.

    Returns:
        [H, W] in [0, 1].
    """
    count = int(rng.choice([1, 2, 3], p=[0.4, 0.4, 0.2]))
    for number in rng.choice(len(_ERRORS), count, replace=False, p=_SHARES):
        disparity = _ERRORS[number][0](rng, disparity, unit)
    return np.clip(disparity, 0, 1).astype(np.float32)


def dilate(disparity: Array, reach: int) -> Array:
    """The near side of every edge grows by `reach`."""
    return np.asarray(ndimage.maximum_filter(disparity, 2 * reach + 1), np.float32)


def erode(disparity: Array, reach: int) -> Array:
    """The near side of every edge shrinks by `reach`."""
    return np.asarray(ndimage.minimum_filter(disparity, 2 * reach + 1), np.float32)


def lose_thin(disparity: Array, reach: int) -> Array:
    """Whatever is near and at most 2 · `reach` wide is gone (grey opening); all else stays."""
    return dilate(erode(disparity, reach), reach)


def fill_holes(disparity: Array, reach: int) -> Array:
    """Gaps at most 2 · `reach` wide get the disparity around them (grey closing); all else stays."""
    return erode(dilate(disparity, reach), reach)


def soften(disparity: Array, sigma: float) -> Array:
    """Edges become ramps (Gaussian)."""
    return np.asarray(ndimage.gaussian_filter(disparity, sigma), np.float32)


def coarsen(disparity: Array, factor: float) -> Array:
    """Reduced by `factor` and enlarged again: a network that works at low resolution."""
    height, width = disparity.shape
    low = resize(disparity, (max(2, round(height / factor)), max(2, round(width / factor))))
    return resize(low, (height, width)).astype(np.float32)


def warp(rng: Rng, disparity: Array, reach: float) -> Array:
    """Edges are misplaced: every pixel is taken from a place up to `reach` off, in each direction, smoothly varying."""
    shifts = np.stack([_smooth_field(rng, disparity.shape) * np.float32(reach) for _ in range(2)])
    places = np.indices(disparity.shape, dtype=np.float32) + shifts
    return np.asarray(ndimage.map_coordinates(disparity, places, order=1, mode="nearest"), np.float32)


def misjudge(disparity: Array, centre: float, width: float, offset: float) -> Array:
    """What lies around disparity `centre` is judged `offset` too near; the error fades out at ± `width`."""
    share = np.clip(2 - 2 * np.abs(disparity - centre) / width, 0, 1)
    return (disparity + np.float32(offset) * share).astype(np.float32)


def rescale(disparity: Array, gain: float, offset: float) -> Array:
    """Everything by the same affine error: d · `gain` + `offset`."""
    return (disparity * np.float32(gain) + np.float32(offset)).astype(np.float32)


def quantise(disparity: Array, levels: int) -> Array:
    """Rounded to `levels` equal steps of [0, 1]: slants become stairs."""
    return (np.round(disparity * (levels - 1)) / np.float32(levels - 1)).astype(np.float32)


def waver(rng: Rng, disparity: Array, amplitude: float, smoothness: float) -> Array:
    """Noise of standard deviation `amplitude`; its amplitude falls with frequency^-`smoothness`."""
    return (disparity + np.float32(amplitude) * noise(rng, disparity.shape, smoothness)).astype(np.float32)


def _smooth_field(rng: Rng, size: tuple[int, ...]) -> Array:
    """[H, W] in [-1, 1], of a few bumps across the map."""
    cells = int(rng.integers(3, 9))
    coarse = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
    return resize(coarse, (size[0], size[1])).astype(np.float32)


def _pixels(rng: Rng, least: float, most: float, unit: float) -> int:
    """A length from `least` to `most` units, at least one pixel."""
    return max(1, round(rng.uniform(least, most) * unit))


def _misjudged_layer(rng: Rng, disparity: Array, unit: float) -> Array:
    del unit
    centre = float(disparity[tuple(rng.integers(disparity.shape))])
    return misjudge(disparity, centre, rng.uniform(0.04, 0.2), rng.normal(0, 0.06))


_ERRORS: list[tuple[Error, float]] = [
    (lambda rng, d, unit: soften(d, rng.uniform(0.3, 1.3) * unit), 4),
    (lambda rng, d, unit: dilate(d, _pixels(rng, 0.2, 1.5, unit)), 3),
    (lambda rng, d, unit: erode(d, _pixels(rng, 0.2, 1.5, unit)), 2),
    (lambda rng, d, unit: warp(rng, d, rng.uniform(0.5, 2) * unit), 3),
    (lambda rng, d, unit: lose_thin(d, _pixels(rng, 0.5, 2, unit)), 3),
    (lambda rng, d, unit: fill_holes(d, _pixels(rng, 0.5, 2, unit)), 2),
    (lambda rng, d, unit: coarsen(d, rng.uniform(1, 4) * unit), 3),
    (_misjudged_layer, 3),
    (lambda rng, d, unit: rescale(d, 1 + rng.normal(0, 0.04), rng.normal(0, 0.02)), 2),
    (lambda rng, d, unit: quantise(d, int(rng.integers(12, 65))), 1),
    (lambda rng, d, unit: waver(rng, d, rng.uniform(0.002, 0.015), rng.uniform(0.8, 2)), 2),
]
"""Each error with random strength, and how often it is drawn relative to the others."""

_SHARES = np.array([share for _, share in _ERRORS]) / sum(share for _, share in _ERRORS)

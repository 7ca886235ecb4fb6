"""The recurrent levels: their sizes, the padding that makes them whole, and the resampling between them.

Level 0 is the lowest, each level doubles, level n is the photo (edge-padded to a multiple of 2^n).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

LOWEST_LONG_SIDE = 320  # keeps |c| <= 8 pixels at level 0
_STRIP_ROWS = 64  # rows of a level that are averaged at a time: bounds the float copy of an 8-bit photo


@dataclass(frozen=True)
class Pyramid:
    """Sizes of all levels of one photo.

    Attributes:
        height, width: the unpadded photo, in pixels.
        levels: n, the number of upsamplings from level 0 to the photo.
    """

    height: int
    width: int
    levels: int

    @classmethod
    def of(cls, height: int, width: int) -> Pyramid:
        """The pyramid with the least n for which long_side / 2^n <= 320."""
        levels = 0
        while max(height, width) > LOWEST_LONG_SIDE << levels:
            levels += 1
        return cls(height, width, levels)

    def factor(self, level: int) -> int:
        """Photo pixels per pixel of the level."""
        return 1 << (self.levels - level)

    def size(self, level: int) -> tuple[int, int]:
        """(height, width) of a level, padding included."""
        top = self.factor(0)
        scale = top // self.factor(level)
        return -(-self.height // top) * scale, -(-self.width // top) * scale

    def long_side(self, level: int) -> float:
        """Long side of the unpadded photo in pixels of the level; it may be fractional."""
        return max(self.height, self.width) / self.factor(level)


def as_float(pixels: NDArray[Any]) -> Array:
    """An 8-bit or float image as float32 in [0, 1]."""
    if pixels.dtype == np.uint8:
        return pixels.astype(np.float32) / np.float32(255)
    return pixels.astype(np.float32, copy=False)


def halve(pixels: NDArray[Any], size: tuple[int, int]) -> Array:
    """One level down: the mean of each 2×2 block, the picture edge-padded where it is smaller than 2·size.

    Args:
        pixels: `[H, W, C]`, uint8 or float32 in [0, 1].
        size: (height, width) of the result.

    Returns:
        `[height, width, C]` float32.
    """
    height, width = size
    result = np.empty((height, width, pixels.shape[2]), np.float32)
    columns = np.minimum(np.arange(2 * width), pixels.shape[1] - 1)
    for top in range(0, height, _STRIP_ROWS):
        bottom = min(top + _STRIP_ROWS, height)
        rows = np.minimum(np.arange(2 * top, 2 * bottom), pixels.shape[0] - 1)
        strip = as_float(pixels[rows][:, columns])
        # Sums of strided slices take 0.6 of the time of a mean over the axes of a reshaped strip.
        pairs = strip[::2] + strip[1::2]
        result[top:bottom] = (pairs[:, ::2] + pairs[:, 1::2]) * np.float32(0.25)
    return result


def build_levels(pixels: NDArray[Any], pyramid: Pyramid) -> list[NDArray[Any]]:
    """The images of levels 0 … n; level n is `pixels` itself, neither padded nor converted.

    Args:
        pixels: `[H, W, 3]`, uint8 or float32 in [0, 1].
    """
    images: list[NDArray[Any]] = [pixels]
    for level in reversed(range(pyramid.levels)):
        images.append(halve(images[-1], pyramid.size(level)))
    return images[::-1]


def _lerp_axis(values: Array, positions: Array, axis: int) -> Array:
    """Linear interpolation along one axis at fractional indices, clamped at the ends."""
    last = values.shape[axis] - 1
    clamped = np.clip(positions, 0, last)
    low = np.floor(clamped).astype(np.intp)
    weight = (clamped - low).astype(np.float32)
    shape = [1] * values.ndim
    shape[axis] = -1
    weight = weight.reshape(shape)
    return values.take(low, axis) * (1 - weight) + values.take(np.minimum(low + 1, last), axis) * weight


def _reduce_axis(values: Array, factor: int, axis: int) -> Array:
    """Mean over blocks of `factor` along one axis; the last block is filled up by repeating the edge."""
    count = -(-values.shape[axis] // factor)
    blocks = values.take(np.minimum(np.arange(count * factor), values.shape[axis] - 1), axis)
    shape = (*values.shape[:axis], count, factor, *values.shape[axis + 1 :])
    return blocks.reshape(shape).mean(axis=axis + 1, dtype=np.float32)


def resample(values: Array, size: tuple[int, int], pitch: tuple[float, float]) -> Array:
    """Resample a picture onto a grid of another pitch (half-pixel centres; bilinear after averaging over whole pixels).

    Result pixel (i, j) sits at ((i + ½)·pitch_y, (j + ½)·pitch_x) of the source, in source pixels from its corner;
    beyond the source the edge is repeated.

    Args:
        values: `[H, W]` or `[H, W, C]`.
        size: (height, width) of the result.
        pitch: source pixels per result pixel, (vertical, horizontal); above 2 the source is averaged first, so that
            nothing aliases.
    """
    for axis, (count, step) in enumerate(zip(size, pitch, strict=True)):
        factor = max(1, int(step))
        if factor > 1:
            values = _reduce_axis(values, factor, axis)
        positions = (np.arange(count) + 0.5) * (step / factor) - 0.5
        values = _lerp_axis(values, positions, axis)
    return values


def resize(values: Array, size: tuple[int, int]) -> Array:
    """Resample the whole picture to `size` (its sides may be stretched differently)."""
    return resample(values, size, (values.shape[0] / size[0], values.shape[1] / size[1]))


def map_at_level(values: Array, pyramid: Pyramid, level: int) -> Array:
    """A map that lies over the whole unpadded photo, sampled at the pixels of a (padded) level.

    Args:
        values: `[h, w]` of any resolution.

    Returns:
        `[H_level, W_level]`.
    """
    factor = pyramid.factor(level)
    pitch = (factor * values.shape[0] / pyramid.height, factor * values.shape[1] / pyramid.width)
    return resample(values, pyramid.size(level), pitch)

"""The recurrent levels: their sizes, the padding that makes them whole, and the resampling between them.

Level 0 is the lowest, each level doubles, level n is the photo (edge-padded to a multiple of 2^n).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .optics import NETWORK_RADIUS, largest_radius
from .resampling import STRIP_ROWS, Pitch, largest, resample, resize
from .tiling import PictureLike

Array = NDArray[np.floating[Any]]

LOWEST_LONG_SIDE = 320  # keeps |c| <= 8 pixels at level 0
THIN_TIE = 1e-4  # means that differ by less are alike: a thin thing's pixels along its length, however they were summed
THIN = 0.1  # what shows less than 1 − this of its disparity in any pixel around is thin
THIN_PITCH = 2  # values of a map per pixel of a level from which on there may be thin things in a pixel
_LARGE = 16 * STRIP_ROWS  # rows from which on strips are averaged on several cores
_AT_ONCE = min(4, os.cpu_count() or 1)  # strips; with more, memory and not a core is what is waited for


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

    def started_at(self, level: int) -> Pyramid:
        """The same levels without those below this one, which becomes level 0."""
        return Pyramid(self.height, self.width, self.levels - level)

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

    def pitch(self, level: int, shape: tuple[int, ...]) -> Pitch:
        """Values of a map `[h, w]` over the unpadded photo per pixel of the level."""
        factor = self.factor(level)
        return Fraction(factor * shape[0], self.height), Fraction(factor * shape[1], self.width)


def first_level(pyramid: Pyramid, disparity: NDArray[Any], focus: float, aperture: float) -> int:
    """The level that the lens blur runs at: 1 where the blur is so weak that |c| stays within 8 pixels there, else 0.

    Detail that half the resolution cannot hold is what a weak blur keeps in part, and no upsampling brings it back
    exactly.

    Args:
        disparity: over the whole photo, of any resolution.
        focus, aperture: see `optics.defocus`.
    """
    if not pyramid.levels:
        return 0
    return int(largest_radius(disparity, focus, aperture, pyramid.long_side(1)) <= NETWORK_RADIUS)


def white_of(pixels: NDArray[Any]) -> np.float32:
    """What 1 is in a picture: the greatest number of an integer type, 1 in floats."""
    return np.float32(np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1)


def as_float(pixels: NDArray[Any]) -> Array:
    """An 8-bit or float image as float32 in [0, 1]."""
    if pixels.dtype.kind == "u":
        return pixels.astype(np.float32) / white_of(pixels)
    return pixels.astype(np.float32, copy=False)


def halve(pixels: NDArray[Any], size: tuple[int, int]) -> Array:
    """One level down: each 2×2 block's mean in light, the picture edge-padded where it is smaller than 2·size.

    Light is taken as the square of the encoded value. The mean of encoded values would lose the light of fine contrasts
    (foliage, lamps), and a lens blur of the lower level would come out too dark.

    Args:
        pixels: `[H, W, C]`, uint8 or float32 in [0, 1].
        size: (height, width) of the result.

    Returns:
        `[height, width, C]` float32.
    """
    height, width = size
    channels = pixels.shape[2]
    quarter = np.float32(0.25 / float(white_of(pixels)) ** 2)  # of a sum of four squares, the mean in light
    result = np.empty((height, width, channels), np.float32)

    def fill(rows: slice) -> None:
        top, bottom = rows.start, rows.stop
        light = _rows(pixels, 2 * top, 2 * bottom).astype(np.float32)
        light *= light
        if light.shape[1] < 2 * width:
            light = np.pad(light, [(0, 0), (0, 2 * width - light.shape[1]), (0, 0)], mode="edge")
        pairs = np.ascontiguousarray(light[:, : 2 * width]).reshape(bottom - top, 2, -1)
        sums = np.add(pairs[:, 0], pairs[:, 1], out=pairs[:, 0])
        part = result[top:bottom]
        for channel in range(channels):  # long strides: three values at a time would take twice as long
            left, right = (sums[:, start :: 2 * channels] for start in (channel, channel + channels))
            np.add(left, right, out=part[..., channel])
        part *= quarter
        np.sqrt(part, out=part)

    if height < _LARGE:
        for rows in _strips(height):
            fill(rows)
        return result
    with ThreadPoolExecutor(_AT_ONCE) as pool:  # numpy's loops do not hold the interpreter
        list(pool.map(fill, _strips(height)))
    return result


class Halved:
    """A picture's next level down as `halve` has it, computed where it is looked at: large ones need not be kept.

    Args:
        above: `[H, W, C]`, uint8, uint16 or float32 in [0, 1], at least where this level is looked at.
        size: (height, width) of this level.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, above: PictureLike, size: tuple[int, int]) -> None:
        self._above = above
        self.shape = (*size, above.shape[2])

    def __getitem__(self, part: tuple[slice, slice]) -> Array:
        """Rows and columns, both with a start and a stop inside of the level."""
        size = part[0].stop - part[0].start, part[1].stop - part[1].start
        # Where the level is padded, what is above ends before it: its last row and column stand for the rest.
        rows, columns = (
            slice(min(2 * one.start, side - 1), 2 * one.stop)
            for one, side in zip(part, self._above.shape, strict=False)
        )
        return halve(self._above[rows, columns], size)


def _rows(pixels: NDArray[Any], top: int, bottom: int) -> NDArray[Any]:
    """Rows [top, bottom), the last one repeated below the picture."""
    if bottom <= pixels.shape[0]:
        return pixels[top:bottom]
    return pixels[np.minimum(np.arange(top, bottom), pixels.shape[0] - 1)]


def build_levels(
    pixels: NDArray[Any], pyramid: Pyramid, dtype: type[np.float32] | type[np.uint16] = np.float32
) -> list[NDArray[Any]]:
    """The images of levels 0 … n; level n is `pixels` itself, neither padded nor converted.

    Args:
        pixels: `[H, W, 3]`, uint8 or float32 in [0, 1].
        dtype: of the levels below; 16 bits take half the memory and move a value by 8e-6 at most.
    """
    images: list[NDArray[Any]] = [pixels]
    for level in reversed(range(pyramid.levels)):
        above, size = images[-1], pyramid.size(level)
        images.append(halve(above, size) if dtype == np.float32 else _sixteen_bits(Halved(above, size)))
    return images[::-1]


def _sixteen_bits(picture: Halved) -> NDArray[np.uint16]:
    """The whole of it, by strips: it is never there in floats."""
    result = np.empty(picture.shape, np.uint16)

    def fill(rows: slice) -> None:
        values = picture[rows, slice(0, result.shape[1])]
        values *= white_of(result)
        result[rows] = np.rint(values, out=values)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(fill, _strips(len(result))))
    return result


def over_photo(disparity: Array, shape: tuple[int, ...]) -> Array:
    """A map whose sides have another ratio than the photo `[H, W, …]` that it covers, with the photo's.

    The side that is short for it is made longer, so that nothing is lost, but no longer than the photo's.
    """
    sides, photo = disparity.shape, shape[:2]
    scale = max(side / full for side, full in zip(sides, photo, strict=True))
    height, width = (max(1, min(full, round(full * scale))) for full in photo)
    return resize(disparity, (height, width)).clip(0, 1)


def disparity_at_level(disparity: Array, pyramid: Pyramid, level: int, filled: bool = False) -> Array:
    """Disparity over the whole unpadded photo, sampled at the pixels of a (padded) level.

    Where several of its values fall into one pixel of the level, an edge may run through it. Its mean then tells how
    much of the pixel is whose, as long as the nearer surface fills a pixel beside it and so shows its own disparity
    there. Thin things never do, and their mean would be the disparity of nothing (hair in front of a far wall, blurred
    like something halfway): there the nearest value counts.

    Args:
        disparity: `[h, w]` of any resolution, 1 = nearest.
        filled: as the lens blur wants it, which takes pixels apart: the nearest value only in those of a thin thing's
            pixels that it fills most, and where none of those is beside. What it merely touches keeps its mean, or thin
            things would grow. The upsampling wants all pixels told that one touches.

    Returns:
        `[H_level, W_level]`.
    """
    size, pitch = pyramid.size(level), pyramid.pitch(level, disparity.shape)
    mean = resample(disparity, size, pitch)
    if min(pitch) < THIN_PITCH:
        return mean
    nearest = largest(disparity, size, pitch)
    thin = np.empty(size, bool)
    for rows in _strips(size[0]):
        most, least = _around(mean, rows, np.maximum), _around(mean, rows, np.minimum)
        thin[rows] = nearest[rows] - most > THIN * (nearest[rows] - least)
    np.copyto(nearest, mean, where=~(_mostly_filled(thin, mean) if filled else thin))
    return nearest


def _mostly_filled(thin: NDArray[np.bool_], mean: Array) -> NDArray[np.bool_]:
    """Of the pixels of thin things those that they fill most, and those beside which there is none."""
    most = np.empty_like(thin)
    for rows in _strips(len(thin)):
        most[rows] = thin[rows] & (mean[rows] >= _around(mean, rows, np.maximum) - np.float32(THIN_TIE))
    for rows in _strips(len(thin)):
        thin[rows] &= most[rows] | ~_around(most, rows, np.logical_or)
    return thin


def _strips(rows: int) -> Iterator[slice]:
    return (slice(top, min(top + STRIP_ROWS, rows)) for top in range(0, rows, STRIP_ROWS))


def _around(values: NDArray[Any], rows: slice, extreme: np.ufunc) -> NDArray[Any]:
    """The extreme of 3×3 values at each of these rows, `[rows, W]`; beyond the border the edge is repeated."""
    chosen = np.arange(rows.start - 1, min(rows.stop, len(values)) + 1).clip(0, len(values) - 1)
    part = np.pad(values[chosen], [(0, 0), (1, 1)], mode="edge")
    part = extreme(extreme(part[:-2], part[1:-1]), part[2:])
    return extreme(extreme(part[:, :-2], part[:, 1:-1]), part[:, 2:])

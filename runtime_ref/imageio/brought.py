"""A map that somebody brings with a photo: what its values mean, and whether it lies over the photo.

What a map means is declared, never guessed. Guesses only decide when to ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..enums import TextEnum
from ..errors import DofkitError
from ..pipeline.refinement import filled_disparity
from .colour_modes import sixteen_bit_grey
from .disparity import DECLARED, grey_values
from .exif import orientation_of, oriented
from .opening import load_image
from .photo import Photo

Map = NDArray[np.float32]

_ASPECT_TOLERANCE = 0.02  # of a side, beside half a pixel of rounding
_FLAT = 1 / 255  # what differs by less than this is one value in an 8-bit map
# Depth cameras give millimetres: 16-bit values from some hundreds to 20,000. Disparity in 16 bits fills its range.
_MOST_MILLIMETRES, _LEAST_MILLIMETRES = 20_000, 200
_EIGHT_BITS = 257  # 8-bit values made 16 bits are multiples of it
# Ends of the range of depths that becomes 0 and 1: depth cameras have stray values beyond what is there.
_ENDS = (0.1, 99.9)


class DisparityKind(TextEnum):
    """What the numbers of a map are; the value is its name on the command line."""

    DISPARITY = "disparity"
    INVERTED = "inverted"
    DEPTH_MM = "depth-mm"


@dataclass(frozen=True, eq=False)
class BroughtDisparity:
    """A map as it lies over the photo.

    Attributes:
        values: float32 `[h, w]` in [0, 1], 1 = nearest.
        notes: what was done to it, or is odd about it, one sentence each.
        ours: whether `write_disparity` wrote it, so that it is rendered with as it was.
    """

    values: Map
    notes: tuple[str, ...] = ()
    ours: bool = False


def disparity_for(
    photo: Photo, path: Path, kind: DisparityKind | None = None, stretch: bool = False
) -> BroughtDisparity:
    """Read the map that belongs to a photo.

    Args:
        photo: what the map lies over.
        path: 8- or 16-bit grey picture.
        kind: what its numbers are: `disparity` (white is nearest), `inverted` (black is nearest), `depth-mm` (16 bits,
            millimetres, 0 = unknown). None: disparity, unless it looks like millimetres, which is asked.
        stretch: the map lies over the whole photo though its sides have another ratio.

    Raises:
        DofkitError: not readable, not of the declared kind, or not over the photo.
    """
    image = load_image(path)
    values, notes = _values(image, path, kind)
    values = oriented(values, orientation_of(image.info.get("exif")))
    if not stretch:
        values, turned = _laid_over(values, photo, path)
        notes += turned
    filled = filled_disparity(values, photo.pixels)
    return BroughtDisparity(filled, tuple(notes), ours=DECLARED in image.info)


def flatness_of(disparity: NDArray[np.floating]) -> str | None:
    """What is to be said of a map that says nothing about distances; None of one that does."""
    least, most = float(disparity.min()), float(disparity.max())
    if most - least >= _FLAT:
        return None
    value = "all 0" if most == 0 else f"flat (all {most:.2f})"
    return f"is {value}: all of the photo lies at one distance, so nothing stands out from the blur"


def _values(image: Image.Image, path: Path, kind: DisparityKind | None) -> tuple[Map, list[str]]:
    deep = image.mode.startswith("I")
    if kind is DisparityKind.DEPTH_MM:
        if not deep:
            raise DofkitError(f"{path}: has 8 bits, depth in millimetres takes 16; store it as a 16-bit grey PNG")
        return _from_millimetres(sixteen_bit_grey(image, str(path)), path)
    if kind is None and deep and DECLARED not in image.info:
        _refuse_what_is_no_disparity(sixteen_bit_grey(image, str(path)), path)
    values = grey_values(image, str(path))
    return (1 - values if kind is DisparityKind.INVERTED else values), []


def _refuse_what_is_no_disparity(values: NDArray[np.uint16], path: Path) -> None:
    most = int(values.max())
    if 0 < most <= 255:
        raise DofkitError(
            f"{path}: holds 8-bit values (at most {most}) in 16 bits, which makes everything far; store them as 8 "
            "bits, or say --disparity-kind disparity if that is meant"
        )
    known = values[values > 0]
    metric = 0 < most <= _MOST_MILLIMETRES and np.median(known) >= _LEAST_MILLIMETRES
    if metric and np.any(known % _EIGHT_BITS):
        raise DofkitError(
            f"{path}: its values ({known.min()} to {most} of 65535) look like depth in millimetres, where far is "
            "bright; say --disparity-kind depth-mm, or disparity if white is nearest"
        )


def _from_millimetres(depth: NDArray[np.uint16], path: Path) -> tuple[Map, list[str]]:
    """Inverse depth, from 0 at the farthest to 1 at the nearest of what is known; NaN elsewhere."""
    known = depth > 0
    if not known.any():
        raise DofkitError(f"{path}: holds no depth (all 0, which means unknown); give another map")
    inverse = np.divide(np.float32(1), depth, out=np.full(depth.shape, np.nan, np.float32), where=known)
    farthest, nearest = np.percentile(inverse[known], _ENDS)
    span = max(float(nearest - farthest), float(np.finfo(np.float32).tiny))
    values = ((inverse - np.float32(farthest)) / np.float32(span)).clip(0, 1)
    missing = 1 - float(known.mean())
    if not missing:
        return values, []
    return values, [f"has no depth at {missing:.0%} of its pixels, filled in from what is beside and looks alike"]


def _laid_over(values: Map, photo: Photo, path: Path) -> tuple[Map, list[str]]:
    """The map as it lies over the upright photo."""
    size, map_size = photo.pixels.shape[:2], values.shape
    if _same_aspect(map_size, size):
        return values, []
    sizes = f"{path}: is {map_size[1]}×{map_size[0]}, the photo {size[1]}×{size[0]}"
    if _same_aspect(map_size[::-1], size):
        if photo.orientation in (5, 6, 7, 8):
            note = f"lies as the sensor saw it; turned like the photo (EXIF orientation {photo.orientation})"
            return oriented(values, photo.orientation), [note]
        raise DofkitError(f"{sizes}: one of them is turned by 90°; turn the map as the photo is seen")
    raise DofkitError(
        f"{sizes}: it does not lie over the photo; crop or scale it to the photo's sides, or say --stretch-disparity "
        "if it covers the whole photo"
    )


def _same_aspect(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    height, width = one
    wanted = height * other[1] / other[0], width * other[0] / other[1]  # of the width, and of the height
    return any(
        abs(side - want) <= 0.5 + _ASPECT_TOLERANCE * want for side, want in zip((width, height), wanted, strict=True)
    )

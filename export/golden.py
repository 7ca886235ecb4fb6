"""The pictures of the golden cases: the user's photos, or a public-domain portrait, and a hard synthetic one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..runtime_ref.errors import require
from ..runtime_ref.imageio import eight_bits, read_photo
from ..runtime_ref.parity.cases import Picture

PHOTO_LONG_SIDE = 1280  # a user's photo is reduced to this: two upsamplings, and a bundle of some megabytes
HARD_SIZE = (640, 768)  # two upsamplings, and padding on neither side nor tiles that divide it


def golden_pictures(photos: tuple[Path, ...]) -> Iterator[Picture]:
    """The pictures of all cases: the user's photos, or scikit-image's astronaut, and the hard synthetic one."""
    yield from (user_picture(path) for path in photos)
    if not photos:
        data = require("skimage.data", "onnx", "the golden photo")
        yield Picture("astronaut", "photo", data.astronaut(), "Eileen Collins, NASA, public domain")
    note = "flat areas, small clipped lights, one-pixel lines, saturated edges and a ramp; defocus −1, 0 and +1"
    yield Picture("hard", "synthetic", hard_picture(*HARD_SIZE), note)


def user_picture(path: Path) -> Picture:
    """A photo of the user's, reduced to a long side of at most 1280 pixels.

    Raises:
        DofkitError: it cannot be read.
    """
    pixels = reduced(eight_bits(read_photo(path).pixels), PHOTO_LONG_SIDE)
    return Picture(path.stem, "photo", pixels, f"photo {path.name}, long side at most {PHOTO_LONG_SIDE}")


def reduced(pixels: NDArray[np.uint8], long_side: int) -> NDArray[np.uint8]:
    """A picture uint8 `[H, W, 3]` of at most this long side; a smaller one as it is."""
    image = require("PIL.Image", "all", "reading photos")
    picture = image.fromarray(pixels)
    picture.thumbnail((long_side, long_side), image.Resampling.LANCZOS)
    return np.asarray(picture)


def hard_picture(height: int, width: int) -> NDArray[np.uint8]:
    """A picture of what networks and runtimes get wrong, uint8 `[height, width, 3]`.

    Quadrants: a flat grey beside pure black and white; clipped lights of 1 to 9 pixels on black; horizontal, vertical
    and diagonal one-pixel lines; saturated colours meeting at hard edges and over a ramp.
    """
    picture = np.zeros((height, width, 3), np.uint8)
    rows, columns = np.mgrid[:height, :width]
    top, left = height // 2, width // 2
    picture[:top, : left // 2] = 119
    picture[: top // 2, left // 2 : left] = 255
    for index, size in enumerate(range(1, 10)):
        y, x = top // 6 + (index % 3) * top // 3, left + left // 6 + (index // 3) * left // 3
        picture[y : y + size, x : x + size] = 255
    lines = (rows % 8 == 0) | (columns % 16 == 0) | ((rows + columns) % 32 == 0)
    picture[top:, :left][lines[top:, :left]] = (255, 240, 200)
    ramp = (255 * (columns - left) / max(width - left - 1, 1)).clip(0, 255)
    for channel in range(3):
        stripe = (rows // 24) % 3 == channel
        beside = np.where(columns % 48 < 24, 0, ramp)
        picture[top:, left:, channel] = np.where(stripe, 255, beside)[top:, left:]
    return picture

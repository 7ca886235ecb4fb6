"""What the classical renderers share: borders, bounded radii, and a photo cut into planes of equal defocus."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from scipy import fft

from ....runtime_ref.errors import DofkitError
from ....runtime_ref.pipeline.optics import defocus
from ..layered import SceneLens
from ..lens import Array


def checked_defocus(image: Array, disparity: Array, lens: SceneLens) -> Array:
    """Signed radius of the circle of confusion in pixels, [H, W], > 0 nearer than the focus.

    Raises:
        DofkitError: unless `image` is [H, W, 3] and `disparity` [H, W] of the same size.
    """
    if image.ndim != 3 or image.shape[2] != 3 or disparity.shape != image.shape[:2]:
        raise DofkitError(
            f"a renderer got an image {list(image.shape)} and a disparity {list(disparity.shape)}; "
            "give [H, W, 3] and [H, W] of one size"
        )
    return defocus(disparity, lens.focus, lens.aperture, lens.long_side).astype(np.float32)


def bordered(planes: Array, margin: int) -> Array:
    """[C, H, W] continued by mirroring over `margin` pixels at least, to a size that the FFT likes."""
    height, width = planes.shape[1:]
    pads = [(margin, fft.next_fast_len(side + 2 * margin, real=True) - side - margin) for side in (height, width)]
    return np.pad(planes, [(0, 0), *pads], mode="symmetric")


def without_border(planes: Array, margin: int, size: tuple[int, int]) -> Array:
    """The inverse of `bordered`: [C, H, W]."""
    return planes[:, margin : margin + size[0], margin : margin + size[1]]


def levels_of(values: Array, spacing: float) -> Array:
    """Evenly spaced levels from the least to the greatest value, at most `spacing` apart; a single one if flat."""
    low, high = float(values.min()), float(values.max())
    count = 1 + math.ceil((high - low) / spacing - 1e-6)
    return np.linspace(low, high, count, dtype=np.float32)


def shares(values: Array, levels: Array) -> Iterator[Array]:
    """For each level the share of every pixel that belongs to it: linear between neighbours, 1 in all."""
    step = abs(float(levels[1] - levels[0])) if len(levels) > 1 else 1.0
    for level in levels:
        yield np.clip(1 - np.abs(values - level) / np.float32(step), 0, 1).astype(np.float32)

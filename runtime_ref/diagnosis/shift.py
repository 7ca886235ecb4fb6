"""How far one picture is shifted against another, to a fraction of a pixel: what a resize with other centres does."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import require

Array = NDArray[np.floating[Any]]

_FRACTION = 100  # the estimate's steps, 1 / pixel
# The window does not move with the picture, which makes a shift look smaller; of a picture that was moved back by the
# estimate there is less and less left to find.
_ROUNDS = 4


def measured_shift(reference: Array, output: Array) -> tuple[float, float]:
    """How far the output lies down and to the right of the reference, in pixels.

    By the maximum of the cross-correlation (Guizar-Sicairos et al. 2008), of the mean of the channels, windowed so
    that the borders, which do not move, do not count.

    Args:
        reference, output: `[1, C, H, W]`.
    """
    down = right = 0.0
    for _ in range(_ROUNDS):
        more = _estimate(reference, shifted(output, -down, -right) if down or right else output)
        down, right = down + more[0], right + more[1]
    return down, right


def shifted(picture: Array, down: float, right: float) -> Array:
    """A picture moved by parts of a pixel, by cubic splines, its edge repeated; `[1, C, H, W]`."""
    image = require("scipy.ndimage", "onnx", "undoing a shift")
    return image.shift(picture, (0, 0, down, right), order=3, mode="nearest")


def _estimate(reference: Array, output: Array) -> tuple[float, float]:
    registration = require("skimage.registration", "onnx", "measuring a shift")
    first, second = (_windowed(picture) for picture in (reference, output))
    found = registration.phase_cross_correlation(first, second, upsample_factor=_FRACTION, normalization=None)[0]
    return -float(found[0]), -float(found[1])


def _windowed(picture: Array) -> Array:
    plane = picture[0].mean(axis=0, dtype=np.float64)
    window = np.outer(np.hanning(plane.shape[0]), np.hanning(plane.shape[1]))
    return (plane - plane.mean()) * window

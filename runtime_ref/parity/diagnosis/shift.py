"""How far one picture is shifted against another, to a fraction of a pixel: what a resize with other centres does."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import require

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
    first, second = (picture.mean(axis=(0, 1), dtype=np.float64) for picture in (reference, output))
    down = right = 0.0
    for _ in range(_ROUNDS):
        more = _estimate(first, _moved(second, -down, -right))
        down, right = down + more[0], right + more[1]
    return down, right


def shifted(picture: Array, down: float, right: float) -> Array:
    """A picture moved by parts of a pixel, by cubic splines, its edge repeated; `[1, C, H, W]`."""
    planes = [_moved(plane, down, right) for plane in picture.reshape(-1, *picture.shape[2:])]
    return np.stack(planes).reshape(picture.shape)


def _moved(plane: Array, down: float, right: float) -> Array:
    if not down and not right:
        return plane
    image = require("scipy.ndimage", "onnx", "undoing a shift")
    return image.shift(plane, (down, right), order=3, mode="nearest")


def _estimate(first: Array, second: Array) -> tuple[float, float]:
    registration = require("skimage.registration", "onnx", "measuring a shift")
    found = registration.phase_cross_correlation(
        _windowed(first), _windowed(second), upsample_factor=_FRACTION, normalization=None
    )[0]
    return -float(found[0]), -float(found[1])


def _windowed(plane: Array) -> Array:
    return (plane - plane.mean()) * np.outer(np.hanning(plane.shape[0]), np.hanning(plane.shape[1]))

"""What an app does around the graph of focal stacks: the table of radii that goes in, and metres of what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DofkitError
from .stage import DEPTHS

Array = NDArray[np.floating[Any]]


def radius_table(
    focus: Sequence[float], focal_length: float, f_number: float, pixel: float, near: float, far: float
) -> Array:
    """The input `radius`, float32 `[S, 24, 1, 1]`: signed radii of the circle of confusion in pixels of the stack.

    A thin lens focused at s blurs a thing at z by f / N · v · (1/z − 1/s) / (2 · pixel), where 1/v = 1/f − 1/s; the 24
    depths z go from near to far, each the same factor from the one before.

    Args:
        focus: distance of each slice's plane in focus, in metres.
        focal_length: in metres.
        f_number: focal length over the aperture's diameter.
        pixel: pitch of the stack's pixels in metres: the sensor's width over the stack's.
        near, far: of what depths are asked for, in metres.

    Raises:
        DofkitError: a distance is not beyond the focal length, or near is not before far.
    """
    distances = np.array(focus, np.float64)[:, None]
    if not (distances > focal_length).all() or not 0 < near < far < np.inf:
        raise DofkitError(
            f"focus at {', '.join(f'{one:g}' for one in focus)} m and depths from {near:g} to {far:g} m do not fit a "
            f"lens of {1000 * focal_length:g} mm; give metres beyond it, and near before far"
        )
    depths = near * (far / near) ** (np.arange(DEPTHS) / (DEPTHS - 1))
    image = distances * focal_length / (distances - focal_length)
    radius = focal_length / f_number * image * (1 / depths - 1 / distances) / (2 * pixel)
    return radius[:, :, None, None].astype(np.float32)


def metres(disparity: Array, near: float, far: float) -> Array:
    """Depth in metres of the output's fourth channel: 1 / z = 1 / far + d · (1 / near − 1 / far)."""
    return 1 / (1 / far + disparity * (1 / near - 1 / far))

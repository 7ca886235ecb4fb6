"""From disparity, focus and aperture to defocus: the signed radius of the circle of confusion.

The conventions (design: disparity 1 = nearest, defocus > 0 nearer than the focal plane) live here and nowhere else.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

# A 65-pixel kernel (radius 32) at a long side of 1280 (Wang et al. 2018, Sec. 5.2): r_max = long_side / 40.
LONG_SIDE_PER_RADIUS = 40.0
# Networks get c / 8: at the lowest level (long side <= 320) the largest radius is 320 / 40 = 8 pixels.
NETWORK_RADIUS = 8.0
USUAL_APERTURE = 0.5  # where nobody has chosen one


def defocus(disparity: Array, focus: float, aperture: float, long_side: float) -> Array:
    """Signed radius of the circle of confusion, c = α·(d − d_f)·long_side/40.

    Args:
        disparity: `[H, W]` in [0, 1], 1 = nearest.
        focus: disparity in focus, [0, 1].
        aperture: α = r*/r_max in [0, 1].
        long_side: long side of the unpadded photo at the map's own level, in pixels (may be fractional).

    Returns:
        `[H, W]` in pixels of the map's own level; > 0 nearer than the focal plane.
    """
    offset = np.subtract(disparity, np.float32(focus))
    offset *= np.float32(aperture * long_side / LONG_SIDE_PER_RADIUS)
    return offset


def largest_radius(disparity: NDArray[Any], focus: float, aperture: float, long_side: float) -> float:
    """The largest |c| in a map, in pixels; see `defocus`."""
    offset = max(float(disparity.max()) - focus, focus - float(disparity.min()))
    return offset * aperture * long_side / LONG_SIDE_PER_RADIUS


def network_defocus(radius: Array) -> Array:
    """What the networks get: c / 8, clipped to [−1, 1].

    Above the lowest level radii exceed 8 pixels. Clipping keeps the input in the range that the networks know: at
    |c| >= 8 the sharp picture contributes nothing, however large the radius is.
    """
    return np.clip(radius / np.float32(NETWORK_RADIUS), -1.0, 1.0)


def widen_focus(disparity: Array, focus: float, half_range: float) -> Array:
    """Disparity in which everything within `half_range` of the focus lies exactly at the focus.

    A predicted disparity wavers inside one subject; at 12 megapixels a wavering of 0.05 is a blur of 5 pixels. Phone
    cameras therefore hold a range of depths in focus (Wadhwa et al. 2018, Sec. 5). Outside the range the disparity
    moves towards the focus by `half_range`, so the blur grows continuously from zero.

    Args:
        disparity: `[H, W]` in [0, 1].
        focus: disparity in focus, [0, 1].
        half_range: half of the range held in focus, in disparity, >= 0.
    """
    if half_range == 0:
        return disparity
    offset = disparity - np.float32(focus)
    offset -= np.clip(offset, -np.float32(half_range), np.float32(half_range))
    offset += np.float32(focus)
    return offset

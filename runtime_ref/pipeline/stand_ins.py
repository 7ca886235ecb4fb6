"""Stand-ins for the networks: formulas of three lines, so that the steps around the networks can be tested by
themselves, in any language, without a runtime. They leave [0, 1], and see beside themselves, as networks do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .session import Session
from .stage import Stage

Array = NDArray[np.floating[Any]]


class StandInBlur:
    """Of an image I and a defocus x of T × T: (I[i, j] + I[i, j + 3] + I[i − 2, j]) / 3 · (1.2 − x / 2) − 0.05, indices
    clamped into the tile."""

    runtime = "stand-in"

    def run(self, inputs: Mapping[str, Array]) -> Array:
        """See `Session`."""
        image, defocus = inputs["image"], inputs["defocus"]
        beside = _shifted(image, 3, axis=3)
        above = _shifted(image, -2, axis=2)
        return (image + beside + above) / 3 * (np.float32(1.2) - defocus / 2) - np.float32(0.05)


class StandInUpsampling:
    """Of sharp images H of 2U × 2U and L, a blurred image B and a defocus x of U × U, with i = a // 2 and j = b // 2:
    (B[i, j] + B[i, j − 1]) / 2 + (H[a, b] − L[i, j]) · (1.1 − |x[i, j]|), indices clamped into the tile."""

    runtime = "stand-in"

    def run(self, inputs: Mapping[str, Array]) -> Array:
        """See `Session`."""
        blurred = (inputs["blurred_low"] + _shifted(inputs["blurred_low"], -1, axis=3)) / 2
        detail = inputs["image_high"] - _twice(inputs["image_low"])
        return _twice(blurred) + detail * (np.float32(1.1) - np.abs(_twice(inputs["defocus_low"])))


def stand_ins() -> dict[Stage, Session]:
    """Of the two rendering stages."""
    return {Stage.LENS_BLUR: StandInBlur(), Stage.GUIDED_UPSAMPLING: StandInUpsampling()}


def _shifted(values: Array, by: int, axis: int) -> Array:
    """What lies `by` further along an axis, the edge repeated."""
    side = values.shape[axis]
    return values.take(np.arange(by, side + by).clip(0, side - 1), axis)


def _twice(values: Array) -> Array:
    return values.repeat(2, axis=2).repeat(2, axis=3)

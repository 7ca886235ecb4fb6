"""Mistakes that people make with tensors, and what undoes each; which tensor they were made with is in `hypotheses`.

All work on `[1, C, H, W]` float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...colour import to_linear, to_srgb

Array = NDArray[np.floating[Any]]
Change = Callable[[Array], Array]

# ImageNet's mean and deviation, which most published networks want their images normalised by.
_MEAN = np.array([0.485, 0.456, 0.406], np.float32).reshape(1, 3, 1, 1)
_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32).reshape(1, 3, 1, 1)


@dataclass(frozen=True)
class Mistake:
    """What is done to a tensor on its way.

    Attributes:
        text: says it in a line; `{}` stands for the tensors, one or several.
        make, undo: the change, and its inverse on numbers in the tensor's range.
    """

    text: str
    make: Change
    undo: Change

    @property
    def reversed(self) -> Mistake:
        """What undoes it, as a mistake of its own."""
        return Mistake(self.text, self.undo, self.make)


def _scaled(text: str, factor: float) -> Mistake:
    by = np.float32(factor)
    return Mistake(text, lambda x: x * by, lambda x: x / by)


def _turned(text: str, turn: Change) -> Mistake:
    """A mistake that undoes itself."""
    return Mistake(text, turn, turn)


def _backwards(text: str, mistake: Mistake) -> Mistake:
    return replace(mistake.reversed, text=text)


def _power(x: Array, exponent: float) -> Array:
    return (np.sign(x) * np.abs(x) ** exponent).astype(np.float32)


def _nchw_as_nhwc(x: Array) -> Array:
    """The numbers of an `[N, C, H, W]` buffer, read as if they lay as `[N, H, W, C]`."""
    n, c, h, w = x.shape
    return np.ascontiguousarray(x).reshape(n, h, w, c).transpose(0, 3, 1, 2)


def _nhwc_as_nchw(x: Array) -> Array:
    """The inverse of `_nchw_as_nhwc`."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).reshape(x.shape)


_DECODED = Mistake("{} decoded from sRGB to linear light once too often", to_linear, to_srgb)
_DARKENED = Mistake(
    "{} raised to the power 2.2 once too often (gamma)", lambda x: _power(x, 2.2), lambda x: _power(x, 1 / 2.2)
)
_SPREAD = Mistake(
    "{} mapped from [0, 1] to [-1, 1] once too often (double normalisation)",
    lambda x: 2 * x - 1,
    lambda x: (x + 1) / 2,
)
_STANDARDISED = Mistake(
    "{} normalised by ImageNet's mean and deviation once too often (double normalisation)",
    lambda x: (x - _MEAN) / _DEVIATION,
    lambda x: x * _DEVIATION + _MEAN,
)

BGR = _turned("colour channels swapped in {} (BGR for RGB)", lambda x: x[:, ::-1])

_RANGE = (
    _scaled("{} divided by 255 once too often (double normalisation)", 1 / 255),
    _scaled("{} in 0…255 where 0…1 is meant", 255),
    _SPREAD,
    _backwards("{} mapped from [-1, 1] to [0, 1] although there already", _SPREAD),
)

IMAGE_VALUES: tuple[Mistake, ...] = (
    *_RANGE,
    _STANDARDISED,
    _DECODED,
    _backwards("{} encoded from linear light to sRGB once too often", _DECODED),
    _DARKENED,
    _backwards("{} raised to the power 1/2.2 once too often (gamma)", _DARKENED),
)
"""Wrong numbers of an image."""

GEOMETRY: tuple[Mistake, ...] = (
    _turned("height and width exchanged in {}", lambda x: x.transpose(0, 1, 3, 2)),
    _turned("{} upside down", lambda x: x[:, :, ::-1]),
    _turned("{} mirrored left to right", lambda x: x[:, :, :, ::-1]),
)
"""Places mixed up, of a picture or a map."""

LAYOUT: tuple[Mistake, ...] = (
    Mistake("{} read as NHWC although stored as NCHW", _nchw_as_nhwc, _nhwc_as_nchw),
    Mistake("{} read as NCHW although stored as NHWC", _nhwc_as_nchw, _nchw_as_nhwc),
)
"""Memory mixed up; of one channel both layouts are the same."""

DEFOCUS: tuple[Mistake, ...] = (
    _turned("depth for disparity: sign of {} turned, far counts as near", lambda x: -x),
    _scaled("{} divided by 8 once too often", 1 / 8),
    _scaled("{} in pixels: not divided by 8", 8),
)
"""Wrong numbers of a defocus map."""

DISPARITY: tuple[Mistake, ...] = (
    _turned("depth for disparity: {} inverted, 1 is farthest", lambda x: 1 - x),
    *_RANGE,
)
"""Wrong numbers of the depth network's output."""

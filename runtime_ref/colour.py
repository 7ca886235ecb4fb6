"""sRGB and linear light, for arrays: light adds up linearly, encoded values do not.

Networks have a curve of their own, made of what every delegate computes (`train.networks.transfer`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def to_linear(encoded: Array) -> NDArray[np.float32]:
    """sRGB-encoded values → linear light, both in [0, 1] (IEC 61966-2-1); the sign of other values is kept."""
    size = np.abs(encoded)
    high = np.sign(encoded) * ((size + 0.055) / 1.055) ** 2.4
    return np.where(size <= 0.04045, encoded / 12.92, high).astype(np.float32)


def to_srgb(linear: Array) -> NDArray[np.float32]:
    """The inverse of `to_linear`: linear light → sRGB-encoded values."""
    size = np.abs(linear)
    high = np.sign(linear) * (1.055 * size ** (1 / 2.4) - 0.055)
    return np.where(size <= 0.0031308, linear * 12.92, high).astype(np.float32)

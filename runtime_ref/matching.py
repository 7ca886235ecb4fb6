"""What a layer of a reference is, and how its output is looked for among the results of something else.

Values decide, not names: converters rename, fuse and reorder. How near is near enough is the caller's question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# Values of a layer that are enough to find it among many results; all of them are compared once it is found.
_SAMPLES = 4096


@dataclass(frozen=True, eq=False)
class Layer:
    """One call of a layer.

    Attributes:
        name: its path in the network, "(2)" added at its second call.
        kind: its class.
        value: what it gave, float32.
        absorbed_by: name of the layer that converters merge it into, so that the program lacks its own output.
    """

    name: str
    kind: str
    value: Array
    absorbed_by: str | None = None


def sampled(values: Array) -> Array:
    """Up to 4096 values, flat; of arrays of one size always those at the same places."""
    flat = values.reshape(-1)
    return flat if flat.size <= _SAMPLES else flat[_positions(flat.size)]


def first_nearest(errors: Sequence[float]) -> int:
    """Which candidate to take: of several that are as near (a picture without colour has equal channels) the first.

    Args:
        errors: of the candidates in order, at least one.
    """
    return next(i for i, error in enumerate(errors) if error <= 2 * min(errors))


@cache
def _positions(size: int) -> Array:
    return np.random.default_rng(size).integers(0, size, _SAMPLES)

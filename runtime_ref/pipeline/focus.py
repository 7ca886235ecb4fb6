"""What is to be in focus, as a photographer says it, and what becomes of it over one disparity map."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DofkitError
from .subject import ALIKE, auto_focus, focus_at


@dataclass(frozen=True)
class Focus:
    """Where the focal plane lies: at a point, at a disparity, or, of neither, at the subject, see `subject`.

    Attributes:
        point: fractions of the picture's width and height, each in [0, 1].
        disparity: in [0, 1], 1 = nearest.
        half_range: disparities this close to the focus are held sharp, too; None: as the plan says where the disparity
            is predicted, else 0.

    Raises:
        DofkitError: both a point and a disparity, or a value outside its range.
    """

    point: tuple[float, float] | None = None
    disparity: float | None = None
    half_range: float | None = None

    def __post_init__(self) -> None:
        if self.point is not None and self.disparity is not None:
            raise DofkitError("a focus is a point or a disparity, not both; give one of them")
        for value in (*(self.point or ()), self.disparity, self.half_range):
            if value is not None and not 0 <= value <= 1:  # NaN fails, too
                raise DofkitError(f"a focus of {value:g} is outside 0 to 1; give fractions, and 1 for the nearest")

    def over(self, disparity: NDArray[np.floating[Any]], held: float = 0.0) -> float:
        """The disparity in focus.

        Args:
            disparity: the map `[h, w]` over the whole picture.
            held: disparities this close to the focus will be held sharp: what is tapped may lie that far from it.
        """
        if self.disparity is not None:
            return self.disparity
        return auto_focus(disparity) if self.point is None else focus_at(disparity, *self.point, min(ALIKE, held))


def check_disparity(disparity: NDArray[np.floating[Any]]) -> None:
    """Refuse a map that would ruin every picture.

    Raises:
        DofkitError: empty, or with NaN or infinite values.
        ValueError: not `[h, w]`.
    """
    if disparity.ndim != 2:
        raise ValueError(f"a disparity map is [h, w], not {list(disparity.shape)}")
    if not disparity.size or not all(math.isfinite(end) for end in (disparity.min(), disparity.max())):
        raise DofkitError("the disparity map is empty or holds NaN or infinite values; fill them in first")

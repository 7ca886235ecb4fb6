"""How a photo of any shape lies in the picture of a preview graph, which has one size; the kits do the same."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .aspects import Size
from .pyramid import white_of
from .resampling import resample

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Frame:
    """A photo in a preview's picture: at its top left, its long side along the graph's, reduced to fit and never
    enlarged nor stretched; beyond it the edge is repeated.

    Attributes:
        photo: (height, width) of the photo.
        image: of the graph's image.
        map: of the graph's disparity map, which lies over the whole image.
    """

    photo: Size
    image: Size
    map: Size

    @property
    def is_turned(self) -> bool:
        """Whether rows and columns are exchanged: the photo is upright and the graph is not, or the other way."""
        return (self.photo[0] - self.photo[1]) * (self.image[0] - self.image[1]) < 0

    @property
    def inner(self) -> Size:
        """(height, width) of what the photo fills, as the photo stands."""
        height, width = self._as_the_photo(self.image)
        scale = min(1.0, height / self.photo[0], width / self.photo[1])
        down, across = (max(1, int(side * scale + 0.5)) for side in self.photo)
        return down, across

    def aperture(self, aperture: float) -> float:
        """The graph measures blur by its own long side, a portrait by the photo's."""
        return aperture * max(self.inner) / max(self.image)

    def image_of(self, photo: NDArray[Any]) -> Array:
        """The graph's image `[height, width, 3]` in [0, 1] of a photo `[H, W, 3]`, uint8 or float32 in [0, 1]."""
        pitch = [Fraction(side, inner) for side, inner in zip(self.photo, self.inner, strict=True)]
        image = resample(photo, self._as_the_photo(self.image), (pitch[0], pitch[1])) / white_of(photo)
        return image.swapaxes(0, 1) if self.is_turned else image

    def map_of(self, disparity: Array) -> Array:
        """The graph's map of a disparity `[h, w]` over the whole photo."""
        image, size = self._as_the_photo(self.image), self._as_the_photo(self.map)
        sides = zip(disparity.shape, image, size, self.inner, strict=True)
        pitch = [Fraction(side * whole, values * inner) for side, whole, values, inner in sides]
        values = resample(disparity, size, (pitch[0], pitch[1]))
        return values.swapaxes(0, 1) if self.is_turned else values

    def result_of(self, portrait: Array) -> Array:
        """The photo's part of the graph's portrait `[height, width, 3]`, as the photo stands."""
        upright = portrait.swapaxes(0, 1) if self.is_turned else portrait
        return upright[: self.inner[0], : self.inner[1]]

    def _as_the_photo(self, size: Size) -> Size:
        return (size[1], size[0]) if self.is_turned else size

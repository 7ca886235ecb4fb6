"""What others do, as a yardstick: classical renderers and upsamplers, each after a published idea."""

from __future__ import annotations

from typing import Protocol

from ..layered import SceneLens
from ..lens import Array
from .gaussian import GaussianBlur
from .layered import LayeredBlur
from .raytrace import ImageSpaceRays
from .scatter import Scatter
from .upsampling import BilinearUpsampling, GuidedFilterUpsampling


class Renderer(Protocol):
    """Blurs a photo as a lens would.

    Attributes:
        name: one word for tables.
        source: the publication behind it.
    """

    @property
    def name(self) -> str: ...
    @property
    def source(self) -> str: ...

    def render(self, image: Array, disparity: Array, lens: SceneLens) -> Array:
        """Photo [H, W, 3] sRGB-encoded in [0, 1], disparity [H, W] in [0, 1] → [H, W, 3] sRGB-encoded in [0, 1]."""
        ...


class Upsampler(Protocol):
    """Raises the resolution of a blurred picture; `name` and `source` as a renderer's."""

    @property
    def name(self) -> str: ...
    @property
    def source(self) -> str: ...

    def upsample(self, blurred_low: Array, image_high: Array, image_low: Array, defocus_low: Array) -> Array:
        """[h, w, 3], [H, W, 3], [h, w, 3], [h, w] → [H, W, 3] sRGB-encoded in [0, 1]."""
        ...


CLASSICAL: tuple[Renderer, ...] = (GaussianBlur(), Scatter(), LayeredBlur(), ImageSpaceRays())
UPSAMPLERS: tuple[Upsampler, ...] = (BilinearUpsampling(), GuidedFilterUpsampling())

__all__ = [
    "CLASSICAL",
    "UPSAMPLERS",
    "BilinearUpsampling",
    "GaussianBlur",
    "GuidedFilterUpsampling",
    "ImageSpaceRays",
    "LayeredBlur",
    "Renderer",
    "Scatter",
    "Upsampler",
]

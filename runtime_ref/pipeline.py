"""PortraitPipeline: depth → tiled lens blur → recurrent guided upsampling, over any sessions.

Memory is bounded by the photo's 8-bit pixels, its levels below the top and one tile; no float copy of the photo exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .optics import defocus, network_defocus
from .plan import PipelinePlan
from .pyramid import Pyramid, as_float, build_levels, map_at_level, resample
from .sessions import Session
from .stage import Stage
from .tiling import Tile, TilePlan

Array = NDArray[np.floating[Any]]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Lens:
    """What the photographer chooses.

    Attributes:
        focus: disparity in focus, [0, 1].
        aperture: α = r*/r_max, [0, 1].
    """

    focus: float
    aperture: float


def to_network(picture: NDArray[Any]) -> Array:
    """`[H, W]` or `[H, W, C]`, uint8 or float32, as a network input `[1, C, H, W]` float32."""
    values = as_float(picture)
    if values.ndim == 2:
        values = values[:, :, None]
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None])


def from_network(output: Array) -> Array:
    """A network output `[1, C, H, W]` as a picture `[H, W, C]`."""
    return output[0].transpose(1, 2, 0)


def depth_input(pixels: NDArray[Any], size: int) -> Array:
    """The whole photo resized (and stretched) to the depth network's square input, `[1, 3, size, size]`."""
    pyramid = Pyramid.of(*pixels.shape[:2])
    images = build_levels(pixels, pyramid)
    # From the lowest level that is large enough: resampling the photo itself would need a float copy of it.
    level = next((k for k, image in enumerate(images) if min(image.shape[:2]) >= size), pyramid.levels)
    side = pyramid.factor(level) * size
    image = resample(as_float(images[level]), (size, size), (pyramid.height / side, pyramid.width / side))
    return to_network(image)


class PortraitPipeline:
    """Renders photos with a set of sessions and the plan that belongs to them."""

    def __init__(self, sessions: Mapping[Stage, Session], plan: PipelinePlan) -> None:
        self._sessions = sessions
        self._plan = plan

    def disparity(self, pixels: NDArray[Any]) -> Array:
        """Disparity of a photo, at the depth network's own resolution.

        Args:
            pixels: `[H, W, 3]`, uint8 or float32 in [0, 1].

        Returns:
            `[depth_size, depth_size]` in [0, 1], 1 = nearest; it lies over the whole photo.
        """
        image = depth_input(pixels, self._plan.depth_size)
        return self._sessions[Stage.DEPTH].run({"image": image})[0, 0]

    def render(
        self,
        pixels: NDArray[Any],
        disparity: Array,
        lens: Lens,
        dtype: type[np.uint8] | type[np.float32] = np.uint8,
        progress: Progress | None = None,
    ) -> NDArray[Any]:
        """Render a photo with a shallow depth of field.

        Args:
            pixels: `[H, W, 3]`, uint8 or float32 in [0, 1].
            disparity: `[h, w]` in [0, 1], 1 = nearest, of any resolution, over the whole photo.
            lens: focus and aperture.
            dtype: of the result; uint8 (rounded) keeps memory small, float32 is exact.
            progress: called with (tiles done, tiles in all).

        Returns:
            `[H, W, 3]`.
        """
        pyramid = Pyramid.of(*pixels.shape[:2])
        images = build_levels(pixels, pyramid)
        report = _counted(progress, self._tile_count(pyramid))
        radius = self._radius(disparity, lens, pyramid, level=0)
        result = _canvas(pixels, pyramid, 0, dtype)
        for tile, core in self._blur(images[0], radius):
            _place(result, tile, core)
            report()
        for level in range(1, pyramid.levels + 1):
            low, blurred = images.pop(0), result  # a level is let go as soon as the next one is done
            if level > 1:
                radius = self._radius(disparity, lens, pyramid, level - 1)
            result = _canvas(pixels, pyramid, level, dtype)
            for tile, core in self._upsample(images[0], low, blurred, radius):
                _place(result, tile, core)
                report()
        return result

    @staticmethod
    def _radius(disparity: Array, lens: Lens, pyramid: Pyramid, level: int) -> Array:
        """Defocus at a level, `[H_level, W_level]` in pixels of that level."""
        return defocus(map_at_level(disparity, pyramid, level), lens.focus, lens.aperture, pyramid.long_side(level))

    def _tile_count(self, pyramid: Pyramid) -> int:
        plans = [self._plan.lens_blur.over(pyramid.size(0))]
        plans += [self._plan.guided_upsampling.over(pyramid.size(level)) for level in range(pyramid.levels)]
        return sum(plan.count for plan in plans)

    def _is_sharp(self, radius: NDArray[Any]) -> bool:
        return float(np.abs(radius).max()) < self._plan.copy_below

    def _blur(self, image: NDArray[Any], radius: Array) -> Iterator[tuple[Tile, Array]]:
        """Level 0, tile by tile."""
        plan = self._plan.lens_blur.over(radius.shape)
        for tile in plan:
            tile_image, tile_radius = plan.extract(image, tile), plan.extract(radius, tile)
            if self._is_sharp(tile_radius):
                yield tile, as_float(plan.core(tile_image, tile))
            else:
                inputs = {"image": to_network(tile_image), "defocus": to_network(network_defocus(tile_radius))}
                yield tile, plan.core(from_network(self._sessions[Stage.LENS_BLUR].run(inputs)), tile)

    def _upsample(
        self, high: NDArray[Any], low: NDArray[Any], blurred_low: NDArray[Any], radius_low: Array
    ) -> Iterator[tuple[Tile, Array]]:
        """One level up, tile by tile; the tiles that come out are those of the higher level."""
        plan_low = self._plan.guided_upsampling.over(radius_low.shape)
        plan_high: TilePlan = plan_low.scaled(2)
        for tile_low, tile_high in zip(plan_low, plan_high, strict=True):
            tile_image, tile_radius = plan_high.extract(high, tile_high), plan_low.extract(radius_low, tile_low)
            if self._is_sharp(tile_radius):
                yield tile_high, as_float(plan_high.core(tile_image, tile_high))
                continue
            inputs = {
                "image_high": to_network(tile_image),
                "image_low": to_network(plan_low.extract(low, tile_low)),
                "blurred_low": to_network(plan_low.extract(blurred_low, tile_low)),
                "defocus_low": to_network(network_defocus(tile_radius)),
            }
            output = self._sessions[Stage.GUIDED_UPSAMPLING].run(inputs)
            yield tile_high, plan_high.core(from_network(output), tile_high)


def _canvas(
    pixels: NDArray[Any], pyramid: Pyramid, level: int, dtype: type[np.uint8] | type[np.float32]
) -> NDArray[Any]:
    """Where a level's result goes: the photo's size and `dtype` at the top, padded float32 below."""
    if level == pyramid.levels:
        return np.empty(pixels.shape, dtype)
    return np.empty((*pyramid.size(level), 3), np.float32)


def _place(result: NDArray[Any], tile: Tile, core: Array) -> None:
    """Write a core into the result, cut at the photo's border (the result of the top level is not padded)."""
    target = result[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width]
    values = np.clip(core[: target.shape[0], : target.shape[1]], 0.0, 1.0)
    target[...] = np.rint(values * 255).astype(np.uint8) if result.dtype == np.uint8 else values


def _counted(progress: Progress | None, total: int) -> Callable[[], None]:
    done = 0

    def report() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    return report

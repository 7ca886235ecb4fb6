"""PortraitPipeline: depth → tiled lens blur → recurrent guided upsampling, over any sessions.

Memory is bounded by the photo's 8-bit pixels, its levels below the top and the tiles at work; no float copy of the
photo exists, a disparity map as large as the photo can be let go before the levels are made (`DefocusLevels`), and
results are written over the images that they are made of (`in_place`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DofkitError
from .focus import Focus, check_disparity
from .in_place import Bands
from .optics import USUAL_APERTURE, defocus, network_defocus, widen_focus
from .plan import PipelinePlan
from .pyramid import Halved, Pyramid, as_float, build_levels, disparity_at_level, first_level, white_of
from .resampling import resize
from .session import Session, SharedSession, SizedSession
from .stage import Stage
from .tiling import Tile, TilePlan

Array = NDArray[np.floating[Any]]
Progress = Callable[[int, int], None]
_MUCH = 3 * 24_000_000
"""Values of photos that are to have the memory of the lens blur's sessions, about 100 MB; opening them for the next
photo takes 20 to 40 ms, the rendering of such a one seconds."""
PixelType = type[np.uint8] | type[np.uint16] | type[np.float32]


@dataclass(frozen=True)
class Lens:
    """What the photographer chooses.

    Attributes:
        focus: disparity in focus, [0, 1].
        aperture: α = r*/r_max, [0, 1].

    Raises:
        DofkitError: a value that is no finite number.
    """

    focus: float
    aperture: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.focus) and math.isfinite(self.aperture)):
            raise DofkitError(f"focus {self.focus} and aperture {self.aperture} are to be finite numbers from 0 to 1")


def to_network(picture: NDArray[Any]) -> Array:
    """`[H, W]` or `[H, W, C]`, uint8, uint16 or float32, as a network input `[1, C, H, W]` float32."""
    planes = picture[None] if picture.ndim == 2 else picture.transpose(2, 0, 1)
    values = np.empty((1, *planes.shape), np.float32)
    if picture.dtype.kind == "u":
        np.divide(planes, white_of(picture), out=values[0])
    else:
        values[0] = planes
    return values


def from_network(output: Array) -> Array:
    """A network output `[1, C, H, W]` as a picture `[H, W, C]`."""
    return output[0].transpose(1, 2, 0)


def depth_input(pixels: NDArray[Any], size: tuple[int, int]) -> Array:
    """The whole photo resized, and stretched, to the depth network's input of (height, width): `[1, 3, h, w]`."""
    image = resize(pixels, size)
    return to_network(image / white_of(pixels) if pixels.dtype.kind == "u" else image)


def levels_for(shape: tuple[int, ...], disparity: Array, lens: Lens) -> Pyramid:
    """The levels at which a photo `[H, W, …]` is rendered; a weak blur starts one higher, see `pyramid.first_level`."""
    pyramid = Pyramid.of(*shape[:2])
    return pyramid.started_at(first_level(pyramid, disparity, lens.focus, lens.aperture))


@dataclass(frozen=True, eq=False)
class DefocusLevels:
    """Defocus of one photo at every level that it is rendered at, each `[H_k, W_k]` in pixels of level k.

    Attributes:
        pyramid: the levels.
        blurred: at level 0, as the lens blur wants it; see `pyramid.disparity_at_level`, `filled`.
        upsampled: at levels 0 … n − 1, as the upsampling to the next one wants it.
    """

    pyramid: Pyramid
    blurred: Array
    upsampled: tuple[Array, ...]

    @classmethod
    def of(cls, shape: tuple[int, ...], disparity: Array, lens: Lens) -> DefocusLevels:
        """Of a photo `[H, W, …]` with a disparity `[h, w]` of any resolution over the whole of it, 1 = nearest.

        Raises:
            DofkitError: the disparity holds NaN or infinite values.
        """
        check_disparity(disparity)
        pyramid = levels_for(shape, disparity, lens)

        def at(level: int, filled: bool = False) -> Array:
            sampled = disparity_at_level(disparity, pyramid, level, filled)
            return defocus(sampled, lens.focus, lens.aperture, pyramid.long_side(level))

        return cls(pyramid, at(0, filled=True), tuple(at(level) for level in range(pyramid.levels)))


@dataclass(frozen=True, eq=False)
class Focused:
    """A photo's defocus, with the lens that was chosen for it; the disparity is needed no more."""

    lens: Lens
    levels: DefocusLevels


class PortraitPipeline:
    """Renders photos with a set of sessions and the plan that belongs to them."""

    def __init__(self, sessions: Mapping[Stage, Session], plan: PipelinePlan) -> None:
        self._sessions = sessions
        self._plan = plan
        self._side_by_side: dict[Stage, tuple[Session, int]] = {}

    @property
    def plan(self) -> PipelinePlan:
        """Sizes, halos and thresholds that belong to the sessions."""
        return self._plan

    @property
    def runtimes(self) -> tuple[str, ...]:
        """Name and version of what computes the stages, each once, as far as they have been needed."""
        needed = (one for one in self._sessions.values() if not isinstance(one, SizedSession) or one.opened)
        return tuple(dict.fromkeys(session.runtime for session in needed))

    def disparity(self, pixels: NDArray[Any]) -> Array:
        """Disparity of a photo, at the depth network's own resolution.

        Args:
            pixels: `[H, W, 3]`, uint8, uint16 or float32 in [0, 1].

        Returns:
            `[h, w]` in [0, 1], 1 = nearest, of the size whose aspect is nearest to the photo's, see
            `PipelinePlan.depth_shape_for`; it lies over the whole photo.
        """
        image = depth_input(pixels, self._plan.depth_shape_for(*pixels.shape[:2]))
        return self._sessions[Stage.DEPTH].run({"image": image})[0, 0]

    def focused(
        self, shape: tuple[int, ...], disparity: Array, focus: Focus, aperture: float, predicted: bool = False
    ) -> Focused:
        """Put a lens in front of a photo `[H, W, …]`, for `render_defocused`.

        Args:
            shape: the photo's.
            disparity: `[h, w]` in [0, 1], 1 = nearest, of any resolution, over the whole photo.
            focus: what is to be sharp.
            aperture: α, [0, 1].
            predicted: whether the disparity is a network's, which wavers inside of one subject: then the plan's range
                around the focus is held sharp, unless `focus` names another.
        """
        check_disparity(disparity)
        held = focus.half_range if focus.half_range is not None else self._plan.focus_range if predicted else 0.0
        lens = Lens(focus.over(disparity, held), aperture)
        return Focused(lens, DefocusLevels.of(shape, widen_focus(disparity, lens.focus, held), lens))

    def portrait(
        self,
        pixels: NDArray[Any],
        disparity: Array | None = None,
        focus: Focus | None = None,
        aperture: float = USUAL_APERTURE,
        progress: Progress | None = None,
    ) -> NDArray[Any]:
        """A photo with a shallow depth of field, as `dofkit render` makes it.

        Args:
            pixels: `[H, W, 3]`, uint8, uint16 or float32 in [0, 1].
            disparity: `[h, w]` in [0, 1], 1 = nearest, over the whole photo. Default: the depth network is asked.
            focus: what is to be sharp. Default: the subject, near and in the picture's middle.
            aperture: α; 0 blurs nothing, 1 the most.
            progress: called with (tiles done, tiles in all).

        Returns:
            `[H, W, 3]`, of the type of `pixels`.
        """
        predicted = disparity is None
        known = self.disparity(pixels) if disparity is None else disparity
        focused = self.focused(pixels.shape, known, focus or Focus(), aperture, predicted)
        return self.render_defocused(pixels, focused.levels, pixels.dtype.type, progress)

    def render(
        self,
        pixels: NDArray[Any],
        disparity: Array,
        lens: Lens,
        dtype: PixelType = np.uint8,
        progress: Progress | None = None,
    ) -> NDArray[Any]:
        """Render a photo with a shallow depth of field.

        Args:
            pixels: `[H, W, 3]`, uint8, uint16 or float32 in [0, 1].
            disparity: `[h, w]` in [0, 1], 1 = nearest, of any resolution, over the whole photo.
            lens: focus and aperture.
            dtype: of the result; uint8 and uint16 are rounded and keep memory small, float32 is exact.
            progress: called with (tiles done, tiles in all).

        Returns:
            `[H, W, 3]`.
        """
        return self.render_defocused(pixels, DefocusLevels.of(pixels.shape, disparity, lens), dtype, progress)

    def render_defocused(
        self,
        pixels: NDArray[Any],
        defocused: DefocusLevels,
        dtype: PixelType = np.uint8,
        progress: Progress | None = None,
        finished: Callable[[NDArray[Any]], None] | None = None,
        overwrite: bool = False,
    ) -> NDArray[Any]:
        """What `render` does once defocus is known; whoever has let the disparity go by then needs the less memory.

        Args:
            pixels, dtype, progress: see `render`.
            defocused: the photo's defocus.
            overwrite: whether the result may lie where `pixels` are now; it does where they have its type and there are
                levels.
            finished: called with the result of every level, from 0 to n; those below n are padded, and 16-bit where
                `dtype` is not float.
        """
        told = finished or (lambda _: None)
        pyramid = defocused.pyramid
        images = build_levels(pixels, pyramid, _below(dtype))
        report = _counted(progress, self._tile_count(pyramid))
        result = _canvas(pixels, pyramid, 0, dtype)
        plan = self._plan.lens_blur.over(defocused.blurred.shape)
        work = self._blurring(plan, images[0], defocused.blurred, result, report)
        self._each(Stage.LENS_BLUR, plan, defocused.blurred, work)
        if pixels.size >= _MUCH:
            self._side_by_side.pop(Stage.LENS_BLUR, None)
        told(result)
        for level, radius in enumerate(defocused.upsampled, start=1):
            images.pop(0)  # what a tile shows one level down is computed from the tile
            blurred = result  # a level is let go as soon as the next one is done
            result = _goal(images[0], pixels, pyramid, level, dtype, overwrite or level < pyramid.levels)
            plan = self._plan.guided_upsampling.over(radius.shape)
            work = self._upsampling(plan, images[0], blurred, radius, result, report)
            self._each(Stage.GUIDED_UPSAMPLING, plan, radius, work)
            del work  # it holds the level below
            told(result)
        return result

    def _each(self, stage: Stage, plan: TilePlan, radius: Array, work: Callable[[Tile, Session | None], None]) -> None:
        """Do the work for every tile, several at once where the session allows it: the conversions around one tile,
        which occupy one core, then hide behind another's network. Each tile writes to a place of its own."""
        blurred = {tile for tile in plan if not self._is_sharp(plan.extract(radius, tile))}
        session, workers = self._session_for(stage, len(blurred))

        def each(tile: Tile) -> None:
            work(tile, session if tile in blurred else None)

        if workers == 1:
            for tile in plan:
                each(tile)
            return
        with ThreadPoolExecutor(workers) as pool:
            for _ in pool.map(each, plan):
                pass

    def _session_for(self, stage: Stage, tiles: int) -> tuple[Session | None, int]:
        """The session that computes so many tiles of a stage (None where there is none to compute), and how many at
        once."""
        if tiles < 2:
            return (self._sessions[stage] if tiles else None), 1
        if stage not in self._side_by_side:
            session = self._sessions[stage]
            self._side_by_side[stage] = session.side_by_side() if isinstance(session, SharedSession) else (session, 1)
        return self._side_by_side[stage]

    def _tile_count(self, pyramid: Pyramid) -> int:
        plans = [self._plan.lens_blur.over(pyramid.size(0))]
        plans += [self._plan.guided_upsampling.over(pyramid.size(level)) for level in range(pyramid.levels)]
        return sum(plan.count for plan in plans)

    def _is_sharp(self, radius: NDArray[Any]) -> bool:
        return float(np.abs(radius).max()) < self._plan.copy_below

    def _blurring(
        self, plan: TilePlan, image: NDArray[Any], radius: Array, result: NDArray[Any], report: Callable[[], None]
    ) -> Callable[[Tile, Session | None], None]:
        """What computes a tile of level 0, or copies it (no session)."""

        def blur(tile: Tile, session: Session | None) -> None:
            tile_image = plan.extract(image, tile)
            if session is None:
                core = as_float(plan.core(tile_image, tile))
            else:
                tile_defocus = network_defocus(plan.extract(radius, tile))
                inputs = {"image": to_network(tile_image), "defocus": to_network(tile_defocus)}
                core = plan.core(from_network(session.run(inputs)), tile)
            _place(result, tile, core)
            report()

        return blur

    def _upsampling(
        self,
        plan: TilePlan,
        high: NDArray[Any],
        blurred_low: NDArray[Any],
        radius_low: Array,
        result: NDArray[Any],
        report: Callable[[], None],
    ) -> Callable[[Tile, Session | None], None]:
        """What computes a tile of the higher level, given the one of the lower, or copies it (no session)."""
        above = plan.scaled(2)
        bands = Bands(high, above) if result is high else None

        def upsample(tile: Tile, session: Session | None) -> None:
            goal = tile.scaled(2)
            seen = high if bands is None else bands.of(goal)
            tile_image = above.extract(seen, goal)
            if session is None:
                core = as_float(above.core(tile_image, goal))
            else:
                inputs = {
                    "image_high": to_network(tile_image),
                    "image_low": to_network(plan.extract(Halved(seen, (plan.height, plan.width)), tile)),
                    "blurred_low": to_network(plan.extract(blurred_low, tile)),
                    "defocus_low": to_network(network_defocus(plan.extract(radius_low, tile))),
                }
                core = above.core(from_network(session.run(inputs)), goal)
            _place(result, goal, core)
            report()

        return upsample


def _canvas(pixels: NDArray[Any], pyramid: Pyramid, level: int, dtype: PixelType) -> NDArray[Any]:
    """Where a level's result goes: the photo's size and `dtype` at the top, padded below, and 16 bits for 8.

    Floats below would take 73 megabytes more at 48 megapixels, for a thousandth of an 8-bit step.
    """
    if level == pyramid.levels:
        return np.empty(pixels.shape, dtype)
    return np.empty((*pyramid.size(level), 3), _below(dtype))


def _below(dtype: PixelType) -> type[np.float32] | type[np.uint16]:
    """The type of levels below a top of `dtype`."""
    return np.float32 if dtype == np.float32 else np.uint16


def _goal(
    image: NDArray[Any], pixels: NDArray[Any], pyramid: Pyramid, level: int, dtype: PixelType, overwrite: bool
) -> NDArray[Any]:
    """Where a level's result goes: to its image's own place if that is allowed and of the type, else to a canvas."""
    kind = dtype if level == pyramid.levels else _below(dtype)
    return image if overwrite and image.dtype == kind else _canvas(pixels, pyramid, level, dtype)


def _place(result: NDArray[Any], tile: Tile, core: Array) -> None:
    """Write a core into the result, cut at the photo's border (the result of the top level is not padded)."""
    target = result[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width]
    values = core[: target.shape[0], : target.shape[1]]
    white = white_of(result)
    for colour in range(values.shape[2]):  # networks give planes: half the time of all colours at once
        plane = values[..., colour]
        if result.dtype.kind == "u":
            scaled = np.multiply(plane, white)
            target[..., colour] = np.clip(np.rint(scaled, out=scaled), 0, white, out=scaled)
        else:
            np.clip(plane, 0.0, 1.0, out=target[..., colour])


def _counted(progress: Progress | None, total: int) -> Callable[[], None]:
    done = 0
    lock = Lock()  # tiles may end on several threads

    def report() -> None:
        nonlocal done
        with lock:
            done += 1
            if progress is not None:
                progress(done, total)

    return report

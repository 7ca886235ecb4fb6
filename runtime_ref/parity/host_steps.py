"""The steps around the networks, one after the other: what each makes of a photo and a map, kept in a bundle and
computed again by every check. Stand-ins take the networks' place, see `pipeline.stand_ins`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle, StepCase
from ..bundle.steps import MAP, PHOTO, encoded, read_steps
from ..pipeline.focus import Focus
from ..pipeline.optics import network_defocus, widen_focus
from ..pipeline.plan import PipelinePlan, TileSpec
from ..pipeline.portrait import DefocusLevels, Lens, PortraitPipeline, depth_input, from_network, levels_for
from ..pipeline.pyramid import Pyramid, as_float, build_levels, disparity_at_level
from ..pipeline.refinement import refined_disparity
from ..pipeline.stand_ins import stand_ins
from ..pipeline.tiling import TilePlan

Tensor = tuple[int, NDArray[Any]]
"""The number of the step that computes it, and its values."""

FOCUS_STEP, LEVELS_STEP = 6, 8
# Sums in another order, and the rounding of what is stored: results to 8 bits, the rest to 16; defocus in pixels.
ALLOWED = {np.dtype(np.uint8): 1.0, np.dtype(np.uint16): 2.0, np.dtype(np.float32): 1e-3}
_FOCUS_ALLOWED = 1e-5


@dataclass(frozen=True)
class StepInputs:
    """What the steps begin with.

    Attributes:
        photo: uint8 `[H, W, 3]`.
        map: disparity over the whole photo, uint8 or uint16 `[h, w]`; the greatest of the type is 1, nearest. With a
            `focus_range` it is a network's, without one it was measured.
        tap: x and y as fractions of the photo's sides; None: focus by itself.
        aperture: α in [0, 1].
        focus_range: disparities this close to the focus are held sharp.
    """

    photo: NDArray[np.uint8]
    map: NDArray[Any]
    tap: tuple[float, float] | None
    aperture: float
    focus_range: float


@dataclass(frozen=True, eq=False)
class StepResults:
    """What the steps make of them.

    Attributes:
        depth_size: of the depth network's input, height and width.
        focus: the disparity in focus.
        levels: n.
        weak: whether the blur starts one level higher than the lowest.
        tensors: by name, see `Tensor`; README.md of a bundle says what each holds.
    """

    depth_size: tuple[int, int]
    focus: float
    levels: int
    weak: bool
    tensors: Mapping[str, Tensor]


@dataclass(frozen=True)
class StepDifference:
    """The first step of a case whose result is not the stored one."""

    case: str
    step: int
    what: str
    difference: float

    def __str__(self) -> str:
        return f"{self.case}: step {self.step}, {self.what} differs by {self.difference:.3g}"


def computed_steps(inputs: StepInputs, plan: PipelinePlan) -> StepResults:
    """All steps, in their order."""
    photo, stored = inputs.photo, as_float(inputs.map)
    measured = stored if inputs.focus_range else refined_disparity(stored, photo)
    size = plan.depth_shape_for(*photo.shape[:2])
    focus = Focus(point=inputs.tap).over(measured, inputs.focus_range)
    held = widen_focus(measured, focus, inputs.focus_range)
    lens = Lens(focus, inputs.aperture)
    pyramid = levels_for(photo.shape, held, lens)
    images = build_levels(photo, pyramid)
    levels = DefocusLevels.of(photo.shape, held, lens)
    finished: list[NDArray[Any]] = []
    PortraitPipeline(stand_ins(), plan).render_defocused(photo, levels, np.float32, finished=finished.append)

    tensors: dict[str, Tensor] = {PHOTO: (1, photo), MAP: (5, inputs.map)}
    tensors |= {f"level_{k}": (3, images[k]) for k in range(pyramid.levels)}
    if measured is not stored:
        tensors["refined"] = (5, measured)
    tensors["depth_input"] = (4, from_network(depth_input(photo, size)))
    if inputs.focus_range:
        tensors["held"] = (7, held)
    tensors["disparity_blur"] = (9, disparity_at_level(held, pyramid, 0, filled=True))
    tensors |= {f"disparity_{k}": (9, disparity_at_level(held, pyramid, k)) for k in range(pyramid.levels)}
    tensors["defocus_blur"] = (10, levels.blurred)
    tensors |= {f"defocus_{k}": (10, radius) for k, radius in enumerate(levels.upsampled)}
    tensors |= _cut(plan, images, levels, finished)
    tensors |= {f"blurred_{k}": (12, finished[k]) for k in range(pyramid.levels)}
    tensors["rendered"] = (12, np.rint(finished[-1] * np.float32(255)).astype(np.uint8))
    weak = pyramid.levels < Pyramid.of(*photo.shape[:2]).levels
    return StepResults(size, focus, pyramid.levels, weak, tensors)


def _cut(
    plan: PipelinePlan, images: list[NDArray[Any]], levels: DefocusLevels, finished: list[NDArray[Any]]
) -> dict[str, Tensor]:
    """Which tiles are copied, and the inputs of the last tile of the blur and of the first upsampling."""
    tiles, radius = plan.lens_blur.over(levels.blurred.shape), levels.blurred
    tensors: dict[str, Tensor] = {"copied_blur": (11, _copied(plan, plan.lens_blur, radius))}
    last = list(tiles)[-1]
    tensors["tile_blur.image"] = (11, as_float(tiles.extract(images[0], last)))
    tensors["tile_blur.defocus"] = (11, network_defocus(tiles.extract(radius, last)))
    for k, radius in enumerate(levels.upsampled, start=1):
        tensors[f"copied_{k}"] = (11, _copied(plan, plan.guided_upsampling, radius))
    if levels.upsampled:
        radius = levels.upsampled[0]
        tiles = plan.guided_upsampling.over(radius.shape)
        last = list(tiles)[-1]
        high = tiles.scaled(2).extract(images[1], last.scaled(2))
        tensors["tile_upsampling.image_high"] = (11, as_float(high))
        tensors["tile_upsampling.image_low"] = (11, tiles.extract(images[0], last))
        tensors["tile_upsampling.blurred_low"] = (12, tiles.extract(finished[0], last))
        tensors["tile_upsampling.defocus_low"] = (11, network_defocus(tiles.extract(radius, last)))
    return tensors


def _copied(plan: PipelinePlan, spec: TileSpec, radius: NDArray[Any]) -> NDArray[np.uint8]:
    """`[rows, columns]` of tiles: 1 where the sharp picture is taken."""
    tiles: TilePlan = spec.over((radius.shape[0], radius.shape[1]))
    copied = [np.abs(tiles.extract(radius, tile)).max() < plan.copy_below for tile in tiles]
    return np.array(copied, np.uint8).reshape(-(-tiles.height // tiles.core_height), -1)


def step_differences(bundle: Bundle) -> list[StepDifference]:
    """Compute the steps of every case again; of each that differs, the first step that does.

    Raises:
        DofkitError: the file of a case is damaged.
    """
    plan = bundle.manifest.plan
    return [found for case in bundle.manifest.steps if (found := _first_difference(bundle, case, plan)) is not None]


def _first_difference(bundle: Bundle, case: StepCase, plan: PipelinePlan) -> StepDifference | None:
    stored = read_steps(bundle.path(case.path))
    if other := next(_other_sizes(case, stored, plan), None):
        return other
    inputs = StepInputs(stored[PHOTO], stored[MAP], case.tap, case.aperture, case.focus_range)
    results = computed_steps(inputs, plan)
    found = [*_scalars(case, results), *_tensors(case, results, stored)]
    return min(found, key=lambda each: each.step, default=None)


def _other_sizes(case: StepCase, stored: Mapping[str, NDArray[Any]], plan: PipelinePlan) -> Iterator[StepDifference]:
    """Sizes of the plan that are not those of the stored tensors: nothing is allocated by a plan that a file belies."""
    blur, upsampling = plan.lens_blur.tile, plan.guided_upsampling.tile
    sizes = {
        "depth_input": plan.depth_shape_for(*stored[PHOTO].shape[:2]),
        "tile_blur.image": (blur, blur),
        "tile_upsampling.image_low": (upsampling, upsampling),
    }
    for name, size in sizes.items():
        entry, there = case.tensors.get(name), stored.get(name)
        if entry is None and name.startswith("tile_upsampling") and not case.levels:
            continue
        every = 1 if entry is None else entry.every
        wanted = tuple(0 if side is None else -(-side // every) for side in size)
        if there is None or there.shape[:2] != wanted:
            yield StepDifference(case.name, 4 if name == "depth_input" else 11, f"the plan's size of {name}", 1)


def _scalars(case: StepCase, results: StepResults) -> Iterator[StepDifference]:
    if results.depth_size != case.depth_size:
        yield StepDifference(case.name, 4, "the size of the depth network's input", 1)
    if not abs(results.focus - case.focus) <= _FOCUS_ALLOWED:
        yield StepDifference(case.name, FOCUS_STEP, "the focus", abs(results.focus - case.focus))
    if (results.levels, results.weak) != (case.levels, case.weak):
        yield StepDifference(case.name, LEVELS_STEP, "the number of levels", abs(results.levels - case.levels))


def _tensors(case: StepCase, results: StepResults, stored: Mapping[str, NDArray[Any]]) -> Iterator[StepDifference]:
    for name, entry in case.tensors.items():
        there = stored.get(name)
        if name not in results.tensors or there is None:
            yield StepDifference(case.name, entry.step, f"{name}, which is there on one side only,", 1)
            continue
        again = encoded(name, results.tensors[name][1])[:: entry.every, :: entry.every]
        if again.shape != there.shape or again.dtype != there.dtype:
            yield StepDifference(case.name, entry.step, f"the shape or type of {name}", 1)
            continue
        difference = float(np.abs(again.astype(np.float64) - there).max())
        if not difference <= (0 if name.startswith("copied") else ALLOWED[there.dtype]):
            yield StepDifference(case.name, entry.step, name, difference)

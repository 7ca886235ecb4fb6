"""The photos and maps of the step cases: made up, one for each branch of the steps around the networks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..runtime_ref.bundle import StepCase
from ..runtime_ref.bundle.steps import stored_steps, write_steps
from ..runtime_ref.parity.host_steps import StepInputs, computed_steps
from ..runtime_ref.pipeline.plan import PipelinePlan

Columns = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class StepPicture:
    """A step case before it is computed."""

    name: str
    note: str
    inputs: StepInputs


def step_pictures(plan: PipelinePlan) -> Iterator[StepPicture]:
    """Every branch and every constant once: see the notes, and the test that changes each."""
    predicted = made_up_map(*plan.depth_shape_for(599, 401), 16)
    yield StepPicture(
        "large",
        "a photo of 1281 x 853: padding on both sides, a weak blur, three upsamplings less one, focus by itself",
        StepInputs(made_up_photo(853, 1281, 1), made_up_map(257, 385, 16, slope=0.6), None, 0.4, 0.0),
    )
    yield StepPicture(
        "upright",
        "an upright photo with a predicted map: tapped, a range held in focus, the full blur over an odd size",
        StepInputs(made_up_photo(599, 401, 2), predicted, (0.02, 0.5), 1.0, plan.focus_range),
    )
    yield StepPicture(
        "strip",
        "two upsamplings at full blur, a map five times as fine as level 0 with thin things, tiles just copied",
        StepInputs(made_up_photo(37, 1203, 3), made_up_map(47, 1501, 16, _nearly_sharp), (0.02, 0.9), 1.0, 0.0),
    )
    yield StepPicture(
        "odd",
        "641 x 427 with a map of 768 x 512, tapped at the border: thin things at a ratio that is no whole number",
        StepInputs(made_up_photo(427, 641, 4), made_up_map(512, 768, 8), (1.0, 0.0), 0.7, 0.0),
    )
    yield StepPicture(
        "small",
        "320 x 213, no upsampling, a map twice as fine",
        StepInputs(made_up_photo(213, 320, 5), made_up_map(427, 641, 8), None, 1.0, 0.0),
    )
    yield StepPicture(
        "closed",
        "aperture 0: every tile is copied, the result is the photo; a coarse map that is too long to be refined",
        StepInputs(made_up_photo(4, 7200, 6), made_up_map(3, 1600, 16, slope=0.6), (0.42, 0.4), 0.0, 0.0),
    )
    yield StepPicture(
        "coarse",
        "2500 x 31 with a map of 411 x 7: refined along the photo's colours, three upsamplings",
        StepInputs(made_up_photo(31, 2500, 8), made_up_map(7, 411, 16, slope=0.6), None, 1.0, 0.0),
    )
    yield StepPicture(
        "fine",
        "a predicted map longer than 512 values, of which a tap sees every second one; on one axis only twice as fine",
        StepInputs(made_up_photo(47, 548, 9), made_up_map(100, 700, 16, slope=0.6), (0.7, 0.4), 1.0, plan.focus_range),
    )
    yield StepPicture(
        "tiny",
        "33 x 21 with a measured map of 8 x 7, just not coarse, tapped",
        StepInputs(made_up_photo(21, 33, 10), made_up_map(7, 8, 16, slope=0.6), (0.6, 0.5), 1.0, 0.0),
    )
    yield StepPicture(
        "flat",
        "a flat map over a photo smaller than a tile: its only disparity is in focus",
        StepInputs(made_up_photo(6, 7, 7), np.full((3, 4), 77, np.uint8), None, 1.0, 0.0),
    )


def write_step_cases(folder: Path, pictures: Iterable[StepPicture], plan: PipelinePlan) -> tuple[StepCase, ...]:
    """Compute step cases and write their tensors to `golden/steps` in a bundle's folder; their entries."""
    (folder / "golden/steps").mkdir(parents=True)
    return tuple(_write(folder, picture, plan) for picture in pictures)


def _write(folder: Path, picture: StepPicture, plan: PipelinePlan) -> StepCase:
    inputs, results = picture.inputs, computed_steps(picture.inputs, plan)
    tensors, arrays = stored_steps(results.tensors)
    path = f"golden/steps/{picture.name}.safetensors"
    write_steps(folder / path, arrays)
    return StepCase(
        name=picture.name,
        path=path,
        note=picture.note,
        tap=inputs.tap,
        aperture=inputs.aperture,
        focus_range=inputs.focus_range,
        depth_size=results.depth_size,
        focus=results.focus,
        levels=results.levels,
        weak=results.weak,
        tensors=tensors,
    )


def made_up_photo(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Stripes, a ramp and noise: a pixel that is taken from beside is another one."""
    rows, columns = np.mgrid[:height, :width]
    noise = np.random.default_rng(seed).integers(0, 60, (height, width))
    planes = (columns // 5 + noise, 255 * ((rows // 3 + columns // 4) % 2), (3 * columns + 5 * rows) % 256)
    return np.stack(planes, axis=2).clip(0, 255).astype(np.uint8)


def made_up_map(
    height: int, width: int, bits: int, wall: Callable[[Columns], Columns] | None = None, slope: float = 0.0
) -> NDArray[Any]:
    """A receding ground, a near subject with a soft edge, hairs of one to three values, and on the left a far wall: a
    tap there leaves tiles to be copied.

    Args:
        height, width: of the map.
        bits: 8 or 16.
        wall: its disparity at columns from 0 to 1; NaN where it ends. Default: a narrow one that is flat.
        slope: how much the subject turns away from left to right, with a fine ripple: each pixel then has a disparity
            of its own, and a focus that is taken of a few others is another one.
    """
    rows, columns = np.mgrid[:height, :width] / np.array([height, width])[:, None, None]
    disparity = 0.05 + 0.25 * rows
    near = 0.82 + slope * (0.3 - columns)
    distance = np.hypot((rows - 0.5) / 0.4, (columns - 0.5) / 0.22)
    disparity += (near - disparity) * np.clip(8 * (1.05 - distance), 0, 1)
    if slope:
        disparity += 0.011 * np.sin(300 * columns + 40 * rows)
    for number, start in enumerate(range(width // 40, width * 39 // 40, max(7, width // 24))):
        top = height // 10 + number % 4 * (height // 6)
        disparity[top : top + height // 3 + 1, start : start + 1 + number % 3] = 1.0
    behind = np.where(columns < 0.08, 0.08, np.nan) if wall is None else wall(columns)
    disparity = np.where(np.isnan(behind), disparity, behind)
    return np.rint(disparity.clip(0, 1) * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)


def _nearly_sharp(columns: Columns) -> Columns:
    """A wall that bends until a tile of it is blurred just too little, and another just enough, to be computed."""
    return np.where(columns < 0.55, 0.08 + 0.913 * columns**5, np.nan)

"""What a stage really sees: its inputs while photos go through the PyTorch pipeline, with a spread of lenses.

Only what was kept of a rendering is in memory, whatever the number of photos.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..runtime_ref.backends import Session
from ..runtime_ref.pipeline.optics import widen_focus
from ..runtime_ref.pipeline.plan import PipelinePlan
from ..runtime_ref.pipeline.portrait import Array, Lens, PortraitPipeline, depth_input, levels_for
from ..runtime_ref.pipeline.stage import Stage
from ..runtime_ref.pipeline.subject import auto_focus
from .ranges import StageInputs

# Tiles kept of one rendering, evenly spread over it; the most defocused on either side come on top.
TILES_KEPT = 6


class Setting(NamedTuple):
    """A lens before a photo is known.

    Attributes:
        place: a key of `PLACES`.
        aperture: α, [0, 1].
        held: with the plan's range of depths held in focus, as for a predicted disparity; else as for a measured one.
    """

    place: str
    aperture: float
    held: bool


# Where a photographer puts the focus, by disparity. Hundredths: the very nearest pixel may be a speck.
PLACES: dict[str, Callable[[Array], float]] = {
    "subject": auto_focus,
    "nearest": lambda disparity: float(np.quantile(disparity, 0.99)),
    "between": lambda disparity: float(np.median(disparity)),
    "farthest": lambda disparity: float(np.quantile(disparity, 0.01)),
}
# The extremes of blur on both sides come from wide open lenses focused near and far; the others are what is usual.
SPREAD = (
    Setting("subject", 1.0, held=False),
    Setting("subject", 0.5, held=True),
    Setting("nearest", 1.0, held=False),
    Setting("farthest", 1.0, held=False),
    Setting("between", 0.3, held=False),
)


@dataclass(frozen=True, eq=False)
class LensRendering:
    """What a stage was fed while a photo was rendered; the depth network knows no lens."""

    lens: Lens | None
    samples: list[StageInputs]


def renderings(
    stage: Stage,
    pixels: NDArray[np.uint8],
    disparity: Callable[[NDArray[Any]], Array],
    sessions: Mapping[Stage, Session],
    plan: PipelinePlan,
) -> Iterator[LensRendering]:
    """A photo through the pipeline, with every lens of the spread.

    Args:
        stage: whose inputs are wanted.
        pixels: the photo, uint8 `[H, W, 3]`.
        disparity: computes the photo's, `[h, w]` in [0, 1]; called once, and not for the depth network.
        sessions: the reference, all stages.
        plan: tile sizes.
    """
    if stage is Stage.DEPTH:
        yield LensRendering(None, [{"image": depth_input(view, plan.depth_shape)} for view in _views(pixels)])
        return
    measured = disparity(pixels)
    for setting in SPREAD:
        lens = Lens(PLACES[setting.place](measured), setting.aperture)
        held = widen_focus(measured, lens.focus, plan.focus_range) if setting.held else measured
        yield LensRendering(lens, _fed(stage, pixels, held, lens, sessions, plan))


def _fed(
    stage: Stage,
    pixels: NDArray[np.uint8],
    disparity: Array,
    lens: Lens,
    sessions: Mapping[Stage, Session],
    plan: PipelinePlan,
) -> list[StageInputs]:
    """Some of what a stage is fed during one rendering; only what it depends on is computed."""
    pyramid = levels_for(pixels.shape, disparity, lens)
    blurred = plan.lens_blur.over(pyramid.size(0)).count
    # Nothing is fed with the topmost level's result, which would take three quarters of the time.
    topmost = plan.guided_upsampling.over(pyramid.size(max(0, pyramid.levels - 1))).count
    tap = _Tap(_Idle())

    def follow(done: int, total: int) -> None:
        if stage is Stage.GUIDED_UPSAMPLING:
            tap.behind = sessions[stage] if done < total - topmost else _Idle()
        elif done == blurred:
            raise _Enough

    with suppress(_Enough):
        PortraitPipeline({**sessions, stage: tap}, plan).render(pixels, disparity, lens, progress=follow)
    return tap.kept()


class _Enough(Exception):
    """All that was wanted of a rendering is there."""


class _Idle:
    """A session whose result nobody looks at."""

    runtime = "none"

    def run(self, inputs: StageInputs) -> Any:
        return np.zeros_like(next(iter(inputs.values())))  # a sharp tile, of the same shape as the blurred one


@dataclass
class _Tap:
    """A session that keeps some inputs: evenly spread ones, and the most defocused on either side of the focus."""

    behind: Session
    _even: dict[int, StageInputs] = field(default_factory=dict)
    _nearest: tuple[float, int, StageInputs] | None = None
    _farthest: tuple[float, int, StageInputs] | None = None
    _every: int = 1
    _calls: int = 0

    @property
    def runtime(self) -> str:
        return self.behind.runtime

    def run(self, inputs: StageInputs) -> Any:
        call, self._calls = self._calls, self._calls + 1
        if call % self._every == 0:
            self._even[call] = inputs
        if len(self._even) > TILES_KEPT:  # how many will come is not known: sharp tiles are never run
            self._every *= 2
            self._even = {number: kept for number, kept in self._even.items() if number % self._every == 0}
        blur = float(next(values for name, values in inputs.items() if name.startswith("defocus")).mean())
        if self._nearest is None or blur > self._nearest[0]:
            self._nearest = (blur, call, inputs)
        if self._farthest is None or blur < self._farthest[0]:
            self._farthest = (blur, call, inputs)
        return self.behind.run(inputs)

    def kept(self) -> list[StageInputs]:
        """In the order of the calls, each once."""
        extremes = {found[1]: found[2] for found in (self._nearest, self._farthest) if found}
        kept = self._even | extremes
        return [kept[call] for call in sorted(kept)]


def _views(pixels: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The whole picture, its mirror image, and its four overlapping corners."""
    height, width = pixels.shape[:2]
    tall, wide = height * 2 // 3, width * 2 // 3
    yield pixels
    yield pixels[:, ::-1]
    for top in (0, height - tall):
        for left in (0, width - wide):
            yield np.ascontiguousarray(pixels[top : top + tall, left : left + wide])

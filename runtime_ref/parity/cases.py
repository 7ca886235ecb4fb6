"""Cases: pictures with what the reference computes from them, stage by stage and end to end. Each is a file.

A bundle carries the golden ones; others are computed by any sessions that serve as the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..backends import Session
from ..bundle import Bundle
from ..bundle.golden import GoldenArrays, StageArrays, golden_arrays, read_golden, write_golden
from ..pipeline.plan import PipelinePlan
from ..pipeline.portrait import Array, Lens, PortraitPipeline, depth_input, to_network
from ..pipeline.pyramid import halve
from ..pipeline.stage import Stage
from ..pipeline.subject import auto_focus


@dataclass(frozen=True)
class Picture:
    """A picture to compute a case from; `pixels` are uint8 `[H, W, 3]`."""

    name: str
    kind: Literal["photo", "synthetic"]
    pixels: NDArray[np.uint8]
    note: str


@dataclass(frozen=True)
class Case:
    """A picture, its lens, and the file with the reference's results; those are read when they are asked for.

    Attributes:
        name, note: for people.
        kind: a real photo, or a picture made to be hard.
        lens: focus and aperture of the rendering.
        path: a safetensors file, see `golden`.
    """

    name: str
    note: str
    kind: Literal["photo", "synthetic"]
    lens: Lens
    path: Path

    def arrays(self) -> GoldenArrays:
        """Inputs and outputs of the reference.

        Raises:
            DofkitError: the file is damaged.
        """
        return read_golden(self.path)


class ArraysByName(Mapping[str, GoldenArrays]):
    """The arrays of cases by their names, read when they are asked for and not kept."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self._cases = {case.name: case for case in cases}

    def __getitem__(self, name: str) -> GoldenArrays:
        return self._cases[name].arrays()

    def __iter__(self) -> Iterator[str]:
        return iter(self._cases)

    def __len__(self) -> int:
        return len(self._cases)


def golden_cases(bundle: Bundle) -> list[Case]:
    """The cases that a bundle carries."""
    return [
        Case(case.name, case.note, case.kind, Lens(case.focus, case.aperture), bundle.path(case.path))
        for case in bundle.manifest.golden
    ]


Further = Callable[[NDArray[np.uint8], Array], Mapping[Stage, StageArrays]]
"""Pixels and their disparity → (inputs, output) of stages that are no part of the pipeline."""


def compute_case(
    picture: Picture,
    sessions: Mapping[Stage, Session],
    plan: PipelinePlan,
    path: Path,
    further: Further | None = None,
) -> Case:
    """Compute a case with a reference, tiled as a plan says, and write it.

    Args:
        picture: what is rendered; focus is chosen automatically, the aperture is wide open.
        sessions: the reference, all stages of the pipeline.
        plan: tile sizes and halos.
        path: where the results go.
        further: stages beside them.
    """
    recorders = {stage: _Recorder(session) for stage, session in sessions.items()}
    pipeline = PortraitPipeline(recorders, plan)
    disparity = pipeline.disparity(picture.pixels)
    lens = Lens(focus=round(auto_focus(disparity), 4), aperture=1.0)
    rendered = pipeline.render(picture.pixels, disparity, lens, np.float32)
    if picture.kind == "synthetic":
        _feed_extremes(recorders, picture.pixels, plan)
    stages = {}
    for stage, recorder in recorders.items():
        if recorder.output is None:  # a picture that is sharp everywhere never calls the network
            _feed_extremes(recorders, picture.pixels, plan)
        assert recorder.output is not None
        stages[stage] = (recorder.inputs, recorder.output)
    depths = {}
    for size in plan.depth_shapes:
        if size != disparity.shape:
            inputs = {"image": depth_input(picture.pixels, size)}
            depths[size] = inputs, sessions[Stage.DEPTH].run(inputs)
    if further is not None:
        stages |= further(picture.pixels, disparity)
    write_golden(path, golden_arrays(picture.pixels, rendered.astype(np.float32), stages, depths))
    return Case(picture.name, picture.note, picture.kind, lens, path)


@dataclass
class _Recorder:
    """A session that remembers its most telling call: the one whose defocus varies most, or the only one."""

    session: Session
    inputs: Mapping[str, Array] = field(default_factory=dict)
    output: Array | None = None
    _spread: float = -1.0

    @property
    def runtime(self) -> str:
        return self.session.runtime

    def run(self, inputs: Mapping[str, Array]) -> Array:
        output = self.session.run(inputs)
        maps = [values for name, values in inputs.items() if name.startswith("defocus")]
        spread = float(maps[0].std()) if maps else 0.0
        if spread > self._spread:
            self.inputs, self.output, self._spread = inputs, output, spread
        return output


def _feed_extremes(recorders: Mapping[Stage, _Recorder], pixels: NDArray[np.uint8], plan: PipelinePlan) -> None:
    """Run every stage on the middle of the picture, with a defocus of −1, 0, +1 and everything between."""
    shape = plan.depth_shape_for(*pixels.shape[:2])
    recorders[Stage.DEPTH].run({"image": depth_input(pixels, shape)})
    for stage, tile in ((Stage.LENS_BLUR, plan.lens_blur.tile), (Stage.GUIDED_UPSAMPLING, plan.guided_upsampling.tile)):
        assert tile is not None
        high = _middle(pixels, 2 * tile)
        low = halve(high, (tile, tile))
        extremes = to_network(_extreme_defocus(tile))
        if stage is Stage.LENS_BLUR:
            recorders[stage].run({"image": to_network(low), "defocus": extremes})
        else:
            inputs = {"image_low": to_network(low), "blurred_low": to_network(low[::-1, ::-1])}
            recorders[stage].run({"image_high": to_network(high), **inputs, "defocus_low": extremes})


def _middle(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The middle `side` × `side` pixels, the edge repeated where the picture is smaller."""
    rows, columns = (np.clip(np.arange(side) + (n - side) // 2, 0, n - 1) for n in pixels.shape[:2])
    return pixels[rows[:, None], columns]


def _extreme_defocus(side: int) -> Array:
    """`[side, side]`: quarters of −1, 0 and +1 with hard edges between them, and a ramp over the whole range."""
    half = side // 2
    defocus = np.full((side, side), -1, np.float32)
    defocus[:half, half:] = 0
    defocus[half:, :half] = 1
    defocus[half:, half:] = np.linspace(-1, 1, side - half, dtype=np.float32)
    return defocus

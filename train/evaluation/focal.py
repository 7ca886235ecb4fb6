"""Depth from focal stacks, measured: stacks by another renderer than any was trained with, and every method on them.

The stacks come from `LayeredBlur`: discs of light, in which the near hides the far. Training and its losses spread
pixels over each other and hide nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...runtime_ref.errors import require
from ...runtime_ref.parity import metrics
from ...runtime_ref.pipeline.optics import LONG_SIDE_PER_RADIUS
from ..data.focal_stacks import DeepPicture, as_jpeg, deep_picture, noised
from ..data.rgbd.middlebury import StereoCalibration
from ..data.rgbd.pair import DepthMap, DepthMeaning, RgbdPair
from ..data.stack_sets import StackFiles
from ..networks.focal_depth import FocalDepthNet
from ..rendering.baselines.focus import FocalMethod, FocalResult
from ..rendering.baselines.layered import LayeredBlur
from ..rendering.focus_sweep import FocusSweep
from ..rendering.layered import SceneLens

Array = NDArray[np.floating[Any]]
Bytes = NDArray[np.uint8]
Progress = Callable[[int, int, str], None]

NOISE, QUALITY = 5.0, 75
"""Of the disturbed stacks: deviation in 255ths, and JPEG's quality."""
CONDITIONS = ("clean", "noise", "jpeg")

FIGURES = {
    "delta1": "δ1 ↑",
    "delta2": "δ2 ↑",
    "delta3": "δ3 ↑",
    "rmse": "RMSE m ↓",
    "abs_rel": "AbsRel ↓",
    "psnr": "PSNR dB ↑",
    "ssim": "SSIM ↑",
    "gain": "over best slice, dB ↑",
}


@dataclass(frozen=True)
class FocalFigures:
    """Of one stack by one method.

    Attributes:
        delta1, delta2, delta3: share of the known pixels whose depth is within a factor 1.25, 1.25², 1.25³.
        rmse: root mean square error in metres.
        abs_rel: mean |z' − z| / z.
        psnr, ssim: of the all-in-focus picture; None where nobody knows what is right.
        gain: by how many dB its PSNR exceeds that of the slice nearest to the truth; None as well.
    """

    delta1: float
    delta2: float
    delta3: float
    rmse: float
    abs_rel: float
    psnr: float | None = None
    ssim: float | None = None
    gain: float | None = None


@dataclass(frozen=True)
class NetworkMethod:
    """A network as a method. Sides of stacks are padded to its multiple by their border."""

    network: FocalDepthNet
    name: str = "ours"

    def __call__(self, stack: Bytes, sweep: FocusSweep) -> FocalResult:
        """See `FocalMethod`."""
        depths = self.network.config.depths
        height, width = stack.shape[1:3]
        below, right = (-side % self.network.multiple for side in (height, width))
        padded = np.pad(stack, [(0, 0), (0, below), (0, right), (0, 0)], mode="edge")
        pixels = torch.from_numpy(padded).movedim(-1, 1)[None].float() / 255
        with torch.inference_mode():
            found = self.network(pixels, sweep.radius(depths)[None])
        depth = sweep.depth_at(found.place[0, 0, :height, :width], depths).numpy()
        picture = found.picture[0, :, :height, :width].movedim(0, -1).numpy()
        return FocalResult(depth, np.rint(picture * 255).astype(np.uint8))


def layered_stack(source: DeepPicture, sweep: FocusSweep) -> Bytes:
    """uint8 [S, H, W, 3]: the picture through the lens, by discs in linear light, the near hiding the far."""
    near = float(source.depth.min())
    photo = np.asarray(source.photo / np.float32(255), np.float32)
    disparity = np.asarray(near / source.depth, np.float32)
    slices = [LayeredBlur().render(photo, disparity, _lens(sweep, focus, near)) for focus in sweep.focus]
    return np.rint(np.stack(slices) * 255).astype(np.uint8)


def _lens(sweep: FocusSweep, focus: float, near: float) -> SceneLens:
    """The layered renderer's words for a thin lens: disparity is near / depth, so a unit of it blurs by as much as
    1 / near in dioptres."""
    radius = abs(float(sweep.camera.radius(torch.tensor(torch.inf), focus))) * focus / near  # a unit of disparity's
    return SceneLens(near / focus, 1.0, radius * LONG_SIDE_PER_RADIUS)


def under(condition: str, stack: Bytes, seed: int) -> Bytes:
    """A stack under one of `CONDITIONS`."""
    if condition == "noise":
        return noised(stack, NOISE, np.random.default_rng(seed))
    return np.stack([as_jpeg(one, QUALITY) for one in stack]) if condition == "jpeg" else stack


def figures_of(found: FocalResult, source: DeepPicture, stack: Bytes) -> FocalFigures:
    """Every figure of a stack's result against what it was made of."""
    depth = depth_figures(found.depth[source.known], source.depth[source.known])
    exact, ours = (one.astype(np.float32) / np.float32(255) for one in (source.photo, found.picture))
    best = max(metrics.psnr(exact, one.astype(np.float32) / np.float32(255)) for one in stack)
    psnr = metrics.psnr(exact, ours)
    return replace(depth, psnr=psnr, ssim=metrics.ssim(exact, ours), gain=psnr - best)


def depth_figures(guess: Array, truth: Array) -> FocalFigures:
    """The figures of depth alone, over pixels in metres."""
    guess, truth = guess.astype(np.float64), truth.astype(np.float64)
    ratio = np.maximum(guess / truth, truth / guess)
    return FocalFigures(
        *(float((ratio < 1.25**power).mean()) for power in (1, 2, 3)),
        rmse=float(np.sqrt(np.square(guess - truth).mean())),
        abs_rel=float((np.abs(guess - truth) / truth).mean()),
    )


@dataclass(frozen=True)
class FocalRow:
    """Means of one method under one condition on one set."""

    dataset: str
    condition: str
    method: str
    pictures: int
    means: FocalFigures

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def evaluate_focal(
    dataset: str,
    pictures: Sequence[DeepPicture],
    sweep: FocusSweep,
    methods: Sequence[FocalMethod],
    conditions: Sequence[str] = CONDITIONS,
    progress: Progress | None = None,
) -> list[FocalRow]:
    """Means over the pictures, one row a condition and method."""

    def judged(source: DeepPicture) -> JudgedStack:
        return JudgedStack(layered_stack(source, sweep), sweep, lambda result, stack: figures_of(result, source, stack))

    return _rows(dataset, [partial(judged, source) for source in pictures], methods, conditions, progress)


def evaluate_recorded(
    dataset: str,
    stacks: Sequence[StackFiles],
    side: int,
    methods: Sequence[FocalMethod],
    conditions: Sequence[str] = CONDITIONS,
    progress: Progress | None = None,
) -> list[FocalRow]:
    """Means over recorded stacks with depth, in its known pixels; their own focus distances count. What they look like
    all in focus is not known.

    Args:
        dataset: name of the set.
        stacks: each with depth.
        side: longer side at most, in pixels.
        methods, conditions, progress: as of `evaluate_focal`.
    """

    def judged(files: StackFiles) -> JudgedStack:
        one = files.read(side)
        metres = one.metres
        assert metres is not None, "stacks that can be judged have depth"
        known = np.isfinite(metres)
        return JudgedStack(one.stack, one.sweep, lambda result, _: depth_figures(result.depth[known], metres[known]))

    return _rows(dataset, [partial(judged, files) for files in stacks], methods, conditions, progress)


@dataclass(frozen=True)
class JudgedStack:
    """A stack, and what a result of it (for the stack as a condition left it) is worth."""

    stack: Bytes
    sweep: FocusSweep
    figures: Callable[[FocalResult, Bytes], FocalFigures]


def _rows(
    dataset: str,
    sources: Sequence[Callable[[], JudgedStack]],
    methods: Sequence[FocalMethod],
    conditions: Sequence[str],
    progress: Progress | None,
) -> list[FocalRow]:
    scores: dict[tuple[str, str], list[FocalFigures]] = {}
    for number, judged in enumerate(sources):
        if progress is not None:
            progress(number, len(sources), f"{dataset} {number + 1}")
        source = judged()
        for condition in conditions:
            stack = under(condition, source.stack, number)
            for method in methods:
                figures = source.figures(method(stack, source.sweep), stack)
                scores.setdefault((condition, method.name), []).append(figures)
    return [FocalRow(dataset, *key, len(found), _mean(found)) for key, found in scores.items()]


def _mean(found: Sequence[FocalFigures]) -> FocalFigures:
    every = [asdict(one) for one in found]
    known = [name for name, value in every[0].items() if value is not None]
    return FocalFigures(**{name: float(np.mean([one[name] for one in every])) for name in known})


MOTORCYCLE = StereoCalibration(focal=994.978, baseline=193.001, offset=31.086, width=741, height=500)
"""Of scikit-image's picture of this scene (Middlebury 2014, reduced to a quarter)."""


def motorcycle(side: int) -> DeepPicture:
    """Middlebury's Motorcycle, which comes with scikit-image, its longer side at most `side` pixels.

    Raises:
        MissingExtraError: scikit-image is not installed.
    """
    left, _, disparity = require("skimage.data", "train", "Middlebury's Motorcycle").stereo_motorcycle()
    depth = DepthMap(MOTORCYCLE.inverse_metres(disparity.astype(np.float32)), DepthMeaning.INVERSE_METRES)
    return deep_picture(RgbdPair("motorcycle", left, depth, None, "scikit-image", ()), side)

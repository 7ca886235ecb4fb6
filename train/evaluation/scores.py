"""How near a rendered picture is to the truth: over the whole, at depth edges, in focus, and level by level.

The metrics themselves live in `runtime_ref.metrics`; here they are applied to 8-bit pictures and averaged over scenes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from ...runtime_ref.parity import metrics
from ...runtime_ref.pipeline.pyramid import as_float, halve
from ..rendering.layered import SceneLens
from ..rendering.lens import Array

Bytes = npt.NDArray[np.uint8]

PSNR_CAP = 60.0
"""dB; a picture that is all in focus would otherwise decide the mean of a set."""
EDGE_SHARE = 160
"""The edge band is long_side / 160 wide on each side: 8 px at 1280."""


@dataclass(frozen=True)
class Scores:
    """One picture against the truth.

    Attributes:
        psnr: dB over the whole, at most 60.
        ssim: structural similarity over the whole, Gaussian window of σ = 1.5.
        psnr_edges: dB within long_side / 160 of a disparity jump; None where a scene has none.
        psnr_in_focus: dB where the true circle of confusion is at most half a pixel; None where nothing is in focus.
        seconds: that rendering took.
        levels: dB of the recurrence's levels, lowest first, the top last; empty for methods without levels.
        disparity_error: root mean square error of the disparity that the method was given.
    """

    psnr: float
    ssim: float
    psnr_edges: float | None
    psnr_in_focus: float | None
    seconds: float
    levels: tuple[float, ...] = ()
    disparity_error: float = 0.0

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Scores:
        """The inverse of `dataclasses.asdict` through JSON.

        Raises:
            TypeError, KeyError: the values are not of this class.
        """
        return cls(**{**values, "levels": tuple(values["levels"])})


@dataclass(frozen=True)
class Regions:
    """Where a scene is looked at closely, by its true disparity whatever a method was given.

    Attributes:
        edges: [H, W], near a jump in disparity.
        in_focus: [H, W], circle of confusion of at most half a pixel.
    """

    edges: metrics.Mask
    in_focus: metrics.Mask

    @classmethod
    def of(cls, disparity: Array, lens: SceneLens) -> Regions:
        """From the true disparity [H, W]."""
        width = max(1, round(lens.long_side / EDGE_SHARE))
        return cls(metrics.depth_edge_band(disparity, width), metrics.in_focus(lens.radius(disparity)))


def capped_psnr(truth: metrics.Array, output: metrics.Array, where: metrics.Mask | None = None) -> float | None:
    """PSNR in dB, at most 60; None over an empty region."""
    if where is not None and not where.any():
        return None
    return min(PSNR_CAP, metrics.psnr(truth, output, where))


def score(
    truth: Bytes, output: Bytes, regions: Regions, seconds: float, levels: Sequence[metrics.Array] = ()
) -> Scores:
    """Score an 8-bit picture.

    Args:
        truth, output: [H, W, 3].
        regions: of the scene.
        seconds: that rendering took.
        levels: the recurrence's pictures below the top, lowest first, [h, w, 3] in [0, 1]; each is held against the
            truth averaged down.
    """
    exact, ours = as_float(truth), as_float(output)
    whole = min(PSNR_CAP, metrics.psnr(exact, ours))
    lower = level_psnrs(truth, levels)
    return Scores(
        psnr=whole,
        ssim=metrics.ssim(exact, ours),
        psnr_edges=capped_psnr(exact, ours, regions.edges),
        psnr_in_focus=capped_psnr(exact, ours, regions.in_focus),
        seconds=seconds,
        levels=(*lower, whole) if lower else (),
    )


def level_psnrs(truth: Bytes, levels: Sequence[metrics.Array]) -> tuple[float, ...]:
    """dB of each level below the top, lowest first, against the truth averaged over 2×2 blocks to its size."""
    found: list[float] = []
    smaller: Any = truth
    for level in reversed(levels):
        smaller = halve(smaller, (level.shape[0], level.shape[1]))
        found.insert(0, min(PSNR_CAP, metrics.psnr(smaller, level)))
    return tuple(found)


def mean_scores(scores: Sequence[Scores]) -> dict[str, Any]:
    """The mean of every field over the scenes where it is defined; None where it never is.

    Levels are averaged over the scenes that have the most of them.
    """
    rows = [asdict(one) for one in scores]
    means: dict[str, Any] = {}
    for name in (field.name for field in fields(Scores) if field.name != "levels"):
        known = [row[name] for row in rows if row[name] is not None]
        means[name] = float(np.mean(known)) if known else None
    depth = max((len(one.levels) for one in scores), default=0)
    levels = [one.levels for one in scores if len(one.levels) == depth]
    means["levels"] = [float(value) for value in np.mean(levels, axis=0)] if depth else []
    return means


def fit_scale_and_shift(predicted: Array, true: Array) -> tuple[float, float]:
    """(s, t) of the least Σ (s · predicted + t − true)²: a network's disparity is defined up to these two.

    A fit that would turn near and far around is refused: s is then 0, and the disparity flat.

    Args:
        predicted, true: [H, W].
    """
    x, y = predicted.astype(np.float64).ravel(), true.astype(np.float64).ravel()
    centred = x - x.mean()
    spread = float(centred @ centred)
    scale = max(0.0, float(centred @ (y - y.mean())) / spread) if spread > 1e-12 * x.size else 0.0
    return scale, float(y.mean() - scale * x.mean())

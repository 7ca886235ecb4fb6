"""How good a predicted disparity is, one function a figure, on one picture. The loop over pictures is elsewhere.

All maps are [H, W] of one size. A prediction is compared after `normalised`: in [0, 1], 1 is nearest. What is unknown
in the truth is NaN and takes no part.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import nnls

from ..rendering.lens import Array
from ..systems import depth_metrics
from ..systems.depth_metrics import Mask, ground_contact, normalised
from .subjects import subject_nearer

VERSION = 2
"""Of the figures, the drawn scenes and how photos are prepared. Raise it when one of them changes: kept scores are
computed anew."""
KNOTS = 5
"""Of the monotone curve that is fitted before the second error."""
LEAST_SHARE = 0.01
"""Aligned disparity is at least this share of the truth's nearest, as in `depth_metrics.depth_errors`."""
TOLERANCE = 0.01
"""How far apart two boundaries may lie, as a share of the picture's diagonal."""


@dataclass(frozen=True)
class Figure:
    """What a score is, for tables.

    Attributes:
        title: short.
        meaning: in a sentence.
        higher: whether more is better.
    """

    title: str
    meaning: str
    higher: bool = False


FIGURES = {
    "mae": Figure("MAE", "mean absolute error of normalised disparity"),
    "mae_fitted": Figure("MAE fitted", "the same after a monotone curve of 5 knots was fitted to the truth"),
    "abs_rel": Figure("AbsRel", "mean |z' − z| / z of depth, disparity aligned by scale and shift"),
    "delta1": Figure("δ1", "share of pixels whose depth is within a factor 1.25, aligned", higher=True),
    "delta2": Figure("δ2", "within 1.25²", higher=True),
    "delta3": Figure("δ3", "within 1.25³", higher=True),
    "rmse": Figure("RMSE m", "root mean square error of depth in metres, aligned, no farther than the farthest truth"),
    "ordinal": Figure("ordinal", "share of random pairs of points in the right order, 0.5 is chance", higher=True),
    "subject_nearer": Figure("nearer", "share of photos whose subject's median is nearer than the rest's", higher=True),
    "subject_order": Figure("order", "probability that a pixel of the subject is nearer than one beside", higher=True),
    "in_focus": Figure("in focus", "what a tap on the subject keeps sharp against its mask, IoU", higher=True),
    "boundary": Figure("boundary", "F of its boundary against the mask's at 1 % of the diagonal", higher=True),
    "contact": Figure("contact", "|disparity of the feet − of the ground just below|"),
    "flip": Figure("flip", "mean change of normalised disparity when the photo is mirrored"),
    "crop": Figure("crop", "mean change when the photo is cropped, after scale and shift"),
}
"""The figures in the order of the table."""


@dataclass(frozen=True)
class DepthFigures:
    """The scores of one picture, None where it has no truth for them; see `FIGURES`."""

    mae: float | None = None
    mae_fitted: float | None = None
    abs_rel: float | None = None
    delta1: float | None = None
    delta2: float | None = None
    delta3: float | None = None
    rmse: float | None = None
    ordinal: float | None = None
    subject_nearer: float | None = None
    subject_order: float | None = None
    in_focus: float | None = None
    boundary: float | None = None
    contact: float | None = None
    flip: float | None = None
    crop: float | None = None

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> DepthFigures:
        """Raises TypeError or ValueError where `data` is something else."""
        return cls(**{name: None if value is None else float(value) for name, value in data.items()})

    def known(self) -> dict[str, float]:
        """The figures that there are."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def means(scores: list[DepthFigures]) -> dict[str, float | None]:
    """Mean of each figure over the pictures that have it; None where none has."""
    found: dict[str, float | None] = {}
    for one in fields(DepthFigures):
        values = [value for score in scores if (value := getattr(score, one.name)) is not None]
        found[one.name] = float(np.mean(values)) if values else None
    return found


def mean_absolute_error(predicted: Array, truth: Array) -> float:
    """Mean |predicted − truth| where the truth is known."""
    return float(np.nanmean(np.abs(predicted.astype(np.float64) - truth)))


def monotone_fit(predicted: Array, truth: Array, knots: int = KNOTS) -> Array:
    """`predicted` through the non-decreasing linear spline that fits `truth` best by least squares.

    The knots lie evenly from 0 to 1. The curve is a start plus a rise b ≥ 0 in each interval, which makes it a
    non-negative least squares problem (Lawson and Hanson 1974), reduced to its triangular factor first. Who only
    confuses the scale of distances is forgiven, who confuses their order is not.

    Args:
        predicted: [H, W] in [0, 1].
        truth: [H, W], NaN where unknown.
    """
    inside = np.isfinite(truth)
    design = _rises(predicted[inside].astype(np.float64), knots)
    goal = truth[inside].astype(np.float64)
    start = np.ones((len(goal), 1))  # of either sign, the rises are not
    orthogonal, triangle = np.linalg.qr(np.hstack([start, -start, design]))
    weights, _ = nnls(triangle, orthogonal.T @ goal)
    curve = weights[0] - weights[1] + _rises(predicted.ravel().astype(np.float64), knots) @ weights[2:]
    return curve.reshape(predicted.shape).astype(np.float32)


def _rises(values: NDArray[np.float64], knots: int) -> NDArray[np.float64]:
    """[N, knots − 1]: how much of each interval lies below a value, 0 to 1."""
    return np.clip(values[:, None] * (knots - 1) - np.arange(knots - 1), 0, 1)


def aligned_depth(predicted: Array, truth: Array, metres: Array | None) -> dict[str, float]:
    """AbsRel, δ1 to δ3 and, where depth is known in metres, RMSE of depth; see `FIGURES`.

    The prediction's scale and shift are fitted to the true disparity by least squares. AbsRel and δ1 are those of
    `depth_metrics.depth_errors`, the others follow the same rules.

    Args:
        predicted: [H, W].
        truth: [H, W], proportional to 1 / depth, NaN where unknown.
        metres: [H, W] depth, or None.
    """
    known = torch.from_numpy(np.isfinite(truth)).double()
    true = torch.from_numpy(np.nan_to_num(truth / np.nanmax(truth))).double()
    guess = torch.from_numpy(predicted.astype(np.float64))
    abs_rel, delta1 = depth_metrics.depth_errors(guess, true, known)
    inside = known > 0.5
    fitted = depth_metrics.aligned(guess, true, known)[inside].clamp(min=LEAST_SHARE)
    ratio = true[inside] / fitted
    worst = torch.maximum(ratio, 1 / ratio.clamp(min=1e-9))
    found = {"abs_rel": abs_rel, "delta1": delta1}
    found |= {f"delta{power}": float((worst < 1.25**power).double().mean()) for power in (2, 3)}
    if metres is not None:
        z = torch.from_numpy(metres.astype(np.float64))[inside]
        finite = torch.isfinite(z)
        found["rmse"] = float(((ratio * z).clamp(max=z[finite].max()) - z)[finite].square().mean().sqrt())
    return found


def subject_figures(predicted: Array, subject: Mask) -> dict[str, float]:
    """What a mask tells: `subject_nearer`, `subject_order`, `in_focus`, `boundary`, and `contact` if feet are seen.

    Args:
        predicted: [H, W] in [0, 1].
        subject: [H, W], neither empty nor full.
    """
    guess, mask = torch.from_numpy(predicted), torch.from_numpy(subject).float()
    found = {
        "subject_nearer": float(subject_nearer(subject, predicted)),
        "subject_order": depth_metrics.ordinal_accuracy(guess, mask),
        "in_focus": depth_metrics.in_focus_overlap(guess, mask),
        "boundary": boundary_f(in_focus(predicted, subject), subject),
    }
    contact = ground_contact(predicted, subject)
    return found if contact is None else {**found, "contact": contact}


def in_focus(predicted: Array, subject: Mask) -> Mask:
    """[H, W]: what a tap on the subject keeps sharp, as in `depth_metrics.in_focus_overlap`."""
    return np.abs(predicted - np.median(predicted[subject])) < depth_metrics.FOCUS_DEPTH


def boundary_f(region: Mask, subject: Mask, tolerance: float = TOLERANCE) -> float:
    """F = 2PR / (P + R) of two regions' boundaries (Perazzi et al. 2016, DAVIS).

    P is the share of `region`'s boundary that lies within `tolerance` · diagonal of the subject's, R the share of the
    subject's boundary within the same of `region`'s. 0 where one of them has no boundary, 1 where neither has.
    """
    ours, true = boundary(region), boundary(subject)
    if not ours.any() or not true.any():
        return float(ours.any() == true.any())
    reach = tolerance * float(np.hypot(*subject.shape))
    precision = float((_distance_to(true)[ours] <= reach).mean())
    recall = float((_distance_to(ours)[true] <= reach).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _distance_to(points: Mask) -> NDArray[np.float64]:
    """Of every pixel, in pixels."""
    return np.asarray(ndimage.distance_transform_edt(np.logical_not(points)))


def boundary(region: Mask) -> Mask:
    """The pixels of a region with one outside it above, below, left or right; the picture's border is no boundary."""
    return region & np.logical_not(ndimage.binary_erosion(region, border_value=1))


def flip_change(predicted: Array, mirrored: Array) -> float:
    """Mean |d − d'| of normalised maps, d' of the mirrored photo, mirrored back.

    Args:
        predicted, mirrored: [H, W], of the photo and of its mirror image.
    """
    return float(np.abs(predicted.astype(np.float64) - mirrored[:, ::-1]).mean())


def crop_change(inside: Array, of_crop: Array) -> float:
    """Mean |d − (s · d' + t)|: d the part of the photo's map, normalised; d' of the cropped photo, s and t by least
    squares. A crop has less context and another nearest point; what remains is what changes in the portrait.

    Args:
        inside, of_crop: [h, w].
    """
    goal = torch.from_numpy(normalised(inside)).double()
    fitted = depth_metrics.aligned(torch.from_numpy(of_crop).double(), goal, torch.ones_like(goal))
    return float((fitted - goal).abs().mean())

"""How good a predicted disparity is, while training on held-out pictures and in `evaluation.depth_scores`.

One function a figure, each on single maps [H, W]: tensors, or arrays in which NaN is what is not known.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ..rendering.lens import Array

Mask = NDArray[np.bool_]

FOCUS_DEPTH = 0.15  # disparity that a portrait keeps sharp on either side of the focal plane, in these figures
PAIRS, PAIR_SEED = 20_000, 20181207
"""Random pairs of points a picture, drawn the same in each of one size."""
ORDER_MARGIN = 0.05
"""Pairs whose normalised true disparities differ by less have no order: sensors and 8 bits do not tell it."""
CONTACT = 0.03
"""Rows of feet, and of ground under them, as a share of the subject's height."""
BORDER = 0.02
"""A subject that comes nearer than this share of the height to the lower border stands on ground that is not seen."""


def aligned(predicted: torch.Tensor, disparity: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """`predicted` scaled and shifted by least squares to fit `disparity` where `known` (Ranftl et al. 2020, Eq. 2)."""
    inside = known > 0.5
    design = torch.stack([predicted[inside], torch.ones_like(predicted[inside])], dim=1)
    scale, shift = torch.linalg.lstsq(design, disparity[inside].unsqueeze(1)).solution.flatten()
    return scale * predicted + shift


def depth_errors(predicted: torch.Tensor, disparity: torch.Tensor, known: torch.Tensor) -> tuple[float, float]:
    """(AbsRel, delta1) of depth = 1 / disparity after alignment.

    AbsRel = mean |z' - z| / z; delta1 = share of pixels with max(z' / z, z / z') < 1.25. Both are the same in any unit
    of depth, so they ask of `disparity` only that it is proportional to 1 / depth. Aligned disparities are clipped to
    1/100 of the nearest: 0 or less would be beyond infinity.
    """
    inside = known > 0.5
    estimate = aligned(predicted, disparity, known)[inside].clamp(min=0.01)
    ratio = disparity[inside] / estimate  # z' / z
    relative = (ratio - 1).abs().mean()
    delta1 = (torch.maximum(ratio, 1 / ratio) < 1.25).float().mean()
    return float(relative), float(delta1)


def ordinal_accuracy(predicted: torch.Tensor, subject: torch.Tensor) -> float:
    """Probability that a random subject pixel is predicted nearer than a random background pixel: the area under the
    ROC curve, by the rank sum (Mann and Whitney 1947). 0.5 is chance; NaN without one of the two."""
    inside = subject.flatten() > 0.5
    front, back = int(inside.sum()), int((~inside).sum())
    if not front or not back:
        return float("nan")
    _, group, counts = predicted.flatten().unique(return_inverse=True, return_counts=True)
    rank = (counts.cumsum(0) - (counts - 1) / 2)[group]  # ties share their mean rank
    return float((rank[inside].double().sum() - front * (front + 1) / 2) / (front * back))


def in_focus_overlap(predicted: torch.Tensor, subject: torch.Tensor) -> float:
    """Ours: what a tap on the subject keeps sharp, against the subject's mask, as intersection over union.

    Sharp is |d - d_f| < `FOCUS_DEPTH`, d_f the subject's median disparity. NaN without a subject.
    """
    inside = subject > 0.5
    if not inside.any():
        return float("nan")
    return overlap((predicted - predicted[inside].median()).abs() < FOCUS_DEPTH, inside)


def overlap(first: torch.Tensor, second: torch.Tensor) -> float:
    """Intersection over union of two boolean maps; 1 where both are empty."""
    union = int((first | second).sum())
    return int((first & second).sum()) / union if union else 1.0


def normalised(disparity: Array) -> Array:
    """The map stretched to [0, 1] by its least and greatest known value; 0.5 where it is constant. NaN stays."""
    least, greatest = float(np.nanmin(disparity)), float(np.nanmax(disparity))
    if greatest <= least:
        return np.where(np.isfinite(disparity), np.float32(0.5), np.float32(np.nan))
    return ((disparity - np.float32(least)) / np.float32(greatest - least)).astype(np.float32)


def ordinal_agreement(predicted: Array, truth: Array) -> float | None:
    """Share of random pairs of known points that are predicted in their true order; equal predictions count half.

    Pairs whose normalised true disparities differ by less than `ORDER_MARGIN` are left out. None where none is left.
    """
    known = np.flatnonzero(np.isfinite(truth))
    if len(known) < 2:
        return None
    first, second = known[np.random.default_rng(PAIR_SEED).integers(len(known), size=(2, PAIRS))]
    true = (flat := normalised(truth).ravel())[first] - flat[second]
    told = (guess := predicted.ravel())[first] - guess[second]
    clear = np.abs(true) >= ORDER_MARGIN
    if not clear.any():
        return None
    return float((np.sign(told[clear]) * np.sign(true[clear]) + 1).mean() / 2)


def ground_contact(predicted: Array, subject: Mask) -> float | None:
    """|median disparity of the feet − that of the ground just below them|, 0 where the subject stands on the ground.

    Feet are the lowest `CONTACT` of the subject's height, in the columns where it comes so low; the ground is as many
    rows right below the subject's lowest pixel of each of these columns.

    Returns:
        The difference; None without a subject, or where it comes so near to the lower border that it may be cut off.
    """
    rows = np.flatnonzero(subject.any(axis=1))
    height = len(subject)
    if not len(rows) or rows[-1] >= height - 1 - round(BORDER * height):
        return None
    reach = max(2, round(CONTACT * (rows[-1] - rows[0] + 1)))
    lowest = height - 1 - subject[::-1].argmax(axis=0)
    columns = np.flatnonzero(subject.any(axis=0) & (lowest > rows[-1] - reach))
    steps = np.arange(reach)
    above = lowest[columns] - steps[:, None]
    below = np.minimum(lowest[columns] + 1 + steps[:, None], height - 1)
    feet = predicted[above, columns][subject[above, columns]]
    return abs(float(np.median(feet)) - float(np.median(predicted[below, columns])))

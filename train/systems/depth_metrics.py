"""How good a predicted disparity is on held-out pictures. One function a figure, each on single maps [H, W]."""

from __future__ import annotations

import torch

FOCUS_DEPTH = 0.15  # disparity that a portrait keeps sharp on either side of the focal plane, in these figures


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


def pair_order(predicted: torch.Tensor, disparity: torch.Tensor, known: torch.Tensor, count: int = 20000) -> float:
    """Share of random pairs of known pixels that `predicted` puts in the order of `disparity`.

    Pairs whose disparities differ by less than 3 % of the greater are of one depth and left out; a tie is wrong by
    half. NaN where no pair is left. The pairs are the same in every call.
    """
    inside = known > 0.5
    ours, truth = predicted[inside], disparity[inside]
    if len(truth) < 2:
        return float("nan")
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randint(len(truth), (2, count), generator=generator)
    apart = (truth[first] - truth[second]).abs() > 0.03 * torch.maximum(truth[first], truth[second])
    agreement = torch.sign(ours[first] - ours[second]) * torch.sign(truth[first] - truth[second])
    return float((0.5 + agreement[apart] / 2).mean()) if apart.any() else float("nan")


def contact_error(predicted: torch.Tensor, subject: torch.Tensor) -> float:
    """|median disparity of the feet − median disparity of the ground just below them|.

    Feet are the lowest 5 % of the subject's rows; the ground just below lies within as many rows, under the feet's
    columns. NaN where the frame cuts the subject off.
    """
    inside = subject > 0.5
    rows = inside.any(dim=1).nonzero()
    if not len(rows):
        return float("nan")
    top, bottom = int(rows[0]), int(rows[-1])
    reach = max(2, round(0.05 * (bottom - top + 1)))
    feet = inside[bottom - reach + 1 : bottom + 1]
    columns = feet.any(dim=0)
    below = predicted[bottom + 2 : bottom + 2 + reach, columns]
    if bottom + 2 + reach > len(predicted):
        return float("nan")
    return float((predicted[bottom - reach + 1 : bottom + 1][feet].median() - below.median()).abs())

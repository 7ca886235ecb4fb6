"""What the depth network is asked for. Every loss takes [N, 1, H, W] maps and gives the batch's mean, 0 at best.

`known`, `subject` and `has_subject` are as in `DepthSample`; samples without what a loss needs count nothing in it.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

_EPS = 1e-6
MAPS = (1, 2, 3)  # all but the batch


def scale_shift_invariant(predicted: torch.Tensor, disparity: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """L1 between disparities that are each brought to mean 0 and mean absolute deviation 1.

    Invariant to scale > 0 and shift of either side, as Ranftl et al. 2020 ("MiDaS", Eq. 5-7) with means in place of
    medians: their gradient reaches every pixel.
    """
    residual = _standardised(predicted, known) - _standardised(disparity, known)
    return _mean_of_samples((residual.abs() * known).sum(MAPS), known.sum(MAPS))


def gradient_matching(
    predicted: torch.Tensor, disparity: torch.Tensor, known: torch.Tensor, scales: int = 4
) -> torch.Tensor:
    """L1 of the gradients of the standardised residual at 1, 1/2, 1/4 … of the size: edges where the truth has them
    and nowhere else (Li and Snavely 2018; Ranftl et al. 2020, Eq. 11)."""
    residual = _standardised(predicted, known) - _standardised(disparity, known)
    total = predicted.new_zeros(())
    for scale in range(scales):
        r, k = residual[..., :: 2**scale, :: 2**scale], known[..., :: 2**scale, :: 2**scale]
        across, down = k[..., 1:] * k[..., :-1], k[..., 1:, :] * k[..., :-1, :]
        change = ((r[..., 1:] - r[..., :-1]).abs() * across).sum(MAPS)
        change = change + ((r[..., 1:, :] - r[..., :-1, :]).abs() * down).sum(MAPS)
        total = total + _mean_of_samples(change, k.sum(MAPS))
    return total / scales


def foreground(logits: torch.Tensor, subject: torch.Tensor, has_subject: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy plus Dice of the foreground head (the paper's auxiliary task)."""
    entropy = F.binary_cross_entropy_with_logits(logits, subject, reduction="none").mean(MAPS)
    mask = torch.sigmoid(logits)
    overlap, areas = (mask * subject).sum(MAPS), (mask + subject).sum(MAPS)
    dice = 1 - (2 * overlap + 1) / (areas + 1)
    return _mean_of_samples((entropy + dice) * has_subject, has_subject)


def subject_before_background(
    disparity: torch.Tensor, subject: torch.Tensor, has_subject: torch.Tensor, margin: float = 0.45
) -> torch.Tensor:
    """Ours, for photos with a mask but no depth: the subject is nearer than the background by `margin`, and flat.

    Three L1 hinges on `disparity` in [0,1]: background pixels that come nearer to the subject's mean than `margin`,
    subject pixels that come nearer to the background's mean than `margin`, and the subject's own spread. The ground is
    spared: pixels level with or below the subject's feet may be as near as the feet. This is what makes a portrait's
    disparity usable where no depth camera was.
    """
    background = (1 - subject) * above_the_feet(subject)
    front = _mean_within(disparity, subject)
    back = _mean_within(disparity, background)
    behind = _mean_within(F.relu(disparity - front + margin), background)
    before = _mean_within(F.relu(back - disparity + margin), subject)
    flat = _mean_within((disparity - front).abs(), subject)
    # a crop that is all subject or all background says nothing about order
    both = has_subject * ((subject.mean(MAPS) > 0.01) & (background.mean(MAPS) > 0.01))
    return _mean_of_samples((behind + before + flat).flatten() * both, both)


def above_the_feet(subject: torch.Tensor, share: float = 0.1) -> torch.Tensor:
    """1 above the lowest `share` of the subject's height, 0 in the rows at and below its feet; 1 everywhere where the
    frame cuts the subject off. [N, 1, H, W] -> [N, 1, H, 1]."""
    rows = (subject.amax(dim=3, keepdim=True) > 0.5).float()
    height = rows.sum(dim=2, keepdim=True)
    remaining = rows.flip(2).cumsum(2).flip(2)  # subject rows at or below this one
    cut_off = rows[:, :, -1:, :]
    return torch.maximum((remaining > share * height).float(), cut_off)


def _standardised(x: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    centred = x - _mean_within(x, known)
    return centred / (_mean_within(centred.abs(), known) + 1e-3)


def _mean_within(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Weighted mean of each map: [N, 1, H, W] -> [N, 1, 1, 1]."""
    return (x * weight).sum(MAPS, keepdim=True) / (weight.sum(MAPS, keepdim=True) + _EPS)


def _mean_of_samples(sums: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean over the samples of sums / weights, those of weight 0 left out."""
    return (sums / weights.clamp(min=1.0) * (weights > 0)).sum() / (weights > 0).sum().clamp(min=1)

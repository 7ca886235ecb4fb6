"""What the depth network is asked for. Every loss takes [N, 1, H, W] maps and gives the batch's mean, 0 at best.

`known`, `subject` and `has_subject` are as in `DepthSample`; samples without what a loss needs count nothing in it.
Losses of known disparity are here, those of photos of which only the subject's mask is known in `subject_losses`.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

_EPS = 1e-6
MAPS = (1, 2, 3)  # all but the batch
TAILS = 0.02  # share of the pixels at either end that the range of a disparity leaves out
LEAST_SPAN = 0.15  # a scene whose disparities differ by less than this share of the nearest one's fills less than [0,1]


def spanned(disparity: torch.Tensor, known: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What the network shall predict: disparity, affinely brought to [0,1] but for its outermost `TAILS`.

    A scene that is nearly flat stays so, around 0.5.

    Returns:
        the target [N, 1, H, W], within [-0.25, 1.5]; and [N, 1, 1, 1], 1 where the scene is deep enough to fill [0,1].
    """
    targets, deep = torch.full_like(disparity, 0.5), torch.zeros_like(disparity[:, :1, :1, :1])
    for i in range(len(disparity)):
        values = disparity[i][known[i] > 0]
        if not values.numel():
            continue
        ordered = values[:: max(1, values.numel() // 4096)].sort().values
        low, high = (ordered[round(share * (len(ordered) - 1))] for share in (TAILS, 1 - TAILS))
        span = torch.maximum(high - low, LEAST_SPAN * high).clamp(min=_EPS)
        targets[i] = (0.5 + (disparity[i] - (low + high) / 2) / span).clamp(-0.25, 1.5)
        deep[i] = float(high - low >= LEAST_SPAN * high)
    return targets, deep


def difference(predicted: torch.Tensor, target: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """L1 as it is, no alignment: an app gets what the network says."""
    return _mean_of_samples(((predicted - target).abs() * known).sum(MAPS), known.sum(MAPS))


def scale_shift_invariant(predicted: torch.Tensor, disparity: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """L1 between disparities that are each brought to mean 0 and mean absolute deviation 1.

    Invariant to scale > 0 and shift of either side, as Ranftl et al. 2020 ("MiDaS", Eq. 5-7) with means in place of
    medians: their gradient reaches every pixel.
    """
    residual = _standardised(predicted, known) - _standardised(disparity, known)
    return _mean_of_samples((residual.abs() * known).sum(MAPS), known.sum(MAPS))


def gradient_matching(
    predicted: torch.Tensor, target: torch.Tensor, known: torch.Tensor, scales: int = 4
) -> torch.Tensor:
    """L1 of the gradients of the residual at 1, 1/2, 1/4 … of the size: edges where the truth has them and nowhere
    else (Li and Snavely 2018; Ranftl et al. 2020, Eq. 11)."""
    residual = predicted - target
    total = predicted.new_zeros(())
    for scale in range(scales):
        r, k = residual[..., :: 2**scale, :: 2**scale], known[..., :: 2**scale, :: 2**scale]
        across, down = k[..., 1:] * k[..., :-1], k[..., 1:, :] * k[..., :-1, :]
        change = ((r[..., 1:] - r[..., :-1]).abs() * across).sum(MAPS)
        change = change + ((r[..., 1:, :] - r[..., :-1, :]).abs() * down).sum(MAPS)
        total = total + _mean_of_samples(change, k.sum(MAPS))
    return total / scales


def _standardised(x: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    centred = x - mean_within(x, known)
    return centred / (mean_within(centred.abs(), known) + 1e-3)


def mean_within(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Weighted mean of each map: [N, 1, H, W] -> [N, 1, 1, 1]."""
    return (x * weight).sum(MAPS, keepdim=True) / (weight.sum(MAPS, keepdim=True) + _EPS)


def _mean_of_samples(sums: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean over the samples of sums / weights, those of weight 0 left out."""
    return (sums / weights.clamp(min=1.0) * (weights > 0)).sum() / (weights > 0).sum().clamp(min=1)


def mean_of_flagged(values: torch.Tensor, flags: torch.Tensor) -> torch.Tensor:
    """Mean of [N] values over the samples whose flag [N] is 1; 0 where none is."""
    return (values * flags).sum() / flags.sum().clamp(min=1)


def foreground(logits: torch.Tensor, subject: torch.Tensor, has_subject: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy plus Dice of the foreground head (the paper's auxiliary task)."""
    entropy = F.binary_cross_entropy_with_logits(logits, subject, reduction="none").mean(MAPS)
    mask = torch.sigmoid(logits)
    overlap, areas = (mask * subject).sum(MAPS), (mask + subject).sum(MAPS)
    dice = 1 - (2 * overlap + 1) / (areas + 1)
    return mean_of_flagged(entropy + dice, has_subject)

"""What the optics say of a focal stack before anything is learned: how well each hypothetical depth explains it.

For a depth the radius of every slice's circle of confusion is known. The slice that would be sharpest, blurred from its
own radius to another slice's, must look as that one does; where the depth is wrong it does not. Nothing here depends on
the order of the slices or their number.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from ..rendering.defocus import gaussian_blur, shares_of_bank

DEVIATIONS = (0.1, 0.5, 1.0, 1.6, 2.4, 3.6, 5.4)
"""Of the blurs between slices, in pixels; wider ones leave too little of a slice to tell depths apart."""
SHARP = 0.5
"""Pixels of radius: how decidedly the sharpest slice is taken rather than a mean of the sharper ones."""
NOISE = 2e-5
"""Squared difference that says nothing: about that of a slice's own rounding, compression and noise."""
LUMINANCE = (0.299, 0.587, 0.114)


def sharpest(radius: torch.Tensor, softness: float = SHARP) -> torch.Tensor:
    """How much of each slice an all-in-focus picture takes, a soft argmin of |radius| over the slices.

    Args:
        radius: [N, S, …], in pixels.
        softness: in pixels.

    Returns:
        [N, S, …], summing to 1 over S.
    """
    return torch.softmax(-radius.abs() / softness, 1)


def luminance(stack: torch.Tensor) -> torch.Tensor:
    """[N, S, 3, H, W] → [N, S, H, W], sRGB-encoded (BT.601)."""
    weights = torch.tensor(LUMINANCE, dtype=stack.dtype, device=stack.device)
    return (stack * weights[:, None, None]).sum(2)


def matching_costs(stack: torch.Tensor, radius: torch.Tensor) -> torch.Tensor:
    """How badly each depth explains a stack, pixel by pixel.

    Args:
        stack: [N, S, H, W], the slices' luminance in [0, 1].
        radius: [N, S, K], signed radii in pixels of each slice at each of K depths.

    Returns:
        [N, K, H, W]: mean over the slices of the squared difference.
    """
    count, slices, height, width = stack.shape
    depths = radius.shape[2]
    own = sharpest(radius)
    variance = radius**2 / 4
    missing = (variance - (own * variance).sum(1, keepdim=True)).clamp(min=0)  # [N, S, K]
    bank = stack.new_tensor(DEVIATIONS) ** 2
    share = shares_of_bank(missing.reshape(count, 1, -1), bank).reshape(count, -1, slices, depths)
    blurred = torch.stack([gaussian_blur(stack, deviation) for deviation in DEVIATIONS], 2)  # [N, S, L, H, W]
    # to slice t at depth k: Σ over slices s and levels l of own[s, k] · share[l, t, k] · blurred[s, l]
    mixing = torch.einsum("nsk,nltk->nktsl", own, share).reshape(count, depths * slices, -1)
    explained = torch.matmul(mixing, blurred.reshape(count, -1, height * width))
    difference = explained.reshape(count, depths, slices, height, width) - stack[:, None]
    return difference.square().mean(2)


def focus_measures(stack: torch.Tensor, radius: torch.Tensor) -> torch.Tensor:
    """How much fine detail the slice has that is sharpest at each depth: [N, K, H, W], squared Laplacian.

    Args:
        stack, radius: as of `matching_costs`.
    """
    padded = F.pad(stack, [1, 1, 1, 1], mode="replicate")
    around = padded[..., 1:-1, :-2] + padded[..., 1:-1, 2:] + padded[..., :-2, 1:-1] + padded[..., 2:, 1:-1]
    energy = (around - 4 * stack).square()
    count, slices, height, width = stack.shape
    mixed = torch.matmul(sharpest(radius).transpose(1, 2), energy.reshape(count, slices, -1))
    return mixed.reshape(count, -1, height, width)

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
SEEN = 3.0
"""Of the detail's logarithm, as many units for one of |radius| / SHARP; of 1, 2 and 4 in windows of 5, 9 and 15 pixels
4 in 5 made the best pictures of clean slices and 2 of noisy ones."""
FADES = 0.6
"""Pixels of radius from which on blur takes fine detail away; of 0.5 to 1.5 the best on a few rooms."""
LUMINANCE = (0.299, 0.587, 0.114)


def sharpest(radius: torch.Tensor) -> torch.Tensor:
    """How much of each slice a sharp picture takes, a soft argmin of |radius| over the slices.

    Args:
        radius: [N, S, …], in pixels.

    Returns:
        [N, S, …], summing to 1 over S.
    """
    return torch.softmax(-radius.abs() / SHARP, 1)


def sharpest_seen(stack: torch.Tensor, radius: torch.Tensor) -> torch.Tensor:
    """The same where the slices are at hand: of those that should be sharp the ones that are, as the detail around a
    pixel says. At the border of things the depth alone is not to be trusted.

    Args:
        stack: [N, S, 3, H, W] in [0, 1], sRGB-encoded.
        radius: [N, S, H, W], in pixels.
    """
    with torch.no_grad():
        seen = SEEN * log_detail(luminance(stack), 5)
    return torch.softmax(seen - radius.abs() / SHARP, 1)


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


def focus_agreement(stack: torch.Tensor, radius: torch.Tensor, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """How well the slices' detail rises and falls as each depth says it should.

    Detail is the logarithm of the squared Laplacian's mean over a window; blur by c takes it down by 2·ln(1 + (c/b)²),
    as 1/f pictures do. What is compared is the profile over the slices, each less its mean, as a correlation: how much
    detail there is at all, and how deep blur takes it before noise is left, does not matter.

    Args:
        stack, radius: as of `matching_costs`; a reduced stack may come with the radii of the whole one.
        side: of the windows, in pixels of the stack.

    Returns:
        the correlation [N, K, H, W] in (−1, 1), small where detail hardly changes; and how much it does [N, 1, H, W].
    """
    detail = log_detail(stack, side)
    detail = detail - detail.mean(1, keepdim=True)
    told = -2 * torch.log(1 + (radius / FADES) ** 2)
    told = told - told.mean(1, keepdim=True)
    told = told / told.square().sum(1, keepdim=True).sqrt().clamp(min=1e-3)
    size = detail.square().sum(1, keepdim=True).sqrt()
    count, slices, height, width = stack.shape
    agreement = torch.matmul(told.transpose(1, 2), detail.reshape(count, slices, -1)).reshape(count, -1, height, width)
    return agreement / (size + 0.5), size


def log_detail(stack: torch.Tensor, side: int) -> torch.Tensor:
    """ln of the squared Laplacian's mean over windows of `side` pixels: [N, S, H, W] both."""
    padded = F.pad(stack, [1, 1, 1, 1], mode="replicate")
    around = padded[..., 1:-1, :-2] + padded[..., 1:-1, 2:] + padded[..., :-2, 1:-1] + padded[..., 2:, 1:-1]
    return torch.log(window_mean((around - 4 * stack).square(), side) + NOISE)


def window_mean(maps: torch.Tensor, side: int) -> torch.Tensor:
    """Mean over the part of a window around each pixel that lies inside: [N, C, H, W], `side` odd."""
    inside = F.avg_pool2d(torch.ones_like(maps[:1, :1]), side, 1, side // 2)
    return F.avg_pool2d(maps, side, 1, side // 2) / inside

"""What a network is asked for that shall find depth in focal stacks without being told it (after Si et al. 2023).

The stack must come out again when the predicted picture is seen through the lens at the predicted depth. All maps are
[N, C, H, W]; every loss is a mean, 0 (or least) at best.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from ..networks.transfer import decode, encode
from ..rendering.defocus import gaussian_blur, spread_by_bank

STRUCTURE = 0.85
"""Share of 1 − SSIM in a difference of pictures, the rest is L1, as in the paper."""
WINDOW = 1.5
"""Deviation of SSIM's window in pixels (Wang et al. 2004)."""
EDGE = 10.0
"""How much a difference of colour between neighbours lets their depths differ: exp(−EDGE · |∂I|)."""


def likeness(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """SSIM of pictures in [0, 1], pixel by pixel (Wang et al. 2004, Gaussian window); near the border of the part of
    the window that lies inside."""
    inside = gaussian_blur(torch.ones_like(first[:1, :1]), WINDOW)
    count = len(first)
    moments = torch.cat([first, second, first * first, second * second, first * second])
    m1, m2, s1, s2, s12 = (gaussian_blur(moments, WINDOW) / inside).split(count)
    c1, c2 = 0.01**2, 0.03**2
    v1, v2, v12 = s1 - m1 * m1, s2 - m2 * m2, s12 - m1 * m2
    return (2 * m1 * m2 + c1) * (2 * v12 + c2) / ((m1 * m1 + m2 * m2 + c1) * (v1 + v2 + c2))


def difference(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Of pictures: 0.85 · (1 − SSIM) + 0.15 · L1."""
    structure = 1 - likeness(first, second).mean()
    return STRUCTURE * structure + (1 - STRUCTURE) * (first - second).abs().mean()


def seen_through(picture: torch.Tensor, radius: torch.Tensor, linear: torch.Tensor) -> torch.Tensor:
    """A picture whose pixels spread by their radii.

    Args:
        picture: [N, 3, H, W] in [0, 1], sRGB-encoded.
        radius: [N, 1, H, W] in pixels.
        linear: [N], 1 where light is to be spread and not encoded values.
    """
    choice = linear[:, None, None, None]
    light = choice * decode(picture) + (1 - choice) * picture
    blurred = spread_by_bank(light, radius)
    return choice * encode(blurred) + (1 - choice) * blurred


def disbelief(likely: torch.Tensor, costs: torch.Tensor) -> torch.Tensor:
    """How little is believed of what the optics say of the undisturbed stack: cross entropy −Σ_k q_k·ln p_k with
    q = softmax(−costs), less the entropy of q.

    The mean cost Σ_k p_k·C_k would do less well: it pushes seldom depths down everywhere, and what is 7 to 10 m away
    came out a third nearer after 200 steps.

    Args:
        likely, costs: [N, K, H, W], of the network and of the optics.
    """
    told = torch.log_softmax(-costs, 1)
    return (told.exp() * (told - torch.log(likely + 1e-6))).sum(1).mean()


def roughness(place: torch.Tensor, picture: torch.Tensor, scales: tuple[int, ...] = (1, 2, 4)) -> torch.Tensor:
    """How far places are from planes, where the picture has no edges: |∂²place|·exp(−EDGE·|∂picture|) along both
    axes, at several sizes, for a wall to be flat as a whole."""
    total = place.new_zeros(())
    for scale in scales:
        total = total + _bend(F.avg_pool2d(place, scale), F.avg_pool2d(picture, scale))
    return total / len(scales)


def _bend(place: torch.Tensor, picture: torch.Tensor) -> torch.Tensor:
    total = place.new_zeros(())
    for axis in (2, 3):
        colour = picture.diff(dim=axis).abs().mean(1, keepdim=True)
        edges = torch.maximum(*(colour.narrow(axis, start, colour.shape[axis] - 1) for start in (0, 1)))
        total = total + (place.diff(n=2, dim=axis).abs() * torch.exp(-EDGE * edges)).mean()
    return total


def steps(place: torch.Tensor, picture: torch.Tensor) -> torch.Tensor:
    """The same of first derivatives."""
    total = place.new_zeros(())
    for axis in (2, 3):
        colour = picture.diff(dim=axis).abs().mean(1, keepdim=True)
        total = total + (place.diff(dim=axis).abs() * torch.exp(-EDGE * colour)).mean()
    return total


def blurriness(picture: torch.Tensor) -> torch.Tensor:
    """−ln of the energy of the Laplacian of a Gaussian, mean over the pictures: less where a picture is sharper."""
    soft = gaussian_blur(picture, 1.0)
    around = F.avg_pool2d(soft, 3, 1)
    energy = (around - soft[..., 1:-1, 1:-1]).square().mean((1, 2, 3))
    return -torch.log(energy + 1e-8).mean()

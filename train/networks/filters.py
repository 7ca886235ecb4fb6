"""The convolutions that the rendering networks are made of: learned ones, and fixed ones that know the optics."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F


def convolution(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Conv2d:
    """A convolution with zero 'same' padding."""
    return nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2)


def fixed(weight: torch.Tensor, groups: int = 1, stride: int = 1) -> nn.Conv2d:
    """A convolution that is not learned, without bias; 'same' padding for odd sizes, none for even ones."""
    outputs, inputs, size, _ = weight.shape
    layer = nn.Conv2d(inputs * groups, outputs, size, stride, (size - 1) // 2, groups=groups, bias=False)
    layer.weight = nn.Parameter(weight, requires_grad=False)
    return layer


def disc(radius: float) -> torch.Tensor:
    """[S, S], S odd, summing to 1: the kernel that spreads a pixel as a disc of `radius` > 0 pixels does.

    A kernel of pixel coverages is wider than its disc, since the samples it spreads are means over a pixel already. The
    disc drawn is therefore the one whose kernel has the true second moment, radius² / 4 along each axis.
    """
    low, high = 0.0, radius
    for _ in range(30):
        middle = (low + high) / 2
        kernel = _coverage(middle)
        line = torch.arange(kernel.shape[0], dtype=kernel.dtype) - kernel.shape[0] // 2
        low, high = (low, middle) if float((kernel.sum(0) * line**2).sum()) > radius**2 / 4 else (middle, high)
    return _coverage(low).to(torch.float32)


def _coverage(radius: float, fine: int = 32) -> torch.Tensor:
    """[2R + 1, 2R + 1], R = ⌈radius + ½⌉ − 1: the share of each pixel inside a disc, summing to 1."""
    reach = max(0, math.ceil(radius + 0.5) - 1)
    line = (torch.arange((2 * reach + 1) * fine, dtype=torch.float64) + 0.5) / fine - reach - 0.5
    soft = (radius - torch.hypot(line[:, None], line[None]) + 0.5 / fine).mul(fine).clamp(0, 1)
    cover = F.avg_pool2d(soft[None, None], fine)[0, 0]
    return cover / cover.sum()


def disc_bank(radii: list[float], copies: int) -> torch.Tensor:
    """Depthwise weights [copies · len(radii), 1, S, S]: the discs one after the other, repeated for each copy."""
    kernels = [disc(radius) for radius in radii]
    reach = max(kernel.shape[0] for kernel in kernels) // 2
    discs = [F.pad(kernel, [reach - kernel.shape[0] // 2] * 4) for kernel in kernels]
    return torch.stack(discs)[:, None].repeat(copies, 1, 1, 1)


def enlarging() -> torch.Tensor:
    """[4, 1, 3, 3]: a pixel's four children from its neighbourhood, in the order of `pixel_unshuffle`.

    A child is the pixel's value plus an eighth of the difference across it, along both axes: of all 3-tap rules the one
    that gives back every quadratic from its averages (the prediction of the (1, 3) wavelets of Cohen, Daubechies and
    Feauveau 1992). The four children's mean is the pixel, which a bilinear ×2 does not keep.
    """
    first = torch.tensor([1 / 8, 1.0, -1 / 8])
    lines = (first, first.flip(0))
    return torch.stack([vertical[:, None] * horizontal for vertical in lines for horizontal in lines])[:, None]

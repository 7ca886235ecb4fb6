"""The convolutions that the rendering networks are made of: learned ones, and fixed ones that know the optics."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

FREQUENCIES = 48
"""Samples along each axis of the frequencies at which a disc's kernel is fitted."""


def convolution(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Conv2d:
    """A convolution with zero 'same' padding."""
    return nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2)


class FixedConvolution(nn.Conv2d):
    """A convolution that is not learned; its padding is (S − stride + 1) / 2, rounded down: one output for each stride.

    Mixed precision leaves it alone: it carries light and coverage, of which the eight bits of bfloat16 keep 1 in 256.

    Args:
        weight: [outputs, inputs of a group, S, S].
        bias: of every output, or [outputs]; None for none.
    """

    def __init__(
        self, weight: torch.Tensor, groups: int = 1, stride: int = 1, bias: float | torch.Tensor | None = None
    ) -> None:
        outputs, inputs, size, _ = weight.shape
        padding = (size - stride + 1) // 2
        super().__init__(inputs * groups, outputs, size, stride, padding, groups=groups, bias=bias is not None)
        self.weight = nn.Parameter(weight, requires_grad=False)
        if bias is not None:
            values = bias if isinstance(bias, torch.Tensor) else torch.full((outputs,), bias)
            self.bias = nn.Parameter(values, requires_grad=False)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if not torch.is_autocast_enabled(input.device.type):
            return super().forward(input)
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input.float())


class ChannelSum(FixedConvolution):
    """Sums of channels with given factors, 1×1: arithmetic of an arrangement and not a layer of the network."""


def twice(maps: torch.Tensor) -> torch.Tensor:
    """[N, C, H, W] → [N, C, 2H, 2W], bilinear with half-pixel centres."""
    return F.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)


def disc(radius: float, reach: int | None = None) -> torch.Tensor:
    """[S, S], S odd, summing to 1: the kernel that spreads samples as a disc of `radius` pixels spreads light.

    The samples are means over a pixel, before as after, so the kernel's frequency response should be the disc's own,
    2·J₁(2πrf) / (2πrf), up to half a cycle a pixel. This is the least-squares fit of that, weighted by 1/f² as photos'
    power falls; the shares of each pixel that a disc covers would be too wide by a pixel. Small kernels come out with
    slightly negative corners.

    Args:
        radius: > 0.
        reach: pixels from the kernel's middle to its edge; by default the radius, but at least 2.
    """
    reach = reach or max(2, math.ceil(radius))
    grid = torch.linspace(0, 0.5, FREQUENCIES, dtype=torch.float64)
    fy, fx = torch.meshgrid(grid, grid, indexing="ij")
    frequency = torch.hypot(fy, fx)
    argument = 2 * math.pi * radius * frequency
    response = torch.where(argument > 0, 2 * torch.special.bessel_j1(argument) / argument.clamp(min=1e-12), 1.0)
    weight = 1 / (frequency + 1 / 64)
    weight[0, 0] = 1e4  # the sum
    # A kernel symmetric along both axes is its quadrant: values at (y, x), y, x = 0 … reach, each with two cosines.
    index = torch.arange(reach + 1, dtype=torch.float64)
    cosines = torch.cos(2 * math.pi * grid[:, None] * index) * torch.where(index > 0, 2.0, 1.0)
    waves = (cosines[:, None, :, None] * cosines[None, :, None, :]).reshape(grid.numel() ** 2, -1)
    scale = weight.reshape(-1, 1)
    quadrant = torch.linalg.lstsq(waves * scale, response.reshape(-1, 1) * scale).solution.reshape(reach + 1, reach + 1)
    half = torch.cat([quadrant.flip(0)[:-1], quadrant])
    kernel = torch.cat([half.flip(1)[:, :-1], half], dim=1)
    return (kernel / kernel.sum()).to(torch.float32)


def disc_bank(radii: list[float], copies: int) -> torch.Tensor:
    """Depthwise weights [copies · len(radii), 1, S, S]: the discs one after the other, repeated for each copy."""
    kernels = [disc(radius) for radius in radii]
    reach = max(kernel.shape[0] for kernel in kernels) // 2
    discs = [F.pad(kernel, [reach - kernel.shape[0] // 2] * 4) for kernel in kernels]
    return torch.stack(discs)[:, None].repeat(copies, 1, 1, 1)


def gathering(kernel: torch.Tensor) -> torch.Tensor:
    """[4, 1, S + 1, S + 1], for a stride of 2: `kernel` [S, S], S odd, at a pixel's four children, in the order of
    `pixel_unshuffle`."""
    size = kernel.shape[0] + 1
    children = torch.zeros(4, 1, size, size)
    for child in range(4):
        top, left = divmod(child, 2)
        children[child, 0, top : top + size - 1, left : left + size - 1] = kernel
    return children


def enlarging(differences: tuple[float, ...] = (22 / 128, -3 / 128)) -> torch.Tensor:
    """[4, 1, S, S]: a pixel's four children from its neighbourhood, in the order of `pixel_unshuffle`.

    A child is the pixel's value plus shares of the differences between its neighbours on either side, the nearest ones
    first, along both axes. Of all rules with two such shares the default is the one that gives back every polynomial up
    to the fourth degree from its averages; of those with one it is 1/8, up to the second (the predictions of the (1, 5)
    and (1, 3) wavelets of Cohen, Daubechies and Feauveau 1992). The four children's mean is the pixel, which a bilinear
    ×2 does not keep.
    """
    first = torch.tensor([*reversed(differences), 1.0, *(-share for share in differences)])
    lines = (first, first.flip(0))
    return torch.stack([vertical[:, None] * horizontal for vertical in lines for horizontal in lines])[:, None]


def softly_enlarging() -> torch.Tensor:
    """[4, 1, 5, 5]: the children, by one difference, of a picture smoothed by (1, 2, 1) / 4 along both axes."""
    line = torch.tensor([0.25, 0.5, 0.25])
    return F.conv2d(enlarging((1 / 8,)), (line[:, None] * line)[None, None], padding=2)  # symmetric: no need to turn it

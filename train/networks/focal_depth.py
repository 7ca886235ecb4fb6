"""Depth from defocus: a focal stack in, where each pixel lies between near and far, and an all-in-focus picture out.

The parts of DAIF-Net (Si et al. 2023) are here, a shared encoder and pooling over the stack, so that any number of
slices in any order is the same question. Ours: the optics are told, not learned. The network is given the radius of the
circle of confusion of each slice at each of K depths, `focus_matching` says how well each depth explains the stack, and
what is learned is to weigh and smooth that: a small U-Net corrects the K costs. Another camera is another table of
radii, and before any training the optics' own answer comes out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from .filters import convolution, twice
from .focus_matching import NOISE, focus_agreement, luminance, matching_costs, sharpest_seen, window_mean

ARCHITECTURE = "focal_depth"
SLICES = (2, 10)
"""Fewest and most slices of a stack."""
AROUND = 9
"""Side in pixels at stride 2 over which the matching costs are averaged."""
WINDOW = 7
"""The same for detail, at strides 2 and 4."""
AGREE = (6.0, 4.0)
"""Weight of the agreement of detail at full and half resolution beside the matching costs' logarithm."""
PEAK = 2
"""Depths to either side of the likeliest one that make up the answer: a mean over two hills would be neither."""


@dataclass(frozen=True)
class FocalDepthConfig:
    """Shape of a FocalDepthNet.

    Attributes:
        depths: K, hypothetical depths between near and far.
        encoder: channels of a slice's features at strides 2, 4 and 8, pooled over the stack.
        widths: of the U-Net at strides 2, 4, 8 and 16.
        refinement: channels of the last layers at full resolution.
    """

    depths: int = 24
    encoder: tuple[int, int, int] = (12, 16, 24)
    widths: tuple[int, int, int, int] = (32, 48, 72, 112)
    refinement: int = 12

    def __post_init__(self) -> None:
        for name in ("encoder", "widths"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # JSON brings lists
        if self.depths < 2:
            raise ValueError(f"depths must be at least 2, not {self.depths}")


class FocalDepth(NamedTuple):
    """What the network says of a stack.

    Attributes:
        place: [N, 1, H, W] in [0, K − 1]: between which of the K depths a pixel lies; 0 is the first, the nearest.
        picture: [N, 3, H, W] in [0, 1], all in focus, sRGB-encoded.
        coarse: [N, 3, H, W], the slices' own pixels that `place` says are sharpest, softly chosen.
        likely: [N, K, H / 2, W / 2], how likely each depth is; sums to 1.
        costs: [N, K, H / 2, W / 2], how badly each depth explains the stack by the optics alone.
    """

    place: torch.Tensor
    picture: torch.Tensor
    coarse: torch.Tensor
    likely: torch.Tensor
    costs: torch.Tensor


class FocalDepthNet(nn.Module):
    """Focal stack and radii -> place between near and far, and an all-in-focus picture. Sides are multiples of 16."""

    multiple = 16

    def __init__(self, config: FocalDepthConfig | None = None) -> None:
        super().__init__()
        self.config = config or FocalDepthConfig()
        self.encoder = _StackEncoder(self.config.encoder)
        self.regulariser = _Regulariser(self.config)
        self.trust = nn.Parameter(torch.tensor(1.0))
        self.refinement = _Refinement(self.config.refinement)

    def forward(self, stack: torch.Tensor, radius: torch.Tensor) -> FocalDepth:
        """Look at a stack.

        Args:
            stack: [N, S, 3, H, W] in [0, 1], sRGB-encoded, S from 2 to 10 slices in any order.
            radius: [N, S, K], the circle of confusion's signed radius in pixels, > 0 where the depth is nearer than the
                slice's focus.
        """
        costs, inputs = self.optics(stack, radius)
        likely = torch.softmax(self.regulariser(inputs, self.encoder(stack)) - self.trust * costs, 1)
        place, picture, coarse = self.refinement(stack, twice(peak(likely)), radius)
        return FocalDepth(place, picture, coarse, likely, costs)

    @staticmethod
    def optics(stack: torch.Tensor, radius: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What is computed and not learned: costs [N, K, H / 2, W / 2], and all that they are made of, of the order of
        1: [N, 3K + 3, H / 2, W / 2]. No gradients are kept."""
        with torch.no_grad():
            grey = luminance(stack)
            matching = torch.log(F.avg_pool2d(matching_costs(grey, radius), 2) + NOISE)
            fine, most = (F.avg_pool2d(maps, 2) for maps in focus_agreement(grey, radius, 2 * WINDOW - 1))
            coarse, coarse_most = focus_agreement(F.avg_pool2d(grey, 2), radius, WINDOW)
            costs = window_mean(matching, AROUND) - AGREE[0] * fine - AGREE[1] * coarse
            level = matching.mean(1, keepdim=True)
            parts = [(matching - level) / 4, fine, coarse, level / 4 + 1, most / 4, coarse_most / 4]
            return window_mean(costs, 3), torch.cat(parts, 1)


def peak(likely: torch.Tensor) -> torch.Tensor:
    """The mean place around the likeliest depth: [N, K, H, W] → [N, 1, H, W] in [0, K − 1]."""
    index = torch.arange(likely.shape[1], dtype=likely.dtype, device=likely.device)[:, None, None]
    best = likely.argmax(1, keepdim=True).to(likely.dtype)
    near = likely * ((index - best).abs() <= PEAK)
    return (near * index).sum(1, keepdim=True) / near.sum(1, keepdim=True)


def radius_at(place: torch.Tensor, radius: torch.Tensor) -> torch.Tensor:
    """The slices' radii at places between the K depths, linear between two of them.

    Args:
        place: [N, 1, H, W] in [0, K − 1].
        radius: [N, S, K].

    Returns:
        [N, S, H, W].
    """
    count, _, height, width = place.shape
    index = torch.arange(radius.shape[2], dtype=place.dtype, device=place.device)[:, None, None]
    share = (1 - (place - index).abs()).clamp(min=0)  # [N, K, H, W]
    return torch.matmul(radius, share.reshape(count, -1, height * width)).reshape(count, -1, height, width)


class _StackEncoder(nn.Module):
    """The same convolutions for every slice; after each level the maximum over the stack."""

    def __init__(self, widths: tuple[int, int, int]) -> None:
        super().__init__()
        # with the stack's maximum a level doubles its channels for the next one
        inputs = (3, *(2 * width for width in widths[:-1]))
        self.levels = nn.ModuleList(convolution(i, o, stride=2) for i, o in zip(inputs, widths, strict=True))

    def forward(self, stack: torch.Tensor) -> list[torch.Tensor]:
        """[N, S, 3, H, W] → the stack's features [N, C, h, w] at strides 2, 4 and 8."""
        count, slices = stack.shape[:2]
        maps, pooled = stack.flatten(0, 1) - 0.5, []
        for level in self.levels:
            own = F.relu6(level(maps)).unflatten(0, (count, slices))
            most = own.amax(1)
            pooled.append(most)
            maps = torch.cat([own, most[:, None].expand_as(own)], 2).flatten(0, 1)
        return pooled


class _Double(nn.Sequential):
    """Two convolutions with BatchNorm and ReLU6."""

    def __init__(self, inputs: int, outputs: int) -> None:
        steps = [
            nn.Sequential(nn.Conv2d(i, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU6())
            for i in (inputs, outputs)
        ]
        super().__init__(*steps)


class _Regulariser(nn.Module):
    """A U-Net: costs of K depths and features of the stack → a correction of the K depths' logits."""

    def __init__(self, config: FocalDepthConfig) -> None:
        super().__init__()
        first, *rest = config.widths
        self.enter = _Double(3 * config.depths + 3 + config.encoder[0], first)
        extra = (*config.encoder[1:], 0)
        self.down = nn.ModuleList(
            _Double(above + more, width) for above, more, width in zip(config.widths, extra, rest, strict=False)
        )
        self.up = nn.ModuleList(
            _Double(below + width, width)
            for below, width in zip(config.widths[:0:-1], config.widths[-2::-1], strict=True)
        )
        self.out = convolution(first, config.depths)
        nn.init.normal_(self.out.weight, std=0.01)

    def forward(self, inputs: torch.Tensor, features: list[torch.Tensor]) -> torch.Tensor:
        """[N, 3K + 3, h, w] and three maps at h, h / 2, h / 4 → [N, K, h, w]."""
        maps = self.enter(torch.cat([inputs, features[0]], 1))
        kept = [maps]
        for down, more in zip(self.down, [*features[1:], None], strict=True):
            maps = F.avg_pool2d(maps, 2)
            maps = down(maps if more is None else torch.cat([maps, more], 1))
            kept.append(maps)
        for up, above in zip(self.up, kept[-2::-1], strict=True):
            maps = up(torch.cat([twice(maps), above], 1))
        return self.out(maps)


class _Refinement(nn.Module):
    """At full resolution: the place made to follow the picture's edges, the picture what its slices leave blurred."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.enter = convolution(3 + 3, width)
        self.middle = convolution(width, width)
        self.out = convolution(width, 4)
        nn.init.normal_(self.out.weight, std=1e-3)
        nn.init.zeros_(self.out.bias)  # pyright: ignore[reportArgumentType]

    def forward(
        self, stack: torch.Tensor, place: torch.Tensor, radius: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Place, picture and coarse picture; see `FocalDepth`."""
        last = radius.shape[2] - 1
        coarse, blurred = _merged(stack, place, radius)
        step = (place - F.avg_pool2d(place, 5, 1, 2, count_include_pad=False)) / 2
        maps = F.relu6(self.enter(torch.cat([coarse - 0.5, blurred, place / last, step], 1)))
        change = self.out(F.relu6(self.middle(maps)))
        place = (place + 4 * change[:, :1]).clamp(0, last)
        coarse, _ = _merged(stack, place, radius)
        return place, (coarse + change[:, 1:]).clamp(0, 1), coarse


def _merged(stack: torch.Tensor, place: torch.Tensor, radius: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The sharpest slices' pixels [N, 3, H, W], and by how much they are blurred [N, 1, H, W], in pixels of radius."""
    here = radius_at(place, radius)
    own = sharpest_seen(stack, here)
    return (stack * own[:, :, None]).sum(1), (own * here.abs()).sum(1, keepdim=True)

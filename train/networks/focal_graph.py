"""The network of focal stacks as exported graphs compute it: the same function, for one number of slices and one size.

Slices are the batch, so that no tensor has more than four axes. What `focal_depth` writes as products with large
constant matrices, means over parts of windows and softmax over the batch comes out of convolutions, pools and
elementwise operations that every converter knows; logarithms are taken of scaled values, so that nothing vanishes in
16-bit floats. The optics are inside: an app gives pictures and a table of radii, and prepares nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from ...runtime_ref.pipeline.stage import Stage
from .contract import NetworkContract, SizeRule
from .filters import FixedConvolution, twice
from .focal_depth import AGREE, ARCHITECTURE, AROUND, PEAK, SLICES, WINDOW, FocalDepthNet, radius_at
from .focus_matching import DEVIATIONS, FADES, LUMINANCE, NOISE, SEEN, SHARP

REACH = math.ceil(5.5 * DEVIATIONS[-1])
"""Taps of the widest Gaussian to either side; beyond, less than 3e-7 of the middle's weight is left."""
MATCHING, DETAIL = 32.0, 4.0
"""What differences and Laplacians are multiplied by before they are squared: the squared noise becomes 0.02 and 3e-4,
normal numbers in 16 bits, and the largest sum of 13 × 13 of the squares stays below 65504."""


class FocalStage(FocalDepthNet):
    """The network with the inputs and the output that its exported graphs have: what these are compared with."""

    def forward(self, stack: torch.Tensor, radius: torch.Tensor) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """stack [S, 3, H, W] and radius [S, K, 1, 1] → picture and disparity [1, 4, H, W]; see `FocalDepthGraph`."""
        table = radius[None, :, :, 0, 0]
        found = super().forward(stack[None], table)
        nearer = radius_at(found.place, table) - table[:, :, -1:, None]
        disparity = nearer.sum(1, keepdim=True) / (table[:, :, :1] - table[:, :, -1:]).sum()
        return torch.cat([found.picture, disparity], 1)


class FocalDepthGraph(nn.Module):
    """stack [S, 3, H, W] and radius [S, K, 1, 1] -> [1, 4, H, W]: the picture's red, green and blue, and disparity.

    Disparity is 1 at the first of the K depths and 0 at the last, linear in 1 / depth, as a thin lens's radii are:
    it follows from them.

    Args:
        network: whose weights are taken over.
        slices: S.
        size: height and width in pixels, multiples of 16.
    """

    exact = ("bank_down", "bank_across", "laplacian")
    trust: torch.Tensor
    index: torch.Tensor
    weights: torch.Tensor
    lower: torch.Tensor
    steps: torch.Tensor

    def __init__(self, network: FocalDepthNet, slices: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.slices, self.depths = slices, network.config.depths
        self.encoder, self.regulariser = network.encoder.levels, network.regulariser
        self.refinement = network.refinement
        down, across = _gaussians()
        # the factor is in the weights: converters would put it there, and other weights than these were in the file
        self.bank_down, self.bank_across = (
            FixedConvolution(MATCHING * down),
            FixedConvolution(across, groups=len(DEVIATIONS)),
        )
        self.bank_down.padding, self.bank_across.padding = (REACH, 0), (0, REACH)
        laplacian = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]]) * DETAIL
        self.laplacian = FixedConvolution(laplacian[None, None])
        self.laplacian.padding = (0, 0)
        half = (size[0] // 2, size[1] // 2)
        self.fine = WindowMean(2 * WINDOW - 1, size)
        self.coarse, self.around, self.near = WindowMean(WINDOW, half), WindowMean(AROUND, half), WindowMean(3, half)
        self.small = WindowMean(5, size)
        self.size = size
        index = torch.arange(self.depths, dtype=torch.float32)
        variances = torch.tensor(DEVIATIONS) ** 2
        self.register_buffer("trust", network.trust.detach().clone())
        self.register_buffer("index", index.reshape(1, -1, 1, 1))
        self.register_buffer("weights", torch.tensor(LUMINANCE).reshape(1, 3, 1, 1))
        self.register_buffer("lower", variances[:-1].reshape(1, -1))
        self.register_buffer("steps", (variances[1:] - variances[:-1]).reshape(1, -1))

    def forward(self, stack: torch.Tensor, radius: torch.Tensor) -> torch.Tensor:
        """See the class."""
        table = radius.reshape(self.slices, self.depths)
        grey = (stack * self.weights).sum(1, keepdim=True)
        edges = self._edges(grey)
        logits = self._learned(stack, *self._optics(grey, edges, table))
        place = twice(self._peak(torch.softmax(logits, 1)))
        return self._pictures(stack, _detail(edges, self.small), place, table)

    def _edges(self, grey: torch.Tensor) -> torch.Tensor:
        """The squared Laplacian, times DETAIL²: [S, 1, h, w]."""
        edges = self.laplacian(F.pad(grey, [1, 1, 1, 1], mode="replicate"))
        return edges * edges

    def _optics(
        self, grey: torch.Tensor, edges: torch.Tensor, table: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Costs [1, K, h, w], and what they are made of, at half the size."""
        matching = torch.log(F.avg_pool2d(self._matching(grey, table), 2) + MATCHING**2 * NOISE)
        matching = matching - 2 * math.log(MATCHING)
        fine, most = (F.avg_pool2d(maps, 2) for maps in self._agreement(_detail(edges, self.fine), table))
        halved = self._edges(F.avg_pool2d(grey, 2))
        coarse, coarse_most = self._agreement(_detail(halved, self.coarse), table)
        level = matching.mean(1, keepdim=True)
        matching = matching - level  # what all depths share changes no softmax, and would take bits of 16
        costs = self.near(self.around(matching) - AGREE[0] * fine - AGREE[1] * coarse)
        return costs, torch.cat([matching / 4, fine, coarse, level / 4 + 1, most / 4, coarse_most / 4], 1)

    def _matching(self, grey: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        """Mean over the slices of the squared difference, times MATCHING²: [1, K, H, W]. See `matching_costs`."""
        blurred = self.bank_across(self.bank_down(grey)).reshape(-1, self.size[0] * self.size[1])
        own = torch.softmax(-table.abs() / SHARP, 0)
        variance = table * table / 4
        missing = F.relu(variance - (own * variance).sum(0, keepdim=True))
        total = torch.zeros_like(grey[:1])
        for number in range(self.slices):
            share = self._shares(missing[number].reshape(-1, 1))  # [K, L]
            mixing = own.transpose(0, 1).reshape(self.depths, self.slices, 1) * share.reshape(self.depths, 1, -1)
            explained = torch.matmul(mixing.reshape(self.depths, -1), blurred)
            difference = explained.reshape(1, self.depths, *self.size) - MATCHING * grey[number : number + 1]
            total = total + difference * difference
        return total / self.slices

    def _shares(self, variance: torch.Tensor) -> torch.Tensor:
        """[K, 1] → [K, L], see `shares_of_bank`."""
        reached = ((variance - self.lower) / self.steps).clamp(0, 1)
        return torch.cat([1 - reached[:, :1], reached[:, :-1] - reached[:, 1:], reached[:, -1:]], 1)

    def _agreement(self, detail: torch.Tensor, table: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[1, K, h, w] and [1, 1, h, w], see `focus_agreement`."""
        height, width = detail.shape[2:]
        detail = detail - detail.mean(0, keepdim=True)
        scaled = table / FADES
        told = -2 * torch.log(1 + scaled * scaled)
        told = told - told.mean(0, keepdim=True)
        told = told / torch.sqrt((told * told).sum(0, keepdim=True)).clamp(min=1e-3)
        size = torch.sqrt((detail * detail).sum(0, keepdim=True))
        agreement = torch.matmul(told.transpose(0, 1), detail.reshape(self.slices, -1))
        return agreement.reshape(1, self.depths, height, width) / (size + 0.5), size

    def _learned(self, stack: torch.Tensor, costs: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        """Logits [1, K, h, w]."""
        maps, pooled = stack - 0.5, []
        for number, level in enumerate(self.encoder):
            own = F.relu6(level(maps))
            most = own.amax(0, keepdim=True)
            pooled.append(most)
            if number + 1 < len(self.encoder):
                # not `expand`: LiteRT does not load what the converter makes of it
                maps = torch.cat([own, torch.cat([most] * self.slices)], 1)
        return self.regulariser(inputs, pooled) - self.trust * costs

    def _peak(self, likely: torch.Tensor) -> torch.Tensor:
        """[1, 1, h, w], see `peak`."""
        best = likely.float().argmax(1, keepdim=True).to(likely.dtype)
        near = likely * (PEAK + 1 - (self.index - best).abs()).clamp(0, 1)
        return (near * self.index).sum(1, keepdim=True) / near.sum(1, keepdim=True)

    def _pictures(
        self, stack: torch.Tensor, detail: torch.Tensor, place: torch.Tensor, table: torch.Tensor
    ) -> torch.Tensor:
        """Picture and disparity [1, 4, H, W]."""
        net, last = self.refinement, self.depths - 1
        coarse, blurred = self._merged(stack, detail, self._at(place, table))
        step = (place - self.small(place)) / 2
        maps = F.relu6(net.enter(torch.cat([coarse - 0.5, blurred, place / last, step], 1)))
        change = net.out(F.relu6(net.middle(maps)))
        place = (place + 4 * change[:, :1]).clamp(0, last)
        total = table.sum(0, keepdim=True)
        first, farthest = total[:, :1], total[:, last:]
        disparities = (total - farthest) / (first - farthest)
        here = self._at(place, torch.cat([table, disparities], 0))
        here, disparity = here[: self.slices], here[self.slices :]
        coarse, _ = self._merged(stack, detail, here)
        picture = (coarse + change[:, 1:]).clamp(0, 1)
        return torch.cat([picture, disparity], 1)

    def _at(self, place: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        """Rows of a table [R, K] at places between its columns: [R, 1, H, W]."""
        share = F.relu(1 - (place - self.index).abs()).reshape(self.depths, -1)
        return torch.matmul(table, share).reshape(-1, 1, *self.size)

    @staticmethod
    def _merged(stack: torch.Tensor, detail: torch.Tensor, here: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The sharpest slices' pixels [1, 3, H, W], and by how much they are blurred [1, 1, H, W]."""
        size = here.abs()
        own = _softmax(SEEN * detail - size / SHARP)
        return (stack * own).sum(0, keepdim=True), (own * size).sum(0, keepdim=True)


def graph_of(network: nn.Module, shapes: Sequence[tuple[int, ...]]) -> FocalDepthGraph:
    """The graph for the shapes of stack and radius."""
    slices, _, height, width = shapes[0]
    return FocalDepthGraph(cast(FocalDepthNet, network), slices, (height, width))


class WindowMean(nn.Module):
    """Mean over the part of a window around each pixel that lies inside, of maps of one size.

    Args:
        side: of the window, odd.
        size: height and width of the maps.
    """

    down: torch.Tensor
    across: torch.Tensor

    def __init__(self, side: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.side = side
        height, width = size
        self.register_buffer("down", self._grown(height).reshape(1, 1, -1, 1))
        self.register_buffer("across", self._grown(width).reshape(1, 1, 1, -1))

    def _grown(self, length: int) -> torch.Tensor:
        """Along an axis: the window's side over how much of it lies inside."""
        place, reach = torch.arange(length), self.side // 2
        return self.side / ((place + reach).clamp(max=length - 1) - (place - reach).clamp(min=0) + 1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """[N, C, H, W] → the same."""
        return F.avg_pool2d(maps, self.side, 1, self.side // 2) * self.down * self.across


def _detail(edges: torch.Tensor, mean: WindowMean) -> torch.Tensor:
    """Of the squared Laplacian times DETAIL², see `log_detail`: [S, 1, h, w]."""
    return torch.log(mean(edges) + DETAIL**2 * NOISE) - 2 * math.log(DETAIL)


def _softmax(values: torch.Tensor) -> torch.Tensor:
    """Over the slices, [S, 1, H, W]."""
    grown = torch.exp(values - values.amax(0, keepdim=True))
    return grown / grown.sum(0, keepdim=True)


def _gaussians() -> tuple[torch.Tensor, torch.Tensor]:
    """Kernels of the bank down [L, 1, T, 1] and across [L, 1, 1, T], each summing to 1 as far as it reaches."""
    place = torch.arange(-REACH, REACH + 1, dtype=torch.float64)
    lines = []
    for deviation in DEVIATIONS:
        line = torch.exp(-(place**2) / (2 * deviation**2))
        lines.append(line / line.sum())
    taps = torch.stack(lines).float()
    return taps[:, None, :, None], taps[:, None, None, :]


CONTRACT = NetworkContract(
    architecture=ARCHITECTURE,
    stage=Stage.FOCAL_DEPTH,
    size=SizeRule(multiple=FocalDepthNet.multiple, least=64),
    slices=SLICES,
    exact=FocalDepthGraph.exact,
    fixed=graph_of,
)

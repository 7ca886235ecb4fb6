"""Lens blur once more, as XNNPACK computes it fastest: its planes one behind the other, in blocks.

The same function of the same weights. Where `LensBlurNet` has planes as channels and filters them depthwise, here each
plane of a colour is a picture of a batch: all that multiplies planes by colours runs through memory without a stride,
two planes of the same disc share one convolution, and that is a dense one; see `blocks`. In LiteRT on an x86 CPU the
whole takes an eighth of the time.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from .blocks import PIXELS, SIDE, dense_kernel, filtered, in_blocks, out_of_blocks
from .filters import FixedConvolution, twice
from .hidden_surface import CUTS, ENOUGH, HiddenSurface
from .lens_blur import LEAST_WEIGHT, OWN_LIGHT, LensBlurNet
from .mixed_pixels import Farther, unmix
from .transfer import decode, encode

BRIGHT, NEAR = 256.0, 64.0
"""What light and coverage are multiplied with while they spread, and the weights by which hidden colours grow: powers
of two, which change no bit in float32. Of their smallest products half precision has no normal numbers (from 6e-5),
and ARM CPUs take them for 0: dark things under a strong blur came out black."""


class LensBlurBlocks(LensBlurNet):
    """What `network` computes for one picture, arranged for XNNPACK; see the module.

    Attributes:
        multiple: H and W are multiples of this: blocks at half resolution.
        exact: layers that exports leave in floats at every precision.
    """

    multiple: int = 2 * SIDE
    exact: tuple[str, ...] = (
        "mean", "unmixing.around", "hidden.beside", "hidden.grow",
        "source.local", "mending", "shares", "correction.out", "visibility",
    )  # fmt: skip

    def __init__(self, network: LensBlurNet) -> None:
        super().__init__(network.config)
        self.load_state_dict(network.state_dict())
        self.mean = FixedConvolution(torch.full((1, 1, 3, 3), 1 / 9))  # LiteRT's GPU (2.3) leaves zeros out of means
        kernels = _discs(self.spread)
        self.runs = _alike(kernels)
        self.spread = nn.ModuleList(FixedConvolution(dense_kernel(kernels[run.start])) for run in self.runs)
        self.hidden = HiddenSurfaceBlocks(self.hidden)
        self.mending = _rows(self.source.out, slice(0, 5))
        self.shares = _rows(self.source.out, slice(5, None))

    def forward(self, image: torch.Tensor, defocus: torch.Tensor) -> torch.Tensor:
        """See `LensBlurNet.forward`; N is 1."""
        height = int(image.shape[2])
        edge = unmix(defocus, self.mean)
        scene = torch.cat([image, edge.front], dim=1)
        light = decode(image)
        hidden = self.hidden(edge.front, self.unmixing(light, edge))
        behind, depth, sure = hidden[:, :3], hidden[:, 3:4], hidden[:, 4:]
        context, seen = self.context(scene), torch.cat([scene, behind, sure, edge.through], dim=1)
        features = torch.relu(self.source.local(seen) + twice(self.source.around(context)))
        mended = self.mending(features)
        light = light * (1.0 + torch.relu(mended[:, :1]))
        there = (sure * (1.0 + mended[:, 1:2])).clamp(0.0, 1.0)
        through = there * (edge.through + mended[:, 2:3]).clamp(0.0, 1.0)
        places = (torch.cat([edge.front, depth], dim=1) + mended[:, 3:]).clamp(-1.0, 1.0)
        shown = torch.relu(light - through * behind)
        parts = in_blocks(torch.cat([shown, 1.0 - through, there * behind, there, light, places], dim=1))
        # Front and back are the batch here, not the planes: LiteRT's GPU (2.3) computes with a constant batch wrongly.
        front, back = (mask[None].transpose(0, 1) for mask in self.masks(parts[:, 11:].transpose(0, 1)))
        front = torch.relu(front + in_blocks(self.shares(features)).transpose(0, 1))
        shown, behind = (BRIGHT * parts[:, :8]).split(4, dim=1)
        spread = self.spreading(front * shown + back * behind, height // SIDE)
        coverage = out_of_blocks((1 / BRIGHT * spread[:, 3:]).transpose(0, 1), height)
        corrected = self.correction(torch.cat([coverage, seen, light, depth, through], dim=1), context)
        weights = in_blocks(torch.relu(self.visibility(coverage) + corrected)).transpose(0, 1) + LEAST_WEIGHT
        sums = (weights * spread).sum(dim=0, keepdim=True)
        own = BRIGHT * OWN_LIGHT
        mixed = (sums[:, :3] + own * parts[:, 8:11]) / (sums[:, 3:] + own)
        return out_of_blocks(encode(mixed), height)

    def spreading(self, maps: torch.Tensor, rows: int) -> torch.Tensor:
        """Each plane spread by its own disc, red, green, blue and coverage alike: [planes, 4, blocks, PIXELS]."""
        pictures = maps.reshape(-1, rows, maps.shape[2] // rows, PIXELS)
        spread = [pictures[:4]]  # the first plane is in focus
        for run, disc in zip(self.runs, self.spread, strict=True):
            assert isinstance(disc, nn.Conv2d)
            spread.append(filtered(pictures[4 + 4 * run.start : 4 + 4 * run.stop], disc))
        return torch.cat(spread).reshape(maps.shape)


class HiddenSurfaceBlocks(HiddenSurface):
    """The same with the guesses of all cuts one behind the other, and those of half resolution grown in blocks."""

    def __init__(self, surface: HiddenSurface) -> None:
        super().__init__()
        self.count = 5 * len(CUTS)
        beside, grow = (layer.weight.detach() * NEAR for layer in (surface.beside, surface.grow))
        self.beside = FixedConvolution(beside[: self.count], groups=self.count)
        self.grow = FixedConvolution(dense_kernel(grow[0, 0]))  # the same for all

    def forward(self, defocus: torch.Tensor, shown: Farther) -> torch.Tensor:
        """See `HiddenSurface.forward`; N is 1, H and W are multiples of 2 · SIDE."""
        height, width = (int(side) for side in defocus.shape[2:])
        known = shown.known * self._beyond(self.cuts - shown.defocus)
        traits = torch.cat([shown.light, shown.defocus], dim=1).transpose(0, 1)
        maps = torch.cat([known * traits, known]).reshape(1, self.count, height, width)
        limit = self._limit(defocus)
        near = self._guessed(self.beside(maps).reshape(5, -1, height, width), limit).transpose(0, 1)
        few = in_blocks(F.avg_pool2d(maps, 2)).reshape(self.count, height // 2 // SIDE, width // 2 // SIDE, PIXELS)
        far = self._guessed(
            filtered(few, self.grow).reshape(5, len(CUTS), -1, PIXELS), in_blocks(F.max_pool2d(limit, 2))
        )
        sums = near + (1.0 - near[:, 4:]) * twice(out_of_blocks(far.transpose(0, 1), height // 2))
        sure = sums[:, 4:]
        behind = sums[:, :4] / (sure + 1e-3)
        return torch.cat([behind, sure * self._beyond(limit - behind[:, 3:])], dim=1)

    def _guessed(self, grown: torch.Tensor, limit: torch.Tensor) -> torch.Tensor:
        """[5, 1, …] of what has grown, [5, cuts, …]: that of the nearest cut behind a pixel, times its certainty.

        Args:
            limit: [1, 1, …], of the same pixels in the same order.
        """
        return (self._nearest_cut(limit) / (grown[4:] + NEAR * ENOUGH) * grown).sum(dim=1, keepdim=True)


def _rows(layer: nn.Conv2d, rows: slice) -> nn.Conv2d:
    """The convolution that makes some of the outputs of another."""
    assert layer.bias is not None
    weight, bias = layer.weight[rows].detach().clone(), layer.bias[rows].detach().clone()
    some = nn.Conv2d(layer.in_channels, len(weight), layer.kernel_size[0])
    some.weight, some.bias = nn.Parameter(weight), nn.Parameter(bias)
    return some


def _discs(layers: nn.ModuleList) -> list[torch.Tensor]:
    """The kernels [k, k] of all planes but the first, from those that spread the four colours of some planes each."""
    kernels = []
    for layer in layers:
        assert isinstance(layer, nn.Conv2d)
        kernels += [_bare(disc) for disc in layer.weight[: layer.out_channels // 4, 0]]
    return kernels


def _bare(kernel: torch.Tensor) -> torch.Tensor:
    """A kernel [k, k], k odd, without the zeros around it."""
    used = kernel.detach().abs().amax(dim=0).nonzero()
    margin = min(int(used[0]), kernel.shape[0] - 1 - int(used[-1]))
    return kernel.detach()[margin : kernel.shape[0] - margin, margin : kernel.shape[0] - margin]


def _alike(kernels: list[torch.Tensor]) -> list[range]:
    """Runs of kernels that are the same."""
    starts = [k for k in range(len(kernels)) if k == 0 or not torch.equal(kernels[k - 1], kernels[k])]
    return [range(start, stop) for start, stop in zip(starts, [*starts[1:], len(kernels)], strict=True)]

"""Lens blur once more, in few operations of many channels: for Core ML and its Neural Engine.

The same function of the same weights. `LensBlurNet` takes maps of one to three channels out of others and puts them
together again, an operation each. Here maps stay stacked: what belongs to channels is picked, repeated and added up by
1×1 convolutions of ones and constants, so that a product serves all planes and colours at once. Nothing is sliced, no
tensor has more than four axes.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from ...runtime_ref.pipeline.optics import NETWORK_RADIUS
from .filters import ChannelSum, FixedConvolution, twice
from .hidden_surface import CUTS, ENOUGH, GAP, SOFTNESS, UNUSED, HiddenSurface
from .lens_blur import LEAST_WEIGHT, OWN_LIGHT, LensBlurNet
from .mixed_pixels import BESIDE, LEAST, SOLID, SPAN, WHOLE, Unmixing
from .transfer import decode, encode

Row = Sequence[float]
ONE = None
"""In place of a channel: the number 1."""


def combined(rows: Sequence[Row], bias: Sequence[float] | None = None) -> ChannelSum:
    """The 1×1 convolution whose outputs are these sums of its inputs, with a constant added to each."""
    weight = torch.tensor(rows, dtype=torch.float32)[:, :, None, None]
    return ChannelSum(weight, bias=None if bias is None else torch.tensor(bias, dtype=torch.float32))


def picked(channels: Sequence[int | None], inputs: int) -> ChannelSum:
    """Some of the inputs, in this order; `ONE` where a channel is none of them."""
    rows = [[float(k == channel) for k in range(inputs)] for channel in channels]
    return combined(rows, [float(channel is ONE) for channel in channels] if ONE in channels else None)


class StackedEdge(nn.Module):
    """What `mixed_pixels.unmix` computes."""

    def __init__(self) -> None:
        super().__init__()
        self.ends = combined([[1], [-1]])
        self.mean = FixedConvolution(torch.full((1, 1, 3, 3), 1 / 9))
        # of nearest, −farthest, defocus, mean
        self.span = combined([[1, 1, 0, 0]], [1e-3])
        self.offsets = combined([[0, 1, 1, 0], [0, 1, 0, 1]])
        low, high = SPAN
        rise = NETWORK_RADIUS / (high - low)
        self.differs = combined([[rise, rise, 0, 0]], [-low / (high - low)])
        # of share, around
        low, high = SOLID
        solid = 1 / (high - low)
        self.rising = combined([[20, 0], [0, solid]], [-20 * WHOLE, -low * solid])
        self.falling = combined([[-20, 0], [0, solid]], [20 * (1 - WHOLE), -low * solid])
        self.neither = picked([0], 2)
        self.solid = picked([1, ONE], 2)
        self.sides = combined([[1, 0], [-1, 0]], [0, 1])
        # of the four and the two
        self.away = combined([[1, 0, -1, 0, 0, 0], [0, -1, -1, 0, 0, 0], [0, 0, 0, 0, -1, 0]], [0, 0, 1])
        # of what `away` gives and defocus
        self.front = combined([[1, 0, 0, 1]])
        self.far = combined([[0, 1, 0, 1]])
        self.through = picked([2], 4)

    def forward(self, defocus: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """[N, 1, H, W] → front, far, mixed, through, each [N, 1, H, W], and nearest with farthest, [N, 2, H, W]."""
        seen = torch.cat([F.max_pool2d(self.ends(defocus), 3, 1, 1), defocus, self.mean(defocus)], dim=1)
        shares = self.offsets(seen) / self.span(seen)
        cut = torch.minimum(self.rising(shares), self.falling(shares)).clamp(0.0, 1.0)
        mixed = self.differs(seen).clamp(0.0, 1.0) * self.neither(cut)
        parts = torch.cat([mixed * self.away(torch.cat([seen, shares], dim=1)), defocus], dim=1)
        sides = (1.0 - mixed) * self.sides(shares) * self.solid(cut)
        return self.front(parts), self.far(parts), mixed, self.through(parts), sides


class StackedUnmixing(nn.Module):
    """What `mixed_pixels.Unmixing` computes."""

    def __init__(self, unmixing: Unmixing) -> None:
        super().__init__()
        self.around = copy.deepcopy(unmixing.around)
        self.twosides = picked([0, 0, 0, 0, 1, 1, 1, 1], 2)
        self.lights = picked([0, 1, 2, ONE, 0, 1, 2, ONE], 3)
        colours = [[float(k == side + c) for k in range(8)] for side in (0, 4) for c in range(3)]
        own = [[LEAST * float(k == c) for k in range(3)] for c in range(3)] * 2
        self.sums = combined([[*row, *more] for row, more in zip(colours, own, strict=True)])
        self.counts = combined(
            [[float(k == side + 3) for k in range(8)] for side in (0, 4) for _ in range(3)], [LEAST] * 6
        )
        self.both = combined([[-1]] * 3 + [[1]] * 3, [1, 1, 1, 0, 0, 0])
        self.left_over = combined(
            [[*(-float(k % 3 == c) for k in range(6)), *(float(k == c) for k in range(3))] for c in range(3)]
        )
        self.behind = combined(
            [[*(float(k == c) for k in range(3)), *(float(k == c + 3) for k in range(6))] for c in range(3)]
        )
        self.fewest = nn.ModuleList(combined([[float(k == side) / BESIDE for k in range(8)]]) for side in (3, 7))

    def forward(
        self, light: torch.Tensor, mixed: torch.Tensor, through: torch.Tensor, sides: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The farther surface's light, [N, 3, H, W], and how well it is known, [N, 1, H, W]."""
        sums = self.around(self.twosides(sides) * self.lights(light))
        guesses = self.sums(torch.cat([sums, light], dim=1)) / self.counts(sums)
        left_over = self.left_over(torch.cat([self.both(through) * guesses, light], dim=1))
        gain = through / (1.0 - 2.0 * (through - through * through))
        behind = self.behind(torch.cat([left_over * gain, guesses], dim=1)).clamp(0.0, 1.0)
        beside = torch.minimum(*(layer(sums) for layer in self.fewest)).clamp(0.0, 1.0)
        known = 1.0 - mixed + through * through * beside
        return light + mixed * (behind - light), known


class StackedSurface(nn.Module):
    """What `hidden_surface.HiddenSurface` computes."""

    def __init__(self, surface: HiddenSurface) -> None:
        super().__init__()
        self.beside, self.grow = copy.deepcopy(surface.beside), copy.deepcopy(surface.grow)
        cuts, count = [cut / NETWORK_RADIUS for cut in CUTS], len(CUTS)
        steep = NETWORK_RADIUS / SOFTNESS
        self.farther = combined([[-steep]] * count, [steep * cut + 0.5 for cut in cuts])
        self.nearer = combined([[steep]] * count, [0.5 - steep * cut for cut in cuts])
        self.traits = picked([k for k in (0, 1, 2, 3, ONE) for _ in range(count)] + [ONE] * UNUSED, 4)
        self.known = picked([*range(count)] * 5 + [*range(UNUSED)], count)
        self.nearest = combined([[float(k == cut) - float(k == cut + 1) for k in range(count)] for cut in range(count)])
        maps = 5 * count + UNUSED
        self.certain = combined(
            [[float(k == 4 * count + cut) for k in range(maps)] for cut in range(count)], [ENOUGH] * count
        )
        self.shares = picked([*range(count)] * 5 + [*range(UNUSED)], count)
        self.sums = combined([[float(k // count == trait) for k in range(maps)] for trait in range(5)])
        self.free = combined([[0, 0, 0, 0, -1]], [1])
        self.four = picked([0, 1, 2, 3], 5)
        self.sure = picked([4], 5)
        self.fits = combined([[steep, 0, 0, 0, -steep]], [0.5])

    def forward(
        self, front: torch.Tensor, light: torch.Tensor, far: torch.Tensor, known: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Light and defocus of the surface behind, [N, 4, H, W], and how sure it is there, [N, 1, H, W]."""
        maps = self.known(self.farther(far).clamp(0.0, 1.0) * known) * self.traits(torch.cat([light, far], dim=1))
        least, share = GAP
        limit = front - share * front.abs() - least / NETWORK_RADIUS
        near = self._guessed(self.beside(maps), limit)
        far_off = twice(self._guessed(self.grow(F.avg_pool2d(maps, 2)), F.max_pool2d(limit, 2)))
        sums = near + self.free(near) * far_off
        sure = self.sure(sums)
        behind = self.four(sums) / (sure + 1e-3)
        return behind, sure * self.fits(torch.cat([limit, behind], dim=1)).clamp(0.0, 1.0)

    def _guessed(self, grown: torch.Tensor, limit: torch.Tensor) -> torch.Tensor:
        shares = self.nearest(self.nearer(limit).clamp(0.0, 1.0)) / self.certain(grown)
        return self.sums(self.shares(shares) * grown)


class LensBlurStacked(LensBlurNet):
    """What `network` computes, its maps stacked; see the module.

    Attributes:
        exact: layers that exports leave in floats at every precision: those of `LensBlurNet`, and all that only pick,
            repeat and add up.
    """

    exact: tuple[str, ...] = (
        *(f"edge.{name}" for name in (
            "ends", "mean", "span", "offsets", "differs", "rising", "falling", "neither", "solid", "sides", "away",
            "front", "far", "through",
        )),
        *(f"unmixing.{name}" for name in (
            "around", "twosides", "lights", "sums", "counts", "both", "left_over", "behind", "fewest.0", "fewest.1",
        )),
        *(f"hidden.{name}" for name in (
            "beside", "grow", "farther", "nearer", "traits", "known", "nearest", "certain", "shares", "sums", "free",
            "four", "sure", "fits",
        )),
        "source.local", "lighter", "surer", "more", "moved", "shares", "rising", "falling", "shown_planes",
        "hidden_planes", "shown_colours", "hidden_colours", "covering", "weighing", "sums", "lit", "total", "colours",
        "depth", "correction.out", "visibility",
    )  # fmt: skip

    def __init__(self, network: LensBlurNet) -> None:
        super().__init__(network.config)
        self.load_state_dict(network.state_dict())
        planes, widths = len(self.config.planes), [1, *(layer.out_channels // 4 for layer in _layers(self.spread))]
        self._parts = [4 * width for width in widths]
        unmixing, hidden = network.unmixing, network.hidden  # nothing in them is learned
        self.edge, self.unmixing = StackedEdge(), StackedUnmixing(unmixing)  # pyright: ignore[reportAttributeAccessIssue]
        self.hidden = StackedSurface(hidden)  # pyright: ignore[reportAttributeAccessIssue]
        # red, green, blue and coverage of the first planes, of the next …, as they are spread
        starts = [sum(widths[:k]) for k in range(len(widths))]
        order = [
            (colour, start + k) for start, width in zip(starts, widths, strict=True)
            for colour in range(4) for k in range(width)
        ]  # fmt: skip
        colours, plane = [colour for colour, _ in order], [at for _, at in order]
        self.lighter, self.surer, self.more, self.moved = (
            _rows(self.source.out, rows) for rows in ([0], [1], [2], [3, 4])
        )
        with torch.no_grad():
            self.surer.bias += 1.0  # pyright: ignore[reportOperatorIssue]  # a factor; a converter would add it here, too
        self.shares = _rows(self.source.out, [5 + at for at in plane])
        rise, start, fall, end = (values.flatten().tolist() for values in (self.rise, self.start, self.fall, self.end))
        both = [(place, at) for place in (0, 1) for at in range(planes)]
        self.rising = combined(
            [[rise[at] * (place == k) for k in (0, 1)] for place, at in both], [-start[at] for _, at in both]
        )
        self.falling = combined(
            [[-fall[at] * (place == k) for k in (0, 1)] for place, at in both], [end[at] for _, at in both]
        )
        self.shown_planes, self.hidden_planes = (
            picked([at + first for at in plane], 2 * planes) for first in (0, planes)
        )
        self.shown_colours = combined(
            [[float(colour == k) for k in range(3)] + [-float(colour == 3)] for colour in colours],
            [float(colour == 3) for colour in colours],
        )
        self.hidden_colours = picked(colours, 4)
        self.covering = picked([order.index((3, at)) for at in range(planes)], 4 * planes)
        self.weighing = picked(plane, planes)
        self.sums = combined([[float(of == colour) for of in colours] for colour in range(4)])
        self.lit = combined(
            [[float(k == c) for k in range(4)] + [OWN_LIGHT * (k == c) for k in range(3)] for c in range(3)]
        )
        self.colours, self.depth = picked([0, 1, 2], 4), picked([3], 4)
        self.total = combined([[0, 0, 0, 1]], [OWN_LIGHT])

    def forward(self, image: torch.Tensor, defocus: torch.Tensor) -> torch.Tensor:
        """See `LensBlurNet.forward`."""
        front, far, mixed, through, sides = self.edge(defocus)
        scene, light = torch.cat([image, front], dim=1), decode(image)
        farther, known = self.unmixing(light, mixed, through, sides)
        behind, sure = self.hidden(front, farther, far, known)
        context = self.context(scene)
        colours, depth = self.colours(behind), self.depth(behind)
        seen = torch.cat([scene, colours, sure, through], dim=1)
        features = torch.relu(self.source.local(seen) + twice(self.source.around(context)))
        light = light * (1.0 + torch.relu(self.lighter(features)))
        there = (sure * self.surer(features)).clamp(0.0, 1.0)
        through = there * (through + self.more(features)).clamp(0.0, 1.0)
        places = (torch.cat([front, depth], dim=1) + self.moved(features)).clamp(-1.0, 1.0)
        moments = places * places.abs()
        masks = torch.relu(torch.minimum(self.rising(moments), self.falling(moments)))
        shown = torch.cat([torch.relu(light - through * colours), through], dim=1)
        planes = torch.relu(self.shown_planes(masks) + self.shares(features)) * self.shown_colours(shown)
        planes = planes + self.hidden_planes(masks) * self.hidden_colours(torch.cat([there * colours, there], dim=1))
        in_focus, *others = planes.split(self._parts, dim=1)
        spread = torch.cat([in_focus, *(disc(part) for disc, part in zip(self.spread, others, strict=True))], dim=1)
        coverage = self.covering(spread)
        corrected = self.correction(torch.cat([coverage, seen, light, depth, through], dim=1), context)
        weights = torch.relu(self.visibility(coverage) + corrected) + LEAST_WEIGHT
        sums = self.sums(self.weighing(weights) * spread)
        return encode(self.lit(torch.cat([sums, light], dim=1)) / self.total(sums))


def _layers(spread: nn.ModuleList) -> list[nn.Conv2d]:
    return [layer for layer in spread if isinstance(layer, nn.Conv2d)]


def _rows(layer: nn.Conv2d, rows: Sequence[int]) -> nn.Conv2d:
    """The convolution that makes some of the outputs of another, in an order of their own."""
    assert layer.bias is not None
    some = nn.Conv2d(layer.in_channels, len(rows), 1)
    some.weight = nn.Parameter(layer.weight.detach()[list(rows)].clone())
    some.bias = nn.Parameter(layer.bias.detach()[list(rows)].clone())
    return some

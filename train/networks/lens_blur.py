"""Lens blur at the lowest level: the photo and its defocus map in, the photo blurred as by a lens out.

From DeepLens (Wang et al. 2018, sec. 3.2): maps of each colour by filters that all three share, non-negative weights
predicted from image and defocus, and their normalised sum (Eq. 2). Ours is what the maps are: the photo is split into
planes of defocus and each is spread by its own disc, so the optics is exact before anything is learned. Behind each
pixel lies a second one, hidden: what its surroundings say is there; a pixel that two surfaces share is taken apart.
What is learned is what optics cannot know: where the disparity is wrong, how bright a clipped light was, and which
plane hides which. The weights start as those of back-to-front compositing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from ...runtime_ref.pipeline.optics import NETWORK_RADIUS
from .filters import FixedConvolution, convolution, disc_bank, twice
from .hidden_surface import HiddenSurface
from .mixed_pixels import Unmixing, unmix
from .transfer import decode, encode

LEAST_WEIGHT = 2e-3
"""Weight that every plane has: where the learned ones leave nothing, all that is there counts alike."""

OWN_LIGHT = 1e-4
"""Weight that the pixel's own light always has: no pixel divides by nothing. Above fp16's least normal, 6e-5."""

SPACING = 2.0
"""Argument of the hyperbolic sine at the widest radius: near 0 the radii are evenly spaced, above 3 each is a multiple
of the one before."""

DISCS = ("spread.0", "spread.1", "spread.2", "spread.3", "spread.4")
"""The layers that spread light. ONNX Runtime takes half as long again for the whole network on x86 where they have 8
bits, and they cost most of what 8 bits cost."""


@dataclass(frozen=True)
class LensBlurConfig:
    """Sizes of the network.

    Attributes:
        maps: planes of defocus, c of Eq. 2: one in focus, the others near and far in turn.
        context_width: channels of the half-resolution path that both heads see.
        source_width: channels of the head that mends defocus, lights and edges before the spreading.
        weight_width: channels of the head that corrects the weights after it.
    """

    maps: int = 19
    context_width: int = 32
    source_width: int = 16
    weight_width: int = 16

    def __post_init__(self) -> None:
        if self.maps < 3:
            raise ValueError(f"{self.maps} maps are too few: one is in focus, one nearer and one farther")

    @property
    def planes(self) -> tuple[float, ...]:
        """Signed defocus of each plane in pixels, from in focus to the widest.

        The radii follow a hyperbolic sine: 0.5, 1.0, 1.6, 2.2, 3.0, 3.9, 5.0, 6.3, 8 for nine of them. Two discs blend
        into one between them as well as their radii are alike in proportion, but below a pixel all discs are alike.
        """
        near, far = _radii(self.maps // 2), _radii((self.maps - 1) // 2)
        return (0.0, *sorted([*near, *(-radius for radius in far)], key=lambda c: (abs(c), -c)))


def _radii(count: int) -> list[float]:
    scale = NETWORK_RADIUS / math.sinh(SPACING)
    return [scale * math.sinh(SPACING * k / count) for k in range(1, count + 1)]


class Head(nn.Module):
    """Corrections from maps of full resolution and the context of half of it; at the start they are nearly nothing."""

    def __init__(self, inputs: int, context: int, width: int, outputs: int) -> None:
        super().__init__()
        self.local = convolution(inputs, width)
        self.around = convolution(context, width, 1)
        self.out = convolution(width, outputs, 1)
        assert self.out.bias is not None
        nn.init.normal_(self.out.weight, std=0.003)  # zeros would leave ReLUs no way out
        nn.init.zeros_(self.out.bias)

    def forward(self, maps: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """`maps` [N, inputs, H, W], `context` [N, context, H/2, W/2] → [N, outputs, H, W]."""
        return self.out(torch.relu(self.local(maps) + twice(self.around(context))))


class LensBlurNet(nn.Module):
    """Blurs an image as a lens would, given its signed defocus.

    Attributes:
        halo: pixels around a tile that its core's values can depend on.
        align: H, W and tile origins are multiples of this (context and hidden surface run at half resolution).
        exact: layers that exports leave in floats at every precision. The weights by which hidden surfaces grow span
            four orders of magnitude, and 8 bits keep none but the largest (58 dB became 41). The first head tells white
            from nearly white by small differences of large weights (60 dB became 49). The others' results are divided
            by one another. None takes long.
    """

    halo: int = 20
    align: int = 2
    exact: tuple[str, ...] = (
        "unmixing.around", "hidden.beside", "hidden.grow",
        "source.local", "source.out", "correction.out", "visibility",
    )  # fmt: skip
    rise: torch.Tensor
    start: torch.Tensor
    fall: torch.Tensor
    end: torch.Tensor

    def __init__(self, config: LensBlurConfig | None = None) -> None:
        super().__init__()
        self.config = config or LensBlurConfig()
        planes, width = self.config.planes, self.config.context_width
        for name, values in zip(("rise", "start", "fall", "end"), _slopes(planes), strict=True):
            self.register_buffer(name, values, persistent=False)
        self.unmixing, self.hidden = Unmixing(), HiddenSurface()
        self.spread = nn.ModuleList(_spreading(planes[k : k + 4]) for k in range(1, len(planes), 4))
        self.context = nn.Sequential(
            convolution(4, width, stride=2), nn.ReLU(),
            convolution(width, width), nn.ReLU(),
            convolution(width, width), nn.ReLU(),
        )  # fmt: skip
        self.source = Head(9, width, self.config.source_width, 5 + len(planes))
        self.correction = Head(len(planes) + 14, width, self.config.weight_width, len(planes))
        self.visibility = _compositing(planes)

    def forward(self, image: torch.Tensor, defocus: torch.Tensor) -> torch.Tensor:
        """Blur `image`.

        Args:
            image: [N, 3, H, W], sRGB-encoded, in [0, 1].
            defocus: [N, 1, H, W], signed circle-of-confusion radius in pixels of this map / 8, in [-1, 1];
                > 0 is nearer than the focal plane. The mean where two surfaces share a pixel, see `mixed_pixels`.

        Returns:
            [N, 3, H, W], sRGB-encoded, in [0, 1].
        """
        edge = unmix(defocus)
        scene = torch.cat([image, edge.front], dim=1)
        light = decode(image)
        hidden = self.hidden(edge.front, self.unmixing(light, edge))
        behind, depth, sure = hidden[:, :3], hidden[:, 3:4], hidden[:, 4:]
        context, seen = self.context(scene), torch.cat([scene, behind, sure, edge.through], dim=1)
        mended = self.source(seen, context)
        light = light * (1.0 + torch.relu(mended[:, :1]))
        there = (sure * (1.0 + mended[:, 1:2])).clamp(0.0, 1.0)
        through = there * (edge.through + mended[:, 2:3]).clamp(0.0, 1.0)
        front = torch.relu(self.masks((edge.front + mended[:, 3:4]).clamp(-1.0, 1.0)) + mended[:, 5:])
        back = there * self.masks((depth + mended[:, 4:5]).clamp(-1.0, 1.0))
        colours, coverage = self.maps(_planes(light, front, behind, back, through))
        corrected = self.correction(torch.cat([coverage, seen, light, depth, through], dim=1), context)
        weights = torch.relu(self.visibility(coverage) + corrected) + LEAST_WEIGHT
        total = (weights * coverage).sum(dim=1, keepdim=True) + OWN_LIGHT
        sums = [(weights * colour).sum(dim=1, keepdim=True) for colour in colours]
        return encode((torch.cat(sums, dim=1) + OWN_LIGHT * light) / total)

    def masks(self, defocus: torch.Tensor) -> torch.Tensor:
        """How much of each pixel belongs to each plane: [N, 1, H, W] in units of 8 px → [N, planes, H, W], sum 1.

        Shared between the two nearest planes so that the second moment is the true one: linearly in ±radius².
        """
        moment = defocus * defocus.abs()
        return torch.relu(torch.minimum(moment * self.rise - self.start, self.end - moment * self.fall))

    def maps(self, planes: list[torch.Tensor]) -> tuple[list[torch.Tensor], torch.Tensor]:
        """The maps of Eq. 2: red, green, blue, each [N, c, H, W], and their coverage of the same shape."""
        parts = [[plane[:, :1] for plane in planes]]
        for k, spreading in enumerate(self.spread):
            few = torch.cat([plane[:, 1 + 4 * k : 5 + 4 * k] for plane in planes], dim=1)
            parts.append(_quarters(spreading(few)))
        red, green, blue, coverage = (torch.cat([part[k] for part in parts], dim=1) for k in range(4))
        return [red, green, blue], coverage


def _spreading(planes: tuple[float, ...]) -> nn.Conv2d:
    """Convolves red, green, blue and coverage of a few planes, in this order, each plane with its own disc."""
    return FixedConvolution(disc_bank([abs(c) for c in planes], copies=4), groups=4 * len(planes))


def _planes(
    light: torch.Tensor, front: torch.Tensor, behind: torch.Tensor, back: torch.Tensor, through: torch.Tensor
) -> list[torch.Tensor]:
    """Red, green, blue and coverage of every plane before it is spread, each [N, planes, H, W].

    A pixel has two parts. What it shows belongs to its own planes, but for the share that shines through from behind
    where an edge runs through it; what it hides is whole.

    Args:
        light, behind: [N, 3, H, W], linear, shown and hidden.
        front, back: [N, planes, H, W], the planes that these belong to.
        through: [N, 1, H, W], the share of the light shown that is the hidden surface's.
    """
    shown = torch.relu(light - through * behind)
    colours = [front * shown[:, k : k + 1] + back * behind[:, k : k + 1] for k in range(3)]
    return [*colours, front * (1.0 - through) + back]


def _slopes(planes: tuple[float, ...]) -> tuple[torch.Tensor, ...]:
    """Each plane's share over the moment m = ±(c / 8)²: min(m · rise − start, end − m · fall), [1, planes, 1, 1] each.

    The outermost planes keep all beyond them.
    """
    moments = [c * abs(c) / NETWORK_RADIUS**2 for c in planes]
    order = sorted(moments)
    slopes = []
    for m in moments:
        place = order.index(m)
        rise = 1 / (m - order[place - 1]) if place else 0.0
        fall = 1 / (order[place + 1] - m) if place + 1 < len(order) else 0.0
        slopes.append((rise, m * rise - 1, fall, m * fall + 1))
    return tuple(torch.tensor(column).view(1, -1, 1, 1) for column in zip(*slopes, strict=True))


def _compositing(planes: tuple[float, ...]) -> nn.Conv2d:
    """Weights from coverage as back-to-front compositing has them, the start of the learned ones.

    A plane counts by what nearer planes leave free; the planes next to it are the same surface, cut in two by the
    sampling, and hide nothing.
    """
    order = sorted(planes)
    layer = nn.Conv2d(len(planes), len(planes), 1)
    assert layer.bias is not None
    with torch.no_grad():
        layer.bias.fill_(1.0)
        for k, c in enumerate(planes):
            for j, other in enumerate(planes):
                layer.weight[k, j] = -1.0 if order.index(other) > order.index(c) + 1 else 0.0
    return layer


def _quarters(maps: torch.Tensor) -> list[torch.Tensor]:
    """Channels in four equal parts."""
    quarter = maps.shape[1] // 4
    return [maps[:, k * quarter : (k + 1) * quarter] for k in range(4)]

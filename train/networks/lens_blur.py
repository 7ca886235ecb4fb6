"""Lens blur at the lowest level: the photo and its defocus map in, the photo blurred as by a lens out.

From DeepLens (Wang et al. 2018, sec. 3.2): maps of each colour by filters that all three share, non-negative weights
predicted from image and defocus, and their normalised sum (Eq. 2). Ours is what the maps are: the photo is split into
planes of defocus and each is spread by its own disc, so the optics is exact before anything is learned. What is learned
is what optics cannot know: where the disparity is wrong, how bright a clipped light was, which plane hides which, and
what lies behind a blurred edge. The weights start as those of back-to-front compositing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from ...runtime_ref.optics import NETWORK_RADIUS
from .filters import convolution, disc_bank, fixed
from .transfer import decode, encode

OWN_LIGHT = 1e-3
"""Weight that the pixel's own light always has: no pixel divides by nothing. Far above fp16's least normal, 6e-5."""

SPACING = 2.0
"""Argument of the hyperbolic sine at the widest radius: near 0 the radii are evenly spaced, above 3 each is a multiple
of the one before."""

FILL_FLOOR = 0.02
"""Coverage at which a filling counts half: below it there is too little light to normalise."""


@dataclass(frozen=True)
class LensBlurConfig:
    """Sizes of the network.

    Attributes:
        radii: planes on either side of the focus; with the plane in focus and the fillings they are the
            c = 2·radii + 1 + fillings maps of Eq. 2.
        fillings: groups of neighbouring planes that also come spread by the widest disc, normalised by their coverage:
            what may lie behind a blurred edge.
        context_width: channels of the half-resolution path that both heads see.
        source_width: channels of the head that mends defocus and lights before the spreading.
        weight_width: channels of the head that corrects the weights after it.
    """

    radii: int = 9
    fillings: int = 4
    context_width: int = 32
    source_width: int = 16
    weight_width: int = 16

    @property
    def planes(self) -> tuple[float, ...]:
        """Signed defocus of each plane in pixels, from in focus to the widest, near and far in turn.

        The radii follow a hyperbolic sine: 0.5, 1.0, 1.6, 2.2, 3.0, 3.9, 5.0, 6.3, 8 for nine of them. Two discs blend
        into one between them as well as their radii are alike in proportion, but below a pixel all discs are alike.
        """
        scale = NETWORK_RADIUS / math.sinh(SPACING)
        radii = [scale * math.sinh(SPACING * k / self.radii) for k in range(1, self.radii + 1)]
        return (0.0, *(sign * radius for radius in radii for sign in (1, -1)))

    @property
    def maps(self) -> int:
        """c of Eq. 2."""
        return len(self.planes) + self.fillings


class Spreading(nn.Module):
    """A few planes' light and coverage, each convolved with its disc. Nothing here is learned."""

    def __init__(self, radii: list[float]) -> None:
        super().__init__()
        self.discs = fixed(disc_bank(radii, copies=4), groups=4 * len(radii))

    def forward(self, light: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """`light` [N, 3, H, W], `masks` [N, P, H, W] → [N, 4P, H, W]: red, green, blue and coverage of all planes."""
        planes = torch.cat([masks * light[:, :1], masks * light[:, 1:2], masks * light[:, 2:], masks], dim=1)
        return self.discs(planes)


class LensBlurNet(nn.Module):
    """Blurs an image as a lens would, given its signed defocus.

    Attributes:
        halo: pixels around a tile that its core's values can depend on.
        align: H, W and tile origins are multiples of this (context and fillings run at half resolution).
    """

    halo: int = 20
    align: int = 2
    rise: torch.Tensor
    start: torch.Tensor
    fall: torch.Tensor
    end: torch.Tensor

    def __init__(self, config: LensBlurConfig | None = None) -> None:
        super().__init__()
        self.config = config or LensBlurConfig()
        planes, fillings, width = self.config.planes, self.config.fillings, self.config.context_width
        for name, values in zip(("rise", "start", "fall", "end"), _slopes(planes), strict=True):
            self.register_buffer(name, values, persistent=False)
        self.spread = nn.ModuleList(Spreading([abs(c) for c in planes[k : k + 4]]) for k in range(1, len(planes), 4))
        self.members = fixed(_membership(planes, fillings)) if fillings else None
        self.fill = Spreading([NETWORK_RADIUS / 2] * fillings) if fillings else None
        self.context = nn.Sequential(
            convolution(4, width, stride=2), nn.ReLU(),
            convolution(width, width), nn.ReLU(),
            convolution(width, width), nn.ReLU(),
        )  # fmt: skip
        self.source = nn.Sequential(
            convolution(width + 4, self.config.source_width), nn.ReLU(),
            convolution(self.config.source_width, 2 + len(planes), 1),
        )  # fmt: skip
        self.correction = nn.Sequential(
            convolution(len(planes) + width + 7, self.config.weight_width), nn.ReLU(),
            convolution(self.config.weight_width, self.config.maps, 1),
        )  # fmt: skip
        self.visibility = _compositing(planes, fillings)
        for head in (self.source[-1], self.correction[-1]):
            assert isinstance(head, nn.Conv2d)
            assert head.bias is not None
            nn.init.normal_(head.weight, std=0.003)  # the start is compositing; zeros would leave ReLUs no way out
            nn.init.zeros_(head.bias)

    def forward(self, image: torch.Tensor, defocus: torch.Tensor) -> torch.Tensor:
        """Blur `image`.

        Args:
            image: [N, 3, H, W], sRGB-encoded, in [0, 1].
            defocus: [N, 1, H, W], signed circle-of-confusion radius in pixels of this map / 8, in [-1, 1];
                > 0 is nearer than the focal plane.

        Returns:
            [N, 3, H, W], sRGB-encoded, in [0, 1].
        """
        scene = torch.cat([image, defocus], dim=1)
        seen = torch.cat([_twice(self.context(scene)), scene], dim=1)
        mended = self.source(seen)
        light = decode(image) * (1.0 + torch.relu(mended[:, 1:2]))
        masks = torch.relu(self.masks((defocus + mended[:, :1]).clamp(-1.0, 1.0)) + mended[:, 2:])
        colours, coverage = self.maps(light, masks)
        planes = coverage[:, : len(self.config.planes)]
        corrected = self.correction(torch.cat([planes, seen, light], dim=1))
        weights = torch.relu(self.visibility(planes) + corrected)
        total = (weights * coverage).sum(dim=1, keepdim=True) + OWN_LIGHT
        sums = [(weights * colour).sum(dim=1, keepdim=True) for colour in colours]
        return encode((torch.cat(sums, dim=1) + OWN_LIGHT * light) / total)

    def masks(self, defocus: torch.Tensor) -> torch.Tensor:
        """How much of each pixel belongs to each plane: [N, 1, H, W] in units of 8 px → [N, planes, H, W], sum 1.

        Shared between the two nearest planes so that the second moment is the true one: linearly in ±radius².
        """
        moment = defocus * defocus.abs()
        return torch.relu(torch.minimum(moment * self.rise - self.start, self.end - moment * self.fall))

    def maps(self, light: torch.Tensor, masks: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """The maps of Eq. 2: red, green, blue, each [N, c, H, W], and their coverage of the same shape."""
        parts = [[masks[:, :1] * light[:, k : k + 1] for k in range(3)] + [masks[:, :1]]]
        for k, spreading in enumerate(self.spread):
            few = masks[:, 1 + 4 * k : 5 + 4 * k]
            parts.append(_quarters(spreading(light, few)))
        if self.fill is not None and self.members is not None:
            low, groups = F.avg_pool2d(light, 2), F.avg_pool2d(self.members(masks), 2)
            red, green, blue, cover = _quarters(self.fill(low, groups))
            share = 1.0 / (cover + FILL_FLOOR)
            parts.append(_quarters(_twice(torch.cat([m * share for m in (red, green, blue, cover)], dim=1))))
        red, green, blue, coverage = (torch.cat([part[k] for part in parts], dim=1) for k in range(4))
        return [red, green, blue], coverage


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


def _membership(planes: tuple[float, ...], fillings: int) -> torch.Tensor:
    """[fillings, planes, 1, 1]: the planes from far to near, shared out into groups of neighbours."""
    order = sorted(range(len(planes)), key=lambda k: planes[k])
    belongs = torch.zeros(fillings, len(planes), 1, 1)
    for rank, plane in enumerate(order):
        if fillings:
            belongs[rank * fillings // len(planes), plane] = 1
    return belongs


def _compositing(planes: tuple[float, ...], fillings: int) -> nn.Conv2d:
    """Weights from coverage as back-to-front compositing has them, the start of the learned ones.

    A plane counts by what nearer planes leave free; the planes next to it are the same surface, cut in two by the
    sampling, and hide nothing. Fillings hardly count before something is learned.
    """
    order = sorted(planes)
    layer = nn.Conv2d(len(planes), len(planes) + fillings, 1)
    assert layer.bias is not None
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.fill_(1.0)
        for k, c in enumerate(planes):
            for j, other in enumerate(planes):
                if order.index(other) > order.index(c) + 1:
                    layer.weight[k, j] = -1.0
        layer.bias[len(planes) :] = 0.02
    return layer


def _twice(maps: torch.Tensor) -> torch.Tensor:
    """[N, C, H, W] → [N, C, 2H, 2W], bilinear with half-pixel centres."""
    return F.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)


def _quarters(maps: torch.Tensor) -> list[torch.Tensor]:
    """Channels in four equal parts."""
    quarter = maps.shape[1] // 4
    return [maps[:, k * quarter : (k + 1) * quarter] for k in range(4)]

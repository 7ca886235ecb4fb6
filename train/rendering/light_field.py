"""A differentiable lens: the views that an aperture gathers are made from one picture and its defocus, and averaged.

From the point u of the unit lens disc a point of the scene is seen at p + c·u, c its signed circle of confusion, as in
`aperture`. Here the scene is one picture only, so what a view sees at q is looked up: L(q, u) = I(q − u·M(q, u)), where
M(q, u) is the defocus of what lies there in that view (Srinivasan et al. 2018, Sec. 4). Gradients reach the picture and
the defocus, which is what lets a GAN learn depth from blur (Kaneko 2021).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from ..networks.transfer import decode, encode


def view_points(side: int) -> torch.Tensor:
    """Points of a square grid of `side` × `side` views that lie in a round aperture.

    Args:
        side: odd, so that one view looks through the centre. 5 leaves 21 views, without the corners; 1 is a pinhole.

    Returns:
        [V, 2] of (x, y) with mean 0 and the mean squared radius of a full disc, 1/2 (0 for a pinhole); the middle row
        is the centre (0, 0).
    """
    if side < 1 or side % 2 == 0:
        raise ValueError(f"views must be an odd number a side, not {side}: one of them looks through the centre")
    steps = torch.arange(side) - side // 2
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    points = torch.stack([x, y], dim=-1).reshape(-1, 2).float()
    points = points[points.norm(dim=1) <= side // 2 + 0.25]
    return points * (0.5 / points.square().sum(1).mean().clamp(min=1e-12)).sqrt()


class ApertureRenderer(nn.Module):
    """Picture and defocus → the same through a lens.

    Attributes:
        points: [V, 2], see `view_points`.
        expansion: the network T, or None for views that only look up the defocus.
    """

    points: torch.Tensor

    def __init__(self, side: int = 5, expansion: bool = True) -> None:
        super().__init__()
        self.register_buffer("points", view_points(side), persistent=False)
        self.expansion = ViewExpansion(len(self.points)) if expansion else None

    def forward(self, image: torch.Tensor, defocus: torch.Tensor) -> torch.Tensor:
        """The mean of all views in linear light: a constant picture stays as it is.

        Args:
            image: [N, 3, H, W], sRGB-encoded in [0, 1].
            defocus: [N, 1, H, W], signed radius of the circle of confusion in pixels, > 0 nearer than the focus.

        Returns:
            [N, 3, H, W], sRGB-encoded in [0, 1].
        """
        return encode(self.light_field(image, defocus).mean(dim=2))

    def light_field(self, image: torch.Tensor, defocus: torch.Tensor) -> torch.Tensor:
        """What each view sees, in linear light: [N, 3, V, H, W]."""
        return self._warped(decode(image), self.view_defocus(defocus))

    def view_defocus(self, defocus: torch.Tensor) -> torch.Tensor:
        """The defocus of what each view sees: [N, 1, H, W] → M [N, V, H, W] in pixels.

        At q a view meets about what the picture holds at q − u·c(q), whose defocus is taken: beside an edge of
        something sharp the background then stays the background, instead of spreading the edge's colour.
        """
        views = len(self.points)
        expanded = self._warped(defocus, defocus.expand(-1, views, -1, -1))[:, 0]
        return expanded if self.expansion is None else expanded + self.expansion(expanded)

    def _warped(self, maps: torch.Tensor, defocus: torch.Tensor) -> torch.Tensor:
        """maps [N, C, H, W] at q − u·defocus [N, V, H, W], bilinear, the border repeated: [N, C, V, H, W]."""
        count, channels, height, width = maps.shape
        views = len(self.points)
        size = maps.new_tensor([width, height])
        x = (torch.arange(width, device=maps.device) + 0.5) * (2 / width) - 1
        y = (torch.arange(height, device=maps.device) + 0.5) * (2 / height) - 1
        here = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)
        moved = (self.points * (-2 / size))[:, None, None]
        grid = torch.addcmul(here, defocus[..., None], moved).reshape(count, views * height, width, 2)
        found = F.grid_sample(maps, grid, mode="bilinear", padding_mode="border", align_corners=False)
        return found.reshape(count, channels, views, height, width)


class ViewExpansion(nn.Module):
    """T: what the views' defocus needs beyond looking it up, learned from all views together and bounded.

    As far as is known Kaneko's T is three convolutions over all views. Ours is two, the last starts at zero, and a view
    moves by less than `REACH`: the geometry stays the depth's own.
    """

    REACH = 0.5
    """Pixels of defocus."""

    def __init__(self, views: int, width: int = 16) -> None:
        super().__init__()
        self.mix = nn.Conv2d(views, width, 3, padding=1)
        self.residual = nn.Conv2d(width, views, 3, padding=1)
        nn.init.zeros_(self.residual.weight)
        nn.init.zeros_(self.residual.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, defocus: torch.Tensor) -> torch.Tensor:
        """[N, V, H, W] in pixels → what to add, [N, V, H, W]; 0 where the lens does not blur at all."""
        scale = defocus.abs().amax(dim=1, keepdim=True)
        residual = self.REACH * torch.tanh(self.residual(F.leaky_relu(self.mix(defocus), 0.2)))
        return residual * scale / (scale + self.REACH)

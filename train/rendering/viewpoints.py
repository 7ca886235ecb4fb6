"""The geometry of a turned viewpoint: a camera on an orbit about the scene, and what it sees of another's picture.

Pure functions of pictures, depth and poses. Cameras look along z, x points right and y down; the unit of length is the
distance from the camera to the point it turns about, which lies on its axis, where the lens focuses. What generates
the pictures lives in `train.networks.viewpoint`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.nn import functional as F

OCCLUDED = 0.1
"""Disparity by which a point may lie behind what a picture shows there and still count as seen: a fifth of `GAIN`."""

GAIN = 0.5
"""Disparity between the focus and the largest defocus: the scene reaches from 2/3 to 2 units away."""


@dataclass(frozen=True)
class Camera:
    """A pinhole for square pictures.

    Attributes:
        focal: focal length in units of the picture's side; 1.5 sees 37°, as a portrait lens does about.
    """

    focal: float = 1.5


class Sight(NamedTuple):
    """What is generated from one viewpoint.

    Attributes:
        image: [N, 3, S, S].
        disparity: [N, 1, S, S], 1 / z.
        view: [N, 2], azimuth and elevation in radians.
    """

    image: torch.Tensor
    disparity: torch.Tensor
    view: torch.Tensor


class Found(NamedTuple):
    """Where the points of one camera's picture lie in another's.

    Attributes:
        grid: [N, S, S, 2] of (x, y) in [-1, 1] from edge to edge, as `grid_sample` takes it without `align_corners`.
        disparity: [N, 1, S, S], as the other camera would see it.
    """

    grid: torch.Tensor
    disparity: torch.Tensor


def drawn_views(count: int, reach_degrees: tuple[float, float], rng: torch.Generator) -> torch.Tensor:
    """Poses drawn uniformly: [N, 2] of azimuth and elevation in radians, each within ± its reach in degrees."""
    reach = torch.tensor([math.radians(degrees) for degrees in reach_degrees])
    return (2 * torch.rand(count, 2, generator=rng) - 1) * reach


def disparity_of(share: torch.Tensor) -> torch.Tensor:
    """Signed defocus as a share of the largest → 1 / z, in the units of this module.

    A thin lens blurs by an amount that is linear in disparity, so that this is its geometry: in focus is what lies
    where the camera turns about, at 1.
    """
    return 1 + GAIN * share


def rotations(view: torch.Tensor) -> torch.Tensor:
    """Poses [N, 2] → [N, 3, 3], from the scene's axes to the camera's.

    A positive azimuth moves the camera to the right, a positive elevation up; it goes on looking at the centre.
    """
    (c, s), (d, t) = ((angle.cos(), angle.sin()) for angle in view.unbind(1))
    zero = torch.zeros_like(c)
    rows = [c, zero, s, s * t, d, -t * c, -s * d, t, d * c]
    return torch.stack(rows, dim=1).reshape(-1, 3, 3)


def found_in(disparity: torch.Tensor, view: torch.Tensor, other: torch.Tensor, camera: Camera) -> Found:
    """Unproject a picture's pixels, turn about the scene's centre, project.

    Args:
        disparity: [N, 1, S, S] at the first camera.
        view: [N, 2], the first camera's pose.
        other: [N, 2], the other's.
        camera: of both.
    """
    turn = rotations(other) @ rotations(view).mT
    return projected(turned(unprojected(disparity, camera), turn), camera)


def unprojected(disparity: torch.Tensor, camera: Camera) -> torch.Tensor:
    """[N, 1, S, S] → points [N, 3, S, S] in the camera's axes, the camera at 0."""
    side = disparity.shape[-1]
    axis = ((torch.arange(side, device=disparity.device, dtype=disparity.dtype) + 0.5) / side - 0.5) / camera.focal
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x, y, torch.ones_like(x)]) / disparity


def turned(points: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """Points [N, 3, S, S] in another camera's axes; turn [N, 3, 3] about the centre, (0, 0, 1)."""
    centre = points.new_tensor([0, 0, 1])[:, None, None]
    return torch.einsum("nij,njhw->nihw", turn, points - centre) + centre


def projected(points: torch.Tensor, camera: Camera) -> Found:
    """Points [N, 3, S, S] before the camera → where they lie in its picture."""
    disparity = 1 / points[:, 2:].clamp(min=1e-3)  # behind the camera: far outside the picture
    grid = 2 * camera.focal * points[:, :2] * disparity
    return Found(grid.movedim(1, -1), disparity)


def sampled(maps: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """maps [N, C, S, S] at a `Found.grid`, bilinear, the border repeated."""
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="border", align_corners=False)


def inconsistency(first: Sight, second: Sight, camera: Camera | None = None) -> torch.Tensor:
    """How far two pictures are from showing one scene, both ways: mean absolute difference of colour and of disparity.

    The warping consistency of Noguchi & Harada 2020 (RGBD-GAN). Points that the other picture hides behind something
    nearer, or that lie outside it, do not count. 0 for a scene without highlights, up to interpolation.
    """
    camera = camera or Camera()
    return (_difference(first, second, camera) + _difference(second, first, camera)) / 2


def _difference(here: Sight, there: Sight, camera: Camera) -> torch.Tensor:
    """Of what `here` shows from the same points in `there`."""
    found = found_in(here.disparity, here.view, there.view, camera)
    disparity = sampled(there.disparity, found.grid)
    colour = (here.image - sampled(there.image, found.grid)).abs().mean(dim=1, keepdim=True)
    inside = (found.grid.abs() <= 1).all(dim=-1)[:, None]
    counts = inside & (found.disparity > disparity - OCCLUDED)
    difference = colour + (found.disparity - disparity).abs()
    return (difference * counts).sum() / counts.sum().clamp(min=1)

"""What is known of a focal stack beside its pictures: the camera, where each slice was focused, and how near and far
things may be. Of this a network needs one table, the radius of every slice's circle of confusion at K depths."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from ...runtime_ref.errors import DofkitError
from .defocus import ThinLensCamera


@dataclass(frozen=True)
class FocusSweep:
    """How a stack was taken.

    Attributes:
        camera: of all slices.
        focus: distance of each slice's plane in focus, in metres.
        near, far: of what depths are asked for, in metres.
    """

    camera: ThinLensCamera
    focus: tuple[float, ...]
    near: float
    far: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) and value > self.camera.focal_length for value in self.focus):
            raise DofkitError("focus distances are metres beyond the focal length; give such as 1,1.5,2.5,4,6")
        if not (0 < self.near < self.far and math.isfinite(self.far)):
            raise DofkitError(f"depths from {self.near:g} to {self.far:g} m; give a near above 0 and a far beyond it")

    def depths(self, count: int) -> torch.Tensor:
        """[count] depths in metres from near to far, each the same factor from the one before."""
        return torch.logspace(math.log10(self.near), math.log10(self.far), count)

    def radius(self, count: int) -> torch.Tensor:
        """[S, count], the signed radius in pixels of each slice at these depths."""
        depths = self.depths(count)
        return torch.stack([self.camera.radius(depths, focus) for focus in self.focus])

    def depth_at(self, place: torch.Tensor, count: int) -> torch.Tensor:
        """Metres of places in [0, count − 1]; between two depths 1 / depth is linear, as the radii are."""
        inverse = 1 / self.depths(count).to(place)
        lower = place.detach().floor().clamp(0, count - 2).long()
        share = place - lower
        return 1 / (inverse[lower] * (1 - share) + inverse[lower + 1] * share)

    def place_of(self, depth: torch.Tensor, count: int) -> torch.Tensor:
        """The inverse of `depth_at`; depths beyond near and far are these."""
        depths = self.depths(count).to(depth)
        depth = depth.clamp(self.near, self.far)
        lower = (torch.searchsorted(depths, depth.contiguous(), right=True) - 1).clamp(0, count - 2)
        near, far = 1 / depths[lower], 1 / depths[lower + 1]
        return lower + (near - 1 / depth) / (near - far)

    def ordered(self, order: list[int]) -> FocusSweep:
        """Of the slices in another order, or of some of them."""
        return replace(self, focus=tuple(self.focus[number] for number in order))


SWEEPS = {
    # 50 mm at f/8: what NYUv2's stacks are rendered with
    "nyu": FocusSweep(ThinLensCamera(50e-3, 8.0, 12e-6), (1.0, 1.5, 2.5, 4.0, 6.0), 0.5, 10.0),
    "nyu-wide": FocusSweep(ThinLensCamera(2.9e-3, 0.5, 5.6e-6), (1.0, 3.0, 5.0, 7.0, 9.0), 0.5, 10.0),
    "nyu-100": FocusSweep(ThinLensCamera(17e-3, 1.2, 12e-6), (1.0, 3.0, 5.0, 7.0, 9.0), 0.5, 10.0),
    "defocusnet": FocusSweep(ThinLensCamera(7.2e-3, 1.2, 5.6e-6), (0.3, 0.45, 0.75, 1.2, 1.8), 0.1, 3.0),
    "mobile": FocusSweep(ThinLensCamera(50e-3, 24.0, 5.6e-6), (0.3, 0.45, 0.75, 1.2, 1.8), 0.1, 3.0),
}
"""The cameras of Si et al. 2023 with the focus distances of their data, at the size at which each set's stacks are
made; "nyu" is the one that results are compared with."""

"""What the lens blur takes to lie behind a pixel."""

from __future__ import annotations

import pytest
import torch

from dofkit.train.networks.hidden_surface import HiddenSurface
from dofkit.train.networks.lens_blur import LensBlurNet, _planes
from dofkit.train.networks.mixed_pixels import Farther

RED, GREEN, BLUE = ((torch.arange(3) == k).float().view(1, 3, 1, 1) for k in range(3))


def behind(light: torch.Tensor, defocus: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Light, defocus in pixels and presence of what is hidden."""
    with torch.no_grad():
        found = HiddenSurface()(defocus / 8, Farther(light, defocus / 8, torch.ones_like(defocus)))
    return found[:, :3], found[0, 3] * 8, found[0, 4]


def sheets(*columns: tuple[int, torch.Tensor, float]) -> tuple[torch.Tensor, torch.Tensor]:
    """Upright stripes side by side, each of a width in pixels, a colour and a defocus in pixels; 40 rows."""
    light = torch.cat([colour.expand(1, 3, 40, width) for width, colour, _ in columns], dim=3)
    defocus = torch.cat([torch.full((1, 1, 40, width), c) for width, _, c in columns], dim=3)
    return light, defocus


@pytest.mark.parametrize(("far", "near"), [(0.0, 5.0), (-6.0, 0.0), (-8.0, 8.0)])
def test_behind_the_edge_of_a_near_sheet_lies_the_far_one(far: float, near: float) -> None:
    light, defocus, there = behind(*sheets((30, RED, far), (30, GREEN, near)))
    edge = slice(30, 33)
    assert there[20, edge].min() > 0.6
    assert light[0, 0, 20, edge].min() > 0.95  # red, not the green that hides it
    assert light[0, 1, 20, edge].max() < 0.05
    assert defocus[20, edge].sub(far).abs().max() < 0.3


def test_nothing_is_behind_the_farthest_nor_far_from_any_edge() -> None:
    _, _, there = behind(*sheets((30, RED, 0.0), (30, GREEN, 5.0)))
    assert there[20, :30].max() == 0
    assert there[20, 45:].max() == 0


def test_pixels_whose_colour_is_unknown_tell_nothing_of_what_lies_behind() -> None:
    light, defocus = sheets((29, RED, -6.0), (1, BLUE, -6.0), (30, GREEN, 5.0))
    known = torch.ones_like(defocus)
    known[..., 29] = 0.0
    with torch.no_grad():
        found = HiddenSurface()(defocus / 8, Farther(light, defocus / 8, known))[0, :, 20, 30:33]
    assert found[0].min() > 0.95
    assert found[2].max() < 0.05


@pytest.mark.parametrize("steps", [0.05, 0.1, 0.2])
def test_a_slanted_sheet_hides_nothing(steps: float) -> None:
    defocus = (torch.arange(80) * steps - 4).expand(1, 1, 40, 80)
    assert behind(RED.expand(1, 3, 40, 80), defocus)[2].max() < 0.2


def test_what_is_beside_an_edge_counts_more_than_what_is_two_pixels_away() -> None:
    light, _, _ = behind(*sheets((29, RED, -6.0), (1, BLUE, -6.0), (30, GREEN, 5.0)))
    assert light[0, 2, 20, 30] > 0.9


def test_of_two_sheets_behind_the_nearer_one_is_taken() -> None:
    light, defocus, _ = behind(*sheets((20, RED, -6.0), (20, BLUE, 0.0), (20, GREEN, 6.0)))
    assert light[0, 2, 20, 41:45].min() > 0.9
    assert defocus[20, 41:45].abs().max() < 0.5


def test_a_pixels_light_is_shared_out_between_its_planes_and_what_shines_through() -> None:
    network, generator = LensBlurNet(), torch.Generator().manual_seed(0)
    light, behind = torch.rand(2, 1, 3, 8, 8, generator=generator)
    front, back = network.masks(torch.full((1, 1, 8, 8), 0.5)), network.masks(torch.full((1, 1, 8, 8), -0.5))
    planes = _planes(light + behind, front, behind, back, through=torch.full((1, 1, 8, 8), 0.25))
    colours = torch.cat([plane.sum(dim=1, keepdim=True) for plane in planes[:3]], dim=1)
    assert colours.allclose(light + behind - 0.25 * behind + behind, atol=1e-6)
    assert planes[3].sum(dim=1).allclose(torch.tensor(1.75), atol=1e-5)  # its own three quarters, the whole behind

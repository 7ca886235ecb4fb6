"""Pixels that two surfaces share, taken apart by their defocus, then by their colour."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dofkit.train.networks.mixed_pixels import WHOLE, Mixture, Unmixing, unmix


def edge(far: float, near: float, share: float) -> torch.Tensor:
    """[1, 1, 20, 20]: a far sheet, a column that is the near one's by `share`, the near sheet."""
    defocus = torch.full((1, 1, 20, 20), far)
    defocus[..., 10] = share * near + (1 - share) * far
    defocus[..., 11:] = near
    return defocus


def column(mixture: Mixture, x: int = 10) -> tuple[float, float, float]:
    front, mixed, through = (float(plane[0, 0, 8, x]) for plane in (mixture.front, mixture.mixed, mixture.through))
    return front, mixed, through


@given(st.floats(-8, 7), st.floats(1, 8), st.floats(0.1, 0.9))
def test_an_edges_pixel_is_the_near_sheets_and_lets_its_share_of_the_far_one_through(
    far: float, step: float, share: float
) -> None:
    front, mixed, through = column(unmix(edge(far, far + step, share) / 8))
    assert mixed == pytest.approx(1.0, abs=1e-4)
    assert front * 8 == pytest.approx(far + step, abs=1e-3)
    assert through == pytest.approx(1 - share, abs=0.01)  # what keeps flat pictures from dividing by nothing


@pytest.mark.parametrize("share", [0.0, WHOLE / 2, 1 - WHOLE / 2, 1.0])
def test_a_pixel_that_is_one_sheets_stays_whole(share: float) -> None:
    defocus = edge(-5.0, 3.0, share)
    mixture = unmix(defocus / 8)
    assert mixture.mixed.max() == 0
    assert mixture.through.max() == 0
    assert torch.equal(mixture.front * 8, defocus)


@pytest.mark.parametrize("slope", [-0.1, 0.02, 0.12])
def test_a_slanted_sheet_is_no_mixture(slope: float) -> None:
    defocus = (torch.arange(20) * slope).expand(1, 1, 20, 20) / 8
    assert torch.equal(unmix(defocus).front, defocus)


def farther(light: torch.Tensor, defocus: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Light, defocus and certainty of the farther surface in each pixel."""
    found = Unmixing()(light, unmix(defocus / 8))
    return found.light, found.defocus * 8, found.known


@given(st.floats(0.1, 0.9), st.integers(0, 2**31))
def test_a_mixed_pixel_tells_the_colour_of_the_far_sheet_beside_it(share: float, seed: int) -> None:
    """A far sheet of one colour up to the edge, where it has another: what no whole pixel shows."""
    near, far, beside = torch.rand(3, 1, 3, 1, 1, generator=torch.Generator().manual_seed(seed))
    defocus, light = edge(-4.0, 3.0, share), far.repeat(1, 1, 20, 20)
    light[..., 10:] = near
    light[..., 10:11] = share * near + (1 - share) * beside
    colour, behind, known = farther(light, defocus)
    through = float(unmix(defocus / 8).through[0, 0, 8, 10])
    normal = through * (1 - share) / (through**2 + (1 - through) ** 2)  # of the two unknown colours' least squares
    expected = (far + normal * (beside - far)).clamp(0, 1)
    assert torch.allclose(colour[..., 8, 10:11].unsqueeze(-1)[..., 0], expected[..., 0], atol=0.05)
    assert float(behind[0, 0, 8, 10]) == pytest.approx(-4.0, abs=1e-3)
    assert 0 < float(known[0, 0, 8, 10]) <= 1


def test_of_a_pixel_that_is_nearly_all_the_far_sheets_its_own_colour_remains() -> None:
    beside = torch.tensor([0.9, 0.1, 0.4]).view(1, 3, 1, 1)
    light = torch.full((1, 3, 20, 20), 0.2)
    light[..., 10:] = 0.6
    light[..., 10:11] = 0.1 * 0.6 + 0.9 * beside
    colour, _, known = farther(light, edge(-4.0, 3.0, 0.1))
    assert torch.allclose(colour[..., 8, 10].flatten(), beside.flatten(), atol=0.05)
    assert float(known[0, 0, 8, 10]) > 0.75


def test_whole_pixels_keep_their_colour_and_are_sure_of_it() -> None:
    light, defocus = torch.rand(1, 3, 20, 20), edge(-4.0, 3.0, 0.5)
    colour, behind, known = farther(light, defocus)
    whole = [*range(10), *range(11, 20)]
    assert torch.equal(colour[..., whole], light[..., whole])
    assert torch.allclose(behind[..., whole], defocus[..., whole])
    assert bool((known[..., whole] == 1).all())


def test_a_thin_things_colour_is_mixed_itself_and_tells_nothing() -> None:
    defocus = torch.full((1, 1, 20, 20), -4.0)
    defocus[..., 10], defocus[..., 11] = 3.0, -3.0
    assert farther(torch.rand(1, 3, 20, 20), defocus)[2][..., 5:15, 11].max() == 0

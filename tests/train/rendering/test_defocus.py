"""The thin lens against closed forms, spreading against brute force and against each other, gradients against
differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dofkit.runtime_ref.errors import DofkitError
from dofkit.train.rendering.baselines.layered import LayeredBlur
from dofkit.train.rendering.defocus import (
    Psf,
    ThinLensCamera,
    gaussian_blur,
    shares_of_bank,
    spread,
    spread_by_bank,
    spread_by_discs,
)
from dofkit.train.rendering.focus_sweep import SWEEPS, FocusSweep
from dofkit.train.rendering.layered import SceneLens
from dofkit.train.rendering.lens import to_linear, to_srgb

CAMERA = ThinLensCamera(50e-3, 8.0, 12e-6)


def picture(side: int = 40, channels: int = 3) -> torch.Tensor:
    coarse = torch.rand(1, channels, side // 2, side // 2, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse, scale_factor=2.0, mode="bilinear")


def decibels(first: torch.Tensor, second: torch.Tensor) -> float:
    return float(-10 * (first - second).square().mean().log10())


def test_the_circle_of_confusion_is_that_of_similar_triangles() -> None:
    # the cone from an aperture of f/N to the image at v, cut at the sensor at s: |v − s| / v of the aperture
    depth, focus, f = 3.0, 1.5, 50e-3
    sensor, image = f * focus / (focus - f), f * depth / (depth - f)
    diameter = (f / 8) * abs(image - sensor) / image
    found = CAMERA.confusion(torch.tensor(depth, dtype=torch.float64), focus)
    assert float(found) == pytest.approx(-diameter, rel=1e-9)
    assert float(CAMERA.radius(torch.tensor(depth), focus)) == pytest.approx(-diameter / 2 / 12e-6, rel=1e-5)
    assert float(CAMERA.confusion(torch.tensor(1.5), focus)) == 0
    assert float(CAMERA.confusion(torch.tensor(1.0), focus)) > 0  # nearer


def test_a_reduced_picture_has_smaller_radii() -> None:
    depth = torch.tensor(4.0)
    assert float(CAMERA.reduced(2).radius(depth, 1.0)) == pytest.approx(float(CAMERA.radius(depth, 1.0)) / 2)


def test_a_focus_within_the_focal_length_and_a_camera_of_nothing_are_refused() -> None:
    with pytest.raises(DofkitError, match=r"a lens of 50 mm cannot focus at 0\.04 m"):
        CAMERA.radius(torch.tensor(1.0), 0.04)
    with pytest.raises(DofkitError, match="f number is 0; give a number above 0"):
        ThinLensCamera(50e-3, 0.0, 12e-6)


def brute_force(image: np.ndarray, radius: np.ndarray, psf: Psf) -> np.ndarray:
    """[H, W] scattered pixel by pixel, each point's weights summing to 1 on an unbounded plane."""
    height, width = image.shape
    light, weight = np.zeros((height + 24, width + 24)), np.zeros((height + 24, width + 24))
    y, x = np.mgrid[-12:13, -12:13]
    for row in range(height):
        for column in range(width):
            c, r = abs(radius[row, column]), np.hypot(y, x)
            if psf is Psf.GAUSSIAN:
                kernel = np.exp(-2 * r**2 / max(c, 0.2) ** 2)
            else:
                kernel = np.clip(c + 0.5 - r, 0, 1)
                kernel[12, 12] = 1
            kernel /= kernel.sum()
            window = np.s_[row : row + 25, column : column + 25]
            light[window] += kernel * image[row, column]
            weight[window] += kernel
    return (light / np.maximum(weight, 1e-12))[12:-12, 12:-12]


@pytest.mark.parametrize("psf", list(Psf))
def test_spreading_equals_brute_force_with_windows_as_large_as_the_circle_needs(psf: Psf) -> None:
    image = picture(16, 1).double()
    radius = torch.linspace(-4, 2.2, 16, dtype=torch.float64).expand(1, 1, 16, 16)
    found = spread(image, radius, psf)[0, 0].numpy()
    assert np.abs(found - brute_force(image[0, 0].numpy(), radius[0, 0].numpy(), psf)).max() < 1e-5


def test_a_point_becomes_a_gaussian_of_half_the_radius() -> None:
    point = torch.zeros(1, 1, 61, 61, dtype=torch.float64)
    point[..., 30, 30] = 1
    found = spread(point, torch.full_like(point, 6.0))[0, 0]
    distance = torch.arange(61, dtype=torch.float64) - 30
    variance = float((found.sum(0) * distance**2).sum() / found.sum())
    assert math.sqrt(variance) == pytest.approx(3.0, rel=1e-4)
    assert float(found.sum()) == pytest.approx(1.0, rel=1e-3)


def test_gradients_of_picture_and_radius_are_right() -> None:
    image = torch.rand(1, 1, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    radius = torch.linspace(0.9, 1.6, 12, dtype=torch.float64).reshape(1, 1, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(spread, (image, radius), fast_mode=True)
    assert torch.autograd.gradcheck(spread_by_bank, (image, radius), fast_mode=True)


def test_depth_has_a_gradient_through_the_lens() -> None:
    depth = torch.full((1, 1, 16, 16), 2.5, requires_grad=True)
    truth = spread_by_bank(picture(16), CAMERA.radius(torch.full((1, 1, 16, 16), 3.0), 1.5))
    (spread_by_bank(picture(16), CAMERA.radius(depth, 1.5)) - truth).square().mean().backward()
    assert depth.grad is not None
    assert float(depth.grad.sum()) < 0  # farther would be nearer to the truth


@pytest.mark.parametrize(
    ("fast", "psf", "least"), [(spread_by_bank, Psf.GAUSSIAN, 45), (spread_by_discs, Psf.DISC, 42)]
)
def test_the_banks_are_near_what_is_exact(fast, psf: Psf, least: float) -> None:
    image, radius = picture(48), torch.linspace(-2, 9, 48).expand(1, 1, 48, 48)
    assert decibels(fast(image, radius), spread(image, radius, psf)) > least


@pytest.mark.parametrize("blur", [spread, spread_by_bank, spread_by_discs])
def test_flat_colour_stays_flat_up_to_the_border(blur) -> None:
    image, radius = torch.full((1, 3, 24, 32), 0.3), torch.linspace(-5, 8, 32).expand(1, 1, 24, 32)
    assert torch.allclose(blur(image, radius), image, atol=1e-4)


def test_a_banks_mixture_has_the_variance_that_was_asked_for() -> None:
    bank = torch.tensor([0.01, 1.0, 4.0, 9.0])
    variance = torch.tensor([0.5, 1.0, 3.3, 8.9]).reshape(1, 1, 4)
    share = shares_of_bank(variance, bank)
    assert torch.allclose(share.sum(1), torch.ones(1, 4))
    assert torch.allclose((share * bank[:, None]).sum(1), variance[:, 0], atol=1e-5)


def test_blur_by_matrices_is_a_convolution() -> None:
    from scipy import ndimage

    image = picture(40, 1)[0, 0].numpy().astype(np.float64)
    found = gaussian_blur(torch.from_numpy(image), 2.0).numpy()
    assert np.allclose(found, ndimage.gaussian_filter(image, 2.0, mode="constant", truncate=8), atol=1e-6)


def test_a_plane_through_the_lens_agrees_with_the_layered_renderer() -> None:
    image = picture(64)
    encoded = image[0].permute(1, 2, 0).numpy()
    radius = float(CAMERA.radius(torch.tensor(2.0), 1.5))
    theirs = LayeredBlur().render(encoded, np.zeros((64, 64), np.float32), SceneLens(1.0, 1.0, abs(radius) * 40))
    light = torch.from_numpy(to_linear(encoded)).permute(2, 0, 1)[None]
    ours = to_srgb(spread_by_discs(light, torch.full((1, 1, 64, 64), radius))[0].permute(1, 2, 0).numpy())
    inside = np.s_[8:-8, 8:-8]  # what lies beyond the border is mirrored there and left out here
    assert np.abs(ours - theirs)[inside].max() < 2e-3


def test_places_and_depths_are_inverse_and_radii_are_linear_between_places() -> None:
    sweep = SWEEPS["nyu"]
    depth = torch.tensor([0.5, 0.77, 2.0, 6.5, 10.0])
    place = sweep.place_of(depth, 24)
    assert torch.allclose(sweep.depth_at(place, 24), depth, rtol=1e-4)
    radius = sweep.radius(24)
    middle = sweep.camera.radius(sweep.depth_at(torch.tensor([7.5]), 24), 1.5)
    assert float(middle) == pytest.approx(float(radius[1, 7:9].mean()), rel=1e-4)
    assert sweep.ordered([2, 0]).focus == (2.5, 1.0)


def test_a_sweep_without_sense_is_refused() -> None:
    with pytest.raises(DofkitError, match="focus distances are metres"):
        FocusSweep(CAMERA, (1.0, -2.0), 0.5, 10.0)
    with pytest.raises(DofkitError, match="depths from 3 to 1 m"):
        FocusSweep(CAMERA, (1.0, 2.0), 3.0, 1.0)

"""The weights that ship: small enough, alive, and right where a closed form says what is right."""

from __future__ import annotations

import pytest
import torch

from dofkit.runtime_ref.stage import Stage
from dofkit.train.networks import LensBlurNet
from dofkit.train.rendering.lens import disc
from dofkit.train.weights import SHIPPED, load_weights, weights_file


@pytest.fixture(scope="module")
def blur() -> LensBlurNet:
    network = load_weights(Stage.LENS_BLUR)
    assert isinstance(network, LensBlurNet)
    return network


@pytest.fixture
def noise() -> torch.Tensor:
    """A soft random picture, [1, 3, 96, 96]."""
    coarse = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse, scale_factor=4.0, mode="bilinear")


def _psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(-10 * torch.log10((a - b)[..., 16:-16, 16:-16].square().mean()))


def test_all_stages_together_take_at_most_12_mb() -> None:
    assert sum(weights_file(stage, SHIPPED).stat().st_size for stage in Stage) <= 12_000_000


def test_the_kernels_see_as_far_as_the_blur_reaches(blur: LensBlurNet, noise: torch.Tensor) -> None:
    # A kernel path whose ReLUs have died predicts from the nearest two pixels alone, and its loss hardly shows it.
    defocus = torch.full((1, 1, 96, 96), -0.5)
    defocus[..., 40:] = 0.5
    scene = torch.cat([noise, defocus], dim=1).requires_grad_()
    blur.kernels(scene)[..., 48, 48].sum().backward()
    assert scene.grad is not None
    rows = scene.grad.abs().sum((0, 1)).amax(1).nonzero()
    assert int(rows.min()) <= 48 - 8
    assert int(rows.max()) >= 48 + 8


@pytest.mark.parametrize("value", [0.2, 0.5, 1.0])
def test_flat_colour_stays_flat_at_any_defocus(blur: LensBlurNet, value: float) -> None:
    picture = torch.full((1, 3, 64, 64), value)
    for c in (-1.0, 0.0, 0.5):
        with torch.inference_mode():
            output = blur(picture, torch.full((1, 1, 64, 64), c))
        assert (output - picture)[..., 16:-16, 16:-16].abs().max() < 0.02


def test_what_is_in_focus_passes_through(blur: LensBlurNet, noise: torch.Tensor) -> None:
    with torch.inference_mode():
        assert _psnr(blur(noise, torch.zeros(1, 1, 96, 96)), noise) > 40


def test_uniform_defocus_is_close_to_a_disc(blur: LensBlurNet, noise: torch.Tensor) -> None:
    for radius in (3.0, 6.0):
        kernel = torch.from_numpy(disc(radius))[None, None]
        light = torch.nn.functional.conv2d(noise.transpose(0, 1) ** 2.2, kernel, padding=kernel.shape[-1] // 2)
        truth = light.transpose(0, 1).clamp(0, 1) ** (1 / 2.2)
        with torch.inference_mode():
            output = blur(noise, torch.full((1, 1, 96, 96), -radius / 8))
        assert _psnr(output, truth) > _psnr(noise, truth) + 6

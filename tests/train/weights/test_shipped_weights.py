"""The weights that ship: small enough, alive, and right where a closed form says what is right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from dofkit.runtime_ref.pipeline.portrait import Lens, PortraitPipeline
from dofkit.runtime_ref.pipeline.stage import PIPELINE_STAGES, Stage
from dofkit.train.networks import LensBlurNet
from dofkit.train.rendering.lens import disc
from dofkit.train.session import default_plan, torch_sessions
from dofkit.train.weights import SHIPPED, load_weights, weights_file

RENDERING = (Stage.LENS_BLUR, Stage.GUIDED_UPSAMPLING)


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
    return float(-10 * torch.log10((a - b)[..., 20:-20, 20:-20].square().mean()))


def test_all_stages_together_take_at_most_12_mb() -> None:
    assert sum(weights_file(stage, SHIPPED).stat().st_size for stage in PIPELINE_STAGES) <= 12_000_000


def test_both_rendering_networks_take_at_most_2_mb_in_fp16() -> None:
    numbers = sum(p.numel() for stage in RENDERING for p in load_weights(stage).parameters())
    assert 2 * numbers <= 2_000_000


def test_the_learned_paths_are_alive(blur: LensBlurNet) -> None:
    # A path whose ReLUs have all died costs a few tenths of a decibel, and no loss shows it.
    image = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    defocus = torch.linspace(-1, 1, 96).expand(1, 1, 96, 96)
    alive: dict[str, float] = {}

    def count(name: str) -> Any:
        return lambda module, given: alive.update({name: float((given[0] > 0).any((0, 2, 3)).float().mean())})

    readers = {"context": blur.source.around, "source": blur.source.out, "correction": blur.correction.out}
    hooks = [module.register_forward_pre_hook(count(name)) for name, module in readers.items()]
    with torch.inference_mode():
        blur(image, defocus)
    for hook in hooks:
        hook.remove()
    assert min(alive.values()) > 0.6, alive


@pytest.mark.parametrize("value", [0.2, 0.5, 1.0])
def test_flat_colour_stays_flat_at_any_defocus(blur: LensBlurNet, value: float) -> None:
    picture = torch.full((1, 3, 64, 64), value)
    for c in (-1.0, 0.0, 0.5):
        with torch.inference_mode():
            output = blur(picture, torch.full((1, 1, 64, 64), c))
        assert (output - picture)[..., 20:-20, 20:-20].abs().max() < 0.02


def test_what_is_in_focus_passes_through(blur: LensBlurNet, noise: torch.Tensor) -> None:
    with torch.inference_mode():
        assert _psnr(blur(noise, torch.zeros(1, 1, 96, 96)), noise) > 40


@pytest.mark.parametrize("defocus", [-1.0, -0.95, -0.75, -0.375, 0.375, 0.75, 0.95, 1.0])
def test_uniform_defocus_is_close_to_a_disc_up_to_the_widest(
    blur: LensBlurNet, noise: torch.Tensor, defocus: float
) -> None:
    kernel = torch.from_numpy(disc(8 * abs(defocus)))[None, None]
    light = torch.nn.functional.conv2d(noise.transpose(0, 1) ** 2.2, kernel, padding=kernel.shape[-1] // 2)
    truth = light.transpose(0, 1).clamp(0, 1) ** (1 / 2.2)
    with torch.inference_mode():
        output = blur(noise, torch.full((1, 1, 96, 96), defocus))
    assert _psnr(output, truth) > 43


def test_sixteen_bits_between_levels_move_hardly_a_byte(photo: np.ndarray) -> None:
    # Photos of 8 bits; results in floats are computed in floats throughout. Two upsamplings here.
    pixels, disparity = np.tile(photo, (3, 4, 1)), np.linspace(0, 1, 400, dtype=np.float32).reshape(20, 20)
    networks = {stage: load_weights(stage) for stage in RENDERING}
    pipeline = PortraitPipeline(torch_sessions(networks), default_plan())
    exact, stored = (pipeline.render(pixels, disparity, Lens(0.2, 1.0), dtype) for dtype in (np.float32, np.uint8))
    difference = np.abs(stored.astype(np.float32) - np.rint(exact * 255))
    assert difference.max() <= 1
    assert 0 < difference.mean() < 1 / 257  # of a byte: what 16 bits resolve

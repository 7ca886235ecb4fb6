"""Kept scores are taken for today's as long as `methods.VERSION` stays: here is what its pictures look like.

A test that fails says that a method computes other pictures than before. If that was meant, raise `VERSION` and write
the new figures here; the failure shows them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch

from dofkit.train.evaluation.methods import VERSION, Classical, Method, OtherUpsampling
from dofkit.train.networks import GuidedUpsamplingNet, LensBlurNet
from dofkit.train.rendering.baselines import CLASSICAL, UPSAMPLERS
from dofkit.train.rendering.layered import SceneLens

from .fakes import fake_networks

SIZE = (8, 1280)
LENS = SceneLens(0.4, 0.6, SIZE[1])
# What runtimes, threads and machines differ by is below 1e-3 of a level; a changed step of an algorithm is above.
LEVEL = 0.1


def _scene() -> tuple[np.ndarray, np.ndarray]:
    """Stripes, a ramp and clipped lights; disparity with steps and a slope."""
    rows, columns = np.indices(SIZE)
    stripes = 0.5 + 0.4 * np.sin(columns / 3 + rows / 5)
    lights = (columns % 97 < 3) & (rows % 11 < 3)
    picture = np.stack([stripes, columns / SIZE[1], 0.3 + 0.02 * rows], axis=2)
    picture[lights] = 1
    disparity = np.where(columns % 160 < 70, 0.85, 0.1 + 0.3 * columns / SIZE[1])
    return np.round(picture * 255).astype(np.uint8), disparity.astype(np.float32)


def _filled(network: torch.nn.Module) -> torch.nn.Module:
    """Weights that no random generator makes."""
    with torch.no_grad():
        for parameter in network.parameters():
            values = torch.sin(torch.arange(parameter.numel(), dtype=torch.float64) * 1.7 + parameter.dim())
            parameter.copy_((0.05 * values).reshape(parameter.shape))
    return network.eval()


def _pictures() -> dict[str, Callable[[], np.ndarray]]:
    """Renderers, upsamplers and the pipeline over sessions of plain arithmetic; then the networks by themselves."""
    through = fake_networks()
    methods: list[Method] = [through, *map(Classical, CLASSICAL)]
    methods += [OtherUpsampling(through, upsampler) for upsampler in UPSAMPLERS]
    found: dict[str, Callable[[], np.ndarray]] = {m.name: partial(m.render, *_scene(), LENS) for m in methods}
    return found | {"lens blur": _blurred, "guided upsampling": _upsampled}


def _blurred() -> np.ndarray:
    return 255 * _filled(LensBlurNet())(_planes(3, 48), _planes(1, 48) - 0.5)[0].detach().numpy().transpose(1, 2, 0)


def _upsampled() -> np.ndarray:
    low, defocus = _planes(3, 32), _planes(1, 32) - 0.5
    made = _filled(GuidedUpsamplingNet())(_planes(3, 64), low, low.flip(3), defocus)
    return 255 * made[0].detach().numpy().transpose(1, 2, 0)


def _planes(channels: int, side: int) -> torch.Tensor:
    rows = torch.linspace(0, 5, side)[:, None] + torch.linspace(0, 9, side)
    return torch.stack([0.5 + 0.4 * torch.sin(rows * (1 + channel)) for channel in range(channels)])[None]


def _figures(picture: np.ndarray) -> list[float]:
    """Means of eight columns of blocks, then how much neighbours differ in them: in levels of 255."""
    blocks = np.split(picture.astype(np.float64), 8, axis=1)
    means = [float(block.mean()) for block in blocks]
    return [round(value, 2) for value in [*means, *(float(np.abs(np.diff(b, axis=1)).mean()) for b in blocks)]]


EXPECTED: dict[str, list[float]] = {
    "ours": [
        82.48, 91.06, 102.88, 112.39, 124.41, 131.98, 146.07, 154.15,
        8.21, 8.58, 8.02, 8.63, 8.19, 7.66, 8.33, 8.17,
    ],
    "gaussian": [
        91.49, 99.68, 108.47, 118.56, 128.97, 136.53, 149.6, 158.19,
        4.29, 4.42, 4.32, 4.89, 5.3, 5.35, 5.76, 5.53,
    ],
    "scatter": [
        91.22, 99.82, 108.67, 118.97, 129.08, 136.45, 149.94, 157.56,
        3.89, 4.04, 3.97, 4.59, 4.96, 5.0, 5.34, 5.32,
    ],
    "layered": [
        91.22, 100.35, 108.37, 119.38, 128.91, 137.17, 149.72, 158.53,
        3.95, 4.06, 3.88, 4.54, 4.91, 4.87, 5.25, 5.19,
    ],
    "rays": [
        91.04, 100.21, 108.71, 119.46, 129.29, 136.64, 150.09, 157.75,
        4.17, 4.62, 4.53, 5.02, 5.19, 5.01, 5.58, 5.48,
    ],
    "ours, bilinear": [
        83.24, 91.86, 103.43, 113.14, 124.88, 132.48, 146.67, 154.77,
        7.71, 7.94, 7.32, 7.81, 7.62, 7.11, 7.49, 7.37,
    ],
    "ours, guided filter": [
        82.47, 91.04, 102.88, 112.37, 124.4, 131.98, 146.05, 154.14,
        8.21, 8.58, 8.02, 8.63, 8.19, 7.66, 8.33, 8.16,
    ],
    "lens blur": [
        103.36, 109.25, 120.07, 125.73, 129.29, 126.24, 106.29, 105.29,
        85.12, 94.3, 88.31, 81.09, 78.7, 89.94, 92.04, 90.73,
    ],
    "guided upsampling": [
        0.78, 0.88, 0.95, 0.94, 0.89, 0.9, 0.86, 0.8,
        1.03, 1.51, 1.66, 1.65, 1.51, 1.5, 1.48, 1.12,
    ],
}  # fmt: skip


def test_these_are_the_pictures_of_this_version() -> None:
    assert VERSION == 1


@pytest.mark.parametrize("name", EXPECTED)
def test_a_picture_is_that_of_its_version(name: str) -> None:
    np.testing.assert_allclose(_figures(_pictures()[name]()), EXPECTED[name], atol=LEVEL)


def test_all_that_is_scored_is_held_to_its_version() -> None:
    assert set(EXPECTED) == set(_pictures())

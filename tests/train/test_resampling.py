"""The other ways to resize are those they are called, and leave no trace in the network."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.train.resampling import VARIANTS, Resampling, align_corners, asymmetric, nearest, resampled_variants

ROW = np.random.default_rng(0).random(7)


def _picture() -> torch.Tensor:
    """ROW along the width, the same in every line."""
    return torch.from_numpy(np.tile(ROW.astype(np.float32), (1, 1, 5, 1)))


@pytest.mark.parametrize(
    ("interpolate", "places"),
    [
        (align_corners, np.arange(14) * 6 / 13),
        (asymmetric, np.arange(14) / 2),
        (nearest, np.arange(14) // 2),
    ],
)
@pytest.mark.parametrize("arguments", [{"scale_factor": 2.0}, {"size": (10, 14)}, {"scale_factor": (2, 2)}])
def test_pixels_come_from_the_places_that_the_name_says(
    interpolate: Callable[..., torch.Tensor], places: np.ndarray, arguments: dict[str, object]
) -> None:
    with Resampling(interpolate):
        found = F.interpolate(_picture(), **arguments, mode="bilinear", align_corners=False)  # pyright: ignore
    assert found.shape == (1, 1, 10, 14)
    expected = np.interp(places, np.arange(7), ROW)
    np.testing.assert_allclose(found[0, 0, 3].numpy(), expected, atol=1e-6)


class _Twice(nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return F.interpolate(F.relu(image), scale_factor=2.0, mode="bilinear", align_corners=False)


def test_a_network_is_computed_with_every_other_resize_and_as_before_afterwards() -> None:
    image = np.random.default_rng(1).standard_normal((1, 3, 6, 6)).astype(np.float32)
    network = _Twice()
    before = network(torch.from_numpy(image)).numpy()
    variants = resampled_variants(network, Stage.DEPTH)
    assert set(variants) == set(VARIANTS)
    outputs = [run({"image": image}) for run in variants.values()]
    for i, output in enumerate(outputs):
        assert all(np.abs(output - other).max() > 0.01 for other in (before, *outputs[:i]))
        assert output.min() >= 0  # what is no resize stays
    np.testing.assert_array_equal(network(torch.from_numpy(image)).numpy(), before)

"""The network of focal stacks: order and number of slices do not matter, and the optics alone find a plane."""

from __future__ import annotations

import pytest
import torch

from dofkit.train.networks.focal_depth import FocalDepthConfig, FocalDepthNet, peak, radius_at
from dofkit.train.networks.focus_matching import focus_agreement, luminance, matching_costs, sharpest
from dofkit.train.rendering.defocus import through_lens
from dofkit.train.rendering.focus_sweep import SWEEPS

SWEEP = SWEEPS["nyu"]
DEPTHS = 12
SMALL = FocalDepthConfig(DEPTHS, (4, 4, 4), (8, 8, 8, 8), 4)


@pytest.fixture
def network() -> FocalDepthNet:
    torch.manual_seed(0)
    return FocalDepthNet(SMALL).eval()


def noise(side: int = 64) -> torch.Tensor:
    return torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(3))


def stack_at(depth: float, side: int = 64) -> torch.Tensor:
    plane = torch.full((1, 1, side, side), depth)
    return through_lens(noise(side), plane, torch.tensor(SWEEP.focus), SWEEP.camera)


def test_the_order_of_the_slices_does_not_matter(network: FocalDepthNet) -> None:
    stack, radius = stack_at(2.0), SWEEP.radius(DEPTHS)[None]
    order = [3, 0, 4, 2, 1]
    with torch.inference_mode():
        first, second = network(stack, radius), network(stack[:, order], radius[:, order])
    for ours, theirs in zip(first, second, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-3)


@pytest.mark.parametrize("slices", [2, 3, 10])
def test_stacks_of_any_length_are_taken(network: FocalDepthNet, slices: int) -> None:
    stack, radius = torch.rand(2, slices, 3, 32, 48), torch.linspace(-3, 3, slices * DEPTHS).reshape(1, slices, DEPTHS)
    with torch.inference_mode():
        found = network(stack, radius.expand(2, -1, -1))
    assert found.place.shape == (2, 1, 32, 48)
    assert found.picture.shape == (2, 3, 32, 48)
    assert torch.allclose(found.likely.sum(1), torch.ones(2, 16, 24), atol=1e-5)
    assert float(found.place.min()) >= 0
    assert float(found.place.max()) <= DEPTHS - 1
    assert 0 <= float(found.picture.min()) <= float(found.picture.max()) <= 1


@pytest.mark.parametrize("depth", [1.2, 2.5, 5.0])
def test_before_any_training_the_optics_find_the_depth_of_a_plane(network: FocalDepthNet, depth: float) -> None:
    with torch.inference_mode():
        found = network(stack_at(depth), SWEEP.radius(DEPTHS)[None])
    median = float(SWEEP.depth_at(found.place, DEPTHS).median())
    assert depth / 1.25 < median < depth * 1.25  # of white noise; 1/f pictures come out nearer


def test_the_true_depth_explains_a_stack_best() -> None:
    radius = SWEEP.radius(DEPTHS)[None]
    depth = float(SWEEP.depths(DEPTHS)[7])
    grey = luminance(stack_at(depth))
    assert int(matching_costs(grey, radius).mean((0, 2, 3)).argmin()) == 7
    agreement, change = focus_agreement(grey, radius, 7)
    assert abs(int(agreement.mean((0, 2, 3)).argmax()) - 7) <= 1
    assert float(agreement.abs().max()) <= 1
    assert float(change.min()) > 0


def test_matching_costs_equal_a_blur_of_the_sharpest_slice() -> None:
    # two slices, one of them in focus: the other must be that one blurred by its own radius
    from scipy import ndimage

    stack = torch.rand(1, 2, 24, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    deviation = 1.0  # of the bank, so that nothing is mixed
    found = matching_costs(stack, torch.tensor([[[0.0], [2 * deviation]]], dtype=torch.float64))[0, 0]
    own = sharpest(torch.tensor([[[0.0], [2 * deviation]]], dtype=torch.float64))[0, :, 0]
    merged = (own[:, None, None] * stack[0]).sum(0).numpy()
    assert float(own[0]) > 0.98
    blurred = ndimage.gaussian_filter(merged, deviation, mode="constant", truncate=8)
    told = ((blurred - stack[0, 1].numpy()) ** 2 + (merged - stack[0, 0].numpy()) ** 2) / 2
    assert abs(found.numpy() - told).max() < 0.02


def test_the_peak_is_the_likeliest_hill_and_not_the_mean_of_two() -> None:
    likely = torch.zeros(1, 12, 1, 1)
    likely[0, [1, 2, 9], 0, 0] = torch.tensor([0.3, 0.35, 0.35 - 1e-3])
    assert float(peak(likely)) == pytest.approx((0.3 * 1 + 0.35 * 2) / 0.65)


def test_radii_are_read_between_two_depths() -> None:
    radius = torch.tensor([[[0.0, 2.0, 6.0]]])
    place = torch.tensor([[[[0.5, 1.25, 2.0]]]])
    assert radius_at(place, radius).flatten().tolist() == [1.0, 3.0, 6.0]


def test_the_network_is_small() -> None:
    assert 2 * sum(one.numel() for one in FocalDepthNet().parameters()) < 4_000_000

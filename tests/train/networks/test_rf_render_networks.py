"""What tiling and the converters rely on: the rendering networks' receptive fields, pass-through, costs, shapes."""

from collections.abc import Callable

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from dofkit.train.networks.guided_upsampling import GuidedUpsamplingNet
from dofkit.train.networks.lens_blur import LensBlurConfig, LensBlurNet


def leaky(network: torch.nn.Module) -> torch.nn.Module:
    """ReLUs that are off hide paths from gradients: positive weights keep every one of them open."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.abs() * 0.1 + 1e-3)
    return network.double()


def reach(output: torch.Tensor, inputs: list[torch.Tensor], y: int, at: Callable[[int], int]) -> int:
    """The farthest row or column of the inputs, from pixel `at(y)`, that output pixel (y, y) depends on."""
    gradients = torch.autograd.grad(output[..., y, y].sum(), inputs, retain_graph=True)
    touched = torch.stack([g.abs().amax((0, 1)) for g in gradients]).amax(0) > 0
    hits = torch.cat([touched.any(0).nonzero(), touched.any(1).nonzero()])
    return int((hits - at(y)).abs().max())


def inputs(*shapes: tuple[int, int]) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.rand(1, c, side, side, dtype=torch.float64).mul(0.6).add(0.2).requires_grad_() for c, side in shapes]


@pytest.mark.parametrize("phase", [0, 1])
def test_lens_blur_sees_eight_pixels_at_least_and_no_farther_than_its_halo(phase: int) -> None:
    network = leaky(LensBlurNet())
    scene = inputs((3, 80), (1, 80))
    seen = reach(network(*scene), scene, 40 + phase, lambda y: y)
    assert 8 < seen <= LensBlurNet.halo <= 24


@pytest.mark.parametrize("phase", [0, 1])
def test_guided_upsampling_sees_no_farther_than_its_halo(phase: int) -> None:
    network = leaky(GuidedUpsamplingNet())
    high, *low = inputs((3, 64), (3, 32), (3, 32), (1, 32))
    output = network(high, *low)
    assert reach(output, low, 32 + phase, lambda y: y // 2) <= GuidedUpsamplingNet.halo <= 8
    assert reach(output, [high], 32 + phase, lambda y: y) <= 2 * GuidedUpsamplingNet.halo


def test_a_tile_equals_the_whole_picture_in_its_core() -> None:
    torch.manual_seed(0)
    network, halo = LensBlurNet().double(), LensBlurNet.halo
    image, defocus = torch.rand(1, 3, 96, 96).double(), torch.rand(1, 1, 96, 96).double() * 2 - 1
    whole = network(image, defocus)
    tile = network(image[..., 4:68, 10:74], defocus[..., 4:68, 10:74])
    core = slice(halo, 64 - halo)
    assert tile[..., core, core].allclose(whole[..., 4:68, 10:74][..., core, core], atol=1e-12)


def test_weights_of_zero_pass_the_pixel_through_and_keep_black_black() -> None:
    network = LensBlurNet()
    for layer in (network.source.out, network.visibility):
        torch.nn.init.zeros_(layer.weight)
    torch.nn.init.constant_(network.visibility.bias, -9.0)  # pyright: ignore[reportArgumentType]
    image = torch.rand(1, 3, 32, 32)
    image[..., :8] = 0
    with torch.no_grad():
        assert network(image, torch.zeros(1, 1, 32, 32)).allclose(image, atol=2e-4)


def test_gradients_at_black_are_finite() -> None:
    image = torch.zeros(1, 3, 32, 32, requires_grad=True)
    network = LensBlurNet()
    network(image, torch.zeros(1, 1, 32, 32)).sum().backward()
    learned = [p for p in network.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in learned)


def test_guided_upsampling_keeps_flat_colour() -> None:
    colour = torch.tensor([0.1, 0.5, 0.9]).view(1, 3, 1, 1)
    high, low = colour.expand(1, 3, 40, 40), colour.expand(1, 3, 20, 20)
    output = GuidedUpsamplingNet()(high, low, low, torch.rand(1, 1, 20, 20))
    # zero padding darkens the outermost enlarged pixels, which tiles throw away
    assert output[..., 4:-4, 4:-4].allclose(high[..., 4:-4, 4:-4], atol=1e-6)


@pytest.mark.parametrize(("bias", "kept"), [(9.0, "sharp"), (-9.0, "blurred")])
def test_shares_of_one_give_the_sharp_picture_and_of_zero_the_enlarged_blur(bias: float, kept: str) -> None:
    network = GuidedUpsamplingNet()
    torch.nn.init.zeros_(network.shares.weight)
    torch.nn.init.constant_(network.shares.bias, bias)  # pyright: ignore[reportArgumentType]
    high, low, blurred = torch.rand(1, 3, 24, 24), torch.rand(1, 3, 12, 12), torch.rand(1, 3, 12, 12)
    with torch.no_grad():
        output = network(high, low, blurred, torch.zeros(1, 1, 12, 12))
    if kept == "sharp":
        assert output.allclose(high, atol=1e-6)
    else:  # four children average to their pixel, except where values were clipped to [0, 1]
        soft = 0.4 + 0.2 * blurred
        with torch.no_grad():
            output = network(high, low, soft, torch.zeros(1, 1, 12, 12))
        mean = torch.nn.functional.avg_pool2d(output, 2)
        assert mean[..., 1:-1, 1:-1].allclose(soft[..., 1:-1, 1:-1], atol=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_kept_contrast_is_the_share_by_which_contrast_was_lowered(share: float) -> None:
    sharp = torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    blurred = 0.5 + share * (sharp - 0.5)
    for kept in GuidedUpsamplingNet().kept(torch.cat([sharp, blurred], dim=1)):
        assert kept[..., 4:-4, 4:-4].sub(share).abs().max() < 0.02


def test_where_the_sharp_picture_is_flat_no_contrast_is_kept() -> None:
    grey = torch.cat([torch.full((1, 1, 24, 24), 0.4), torch.rand(1, 1, 24, 24)], dim=1)
    for kept in GuidedUpsamplingNet().kept(grey):
        assert kept[..., 4:-4, 4:-4].abs().max() < 1e-3


def test_networks_take_any_size_that_is_aligned() -> None:
    for height, width in ((16, 34), (50, 20)):
        blurred = LensBlurNet()(torch.rand(2, 3, height, width), torch.rand(2, 1, height, width))
        assert blurred.shape == (2, 3, height, width)
        assert blurred.min() >= 0
        assert blurred.max() <= 1
    low = torch.rand(2, 3, 15, 9)
    assert GuidedUpsamplingNet()(torch.rand(2, 3, 30, 18), low, low, low[:, :1]).shape == (2, 3, 30, 18)


def test_costs_stay_within_their_budgets() -> None:
    with FlopCounterMode(display=False) as counter:
        LensBlurNet()(torch.rand(1, 3, 64, 64), torch.rand(1, 1, 64, 64))
    assert counter.get_total_flops() / 2 / 64**2 < 40e3  # multiply-adds a lowest-level pixel
    low = torch.rand(1, 3, 32, 32)
    with FlopCounterMode(display=False) as counter:
        GuidedUpsamplingNet()(torch.rand(1, 3, 64, 64), low, low, low[:, :1])
    assert counter.get_total_flops() / 2 / 64**2 < 2e3  # a full-resolution pixel


@pytest.mark.parametrize("maps", [3, 4, 16, 19])
def test_the_configuration_sets_the_number_of_maps(maps: int) -> None:
    network = LensBlurNet(LensBlurConfig(maps=maps))
    masks = network.masks(torch.rand(1, 1, 16, 16))
    colours, coverage = network.maps([masks] * 4)
    assert {plane.shape[1] for plane in (*colours, coverage)} == {maps}
    assert network(torch.rand(1, 3, 16, 16), torch.rand(1, 1, 16, 16)).shape == (1, 3, 16, 16)


def test_fewer_maps_than_focus_near_and_far_are_refused() -> None:
    with pytest.raises(ValueError, match="2 maps are too few"):
        LensBlurConfig(maps=2)

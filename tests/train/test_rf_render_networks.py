"""What tiling and the converters rely on: the rendering networks' receptive fields, pass-through, costs, shapes."""

from collections.abc import Callable

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from dofkit.train.networks.guided_upsampling import GuidedUpsamplingConfig, GuidedUpsamplingNet
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
    scene = inputs((3, 64), (1, 64))
    seen = reach(network(*scene), scene, 32 + phase, lambda y: y)
    assert 8 < seen <= LensBlurNet.halo <= 20


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
    image, defocus = torch.rand(1, 3, 80, 80).double(), torch.rand(1, 1, 80, 80).double() * 2 - 1
    whole = network(image, defocus)
    tile = network(image[..., 4:60, 10:66], defocus[..., 4:60, 10:66])
    core = slice(halo, 56 - halo)
    assert tile[..., core, core].allclose(whole[..., 4:60, 10:66][..., core, core], atol=1e-12)


def test_predicted_weights_of_zero_pass_the_pixel_through_and_keep_black_black() -> None:
    network = LensBlurNet()
    last = network.kernels.head[-2]
    torch.nn.init.zeros_(last.weight)  # pyright: ignore[reportArgumentType]
    torch.nn.init.constant_(last.bias, -1.0)  # pyright: ignore[reportArgumentType]
    image = torch.rand(1, 3, 32, 32)
    image[..., :8] = 0
    blurred = network(image, torch.zeros(1, 1, 32, 32))
    assert blurred.allclose(image, atol=1.01e-3)


def test_gradients_at_black_are_finite() -> None:
    image = torch.zeros(1, 3, 32, 32, requires_grad=True)
    network = LensBlurNet()
    network(image, torch.zeros(1, 1, 32, 32)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_guided_upsampling_keeps_flat_colour() -> None:
    colour = torch.tensor([0.1, 0.5, 0.9]).view(1, 3, 1, 1)
    high, low = colour.expand(1, 3, 40, 40), colour.expand(1, 3, 20, 20)
    output = GuidedUpsamplingNet()(high, low, low, torch.rand(1, 1, 20, 20))
    assert output.allclose(high, atol=1e-6)


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
    assert counter.get_total_flops() / 2 / 64**2 < 60e3  # multiply-adds a lowest-level pixel
    low = torch.rand(1, 3, 32, 32)
    with FlopCounterMode(display=False) as counter:
        GuidedUpsamplingNet()(torch.rand(1, 3, 64, 64), low, low, low[:, :1])
    assert counter.get_total_flops() / 2 / 64**2 < 5e3  # a full-resolution pixel


def test_the_configuration_sets_the_number_of_maps() -> None:
    config = LensBlurConfig(feature_widths=(4, 4, 4, 3), kernel_width=8, head_width=8)
    assert LensBlurConfig().maps == 32
    assert config.maps == 16
    assert LensBlurNet(config).features(torch.rand(1, 1, 16, 16)).shape[1] == 16
    assert GuidedUpsamplingNet(GuidedUpsamplingConfig(low_layers=1)).config.low_layers == 1

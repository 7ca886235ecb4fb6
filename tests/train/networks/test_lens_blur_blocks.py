"""Lens blur as it is arranged for TFLite: the same function of the same weights, as XNNPACK is fast at it."""

from __future__ import annotations

from functools import partial
from itertools import product

import pytest
import torch
from torch.nn import functional as F

from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.train.networks import LensBlurConfig, LensBlurNet
from dofkit.train.networks.lens_blur_blocks import LensBlurBlocks
from dofkit.train.session import load_networks

from .pictures import sheet_over_squares


def assert_same(network: LensBlurNet, inputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    with torch.no_grad():
        expected, found = network(*inputs), LensBlurBlocks(network).eval()(*inputs)
    assert expected.std() > 0.05
    torch.testing.assert_close(found, expected, rtol=0, atol=3e-6)


@pytest.mark.parametrize("size", [(48, 64), (72, 40)])
def test_the_shipped_weights_give_the_same_picture(size: tuple[int, int]) -> None:
    network = load_networks()[Stage.LENS_BLUR]
    assert isinstance(network, LensBlurNet)
    assert_same(network, sheet_over_squares(*size, seed=1))


@pytest.mark.parametrize("maps", [3, 8, 13])
def test_it_computes_what_a_network_of_other_planes_computes(maps: int) -> None:
    """Even numbers have planes in front that no plane behind is alike."""
    torch.manual_seed(maps)
    network = LensBlurNet(LensBlurConfig(maps=maps, context_width=8, source_width=8, weight_width=8)).eval()
    for head in (network.source.out, network.correction.out):
        torch.nn.init.normal_(head.weight, std=0.2)
    assert_same(network, sheet_over_squares(40, 40, seed=maps))


def half_sums(convolution: torch.nn.Conv2d, input: torch.Tensor) -> torch.Tensor:
    """A convolution as ARM CPUs compute it in half precision: product after product, and what is not normal is 0."""

    def half(values: torch.Tensor) -> torch.Tensor:
        return torch.where(values.abs() < 2.0**-14, 0.0, values.half().float())

    padded = half(F.pad(input, [convolution.kernel_size[0] // 2] * 4))
    height, width = input.shape[2:]
    total = torch.zeros(())
    for y, x in product(range(convolution.kernel_size[0]), repeat=2):
        taps = half(convolution.weight[:, :, y, x])
        for k, source in enumerate(padded[:, :, y : y + height, x : x + width].unbind(1)):
            total = half(total + source[:, None] * taps[:, k, None, None])
    return total


def test_dark_things_under_a_strong_blur_stay_as_light_as_they_are_in_half_precision() -> None:
    network = load_networks()[Stage.LENS_BLUR]
    assert isinstance(network, LensBlurNet)
    arranged = LensBlurBlocks(network).eval()
    image = 0.02 + 0.04 * sheet_over_squares(32, 32, seed=3)[0]
    defocus = torch.linspace(0.5, 1.0, 32).expand(1, 1, 32, 32)
    with torch.no_grad():
        expected = network(image, defocus)
        for disc in arranged.spread:
            assert isinstance(disc, torch.nn.Conv2d)
            disc.forward = partial(half_sums, disc)
        found = arranged(image, defocus)
    assert expected.mean() < 0.05
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)


def test_changing_it_does_not_change_the_network() -> None:
    network = LensBlurNet(LensBlurConfig(maps=3, context_width=4, source_width=4, weight_width=4))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        for parameter in LensBlurBlocks(network).parameters():
            parameter.zero_()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_planes_of_the_same_disc_share_a_convolution() -> None:
    arranged = LensBlurBlocks(LensBlurNet())
    radii = [abs(plane) for plane in arranged.config.planes[1:]]
    assert [radii[run.start] for run in arranged.runs] == sorted(set(radii))
    assert all(len({radii[k] for k in run}) == 1 for run in arranged.runs)

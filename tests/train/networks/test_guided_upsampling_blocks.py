"""Guided upsampling as it is arranged for TFLite: the same function of the same weights."""

from __future__ import annotations

import pytest
import torch

from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.train.networks import GuidedUpsamplingConfig, GuidedUpsamplingNet
from dofkit.train.networks.guided_upsampling_blocks import GuidedUpsamplingBlocks
from dofkit.train.session import load_networks

from .test_guided_upsampling_by_colour import random_network, scene


def assert_same(network: GuidedUpsamplingNet, height: int, width: int) -> None:
    inputs = scene(height, width, seed=height)
    with torch.no_grad():
        expected, found = network(*inputs), GuidedUpsamplingBlocks(network).eval()(*inputs)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=3e-6)


@pytest.mark.parametrize(("height", "width"), [(8, 20), (16, 12)])
@pytest.mark.parametrize("layers", [1, 3])
def test_it_computes_what_the_network_computes_up_to_the_borders(height: int, width: int, layers: int) -> None:
    assert_same(random_network(seed=height, width=8, layers=layers), height, width)


def test_the_shipped_weights_give_the_same_picture() -> None:
    network = load_networks()[Stage.GUIDED_UPSAMPLING]
    assert isinstance(network, GuidedUpsamplingNet)
    assert_same(network, 40, 52)


def test_other_windows_measure_the_same_contrast() -> None:
    torch.manual_seed(2)
    network = GuidedUpsamplingNet(GuidedUpsamplingConfig(windows=(3, 5, 9))).eval()
    torch.nn.init.normal_(network.shares.weight, std=20.0)
    assert_same(network, 20, 24)


def test_what_is_in_focus_stays_bit_for_bit() -> None:
    network = random_network(0)
    torch.nn.init.zeros_(network.shares.weight)
    torch.nn.init.constant_(network.shares.bias, 9.0)  # pyright: ignore[reportArgumentType]
    high, *others = scene(16, 16, seed=2)
    with torch.no_grad():
        assert torch.equal(GuidedUpsamplingBlocks(network)(high, *others), high)


def test_changing_it_does_not_change_the_network() -> None:
    network = random_network(0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        for parameter in GuidedUpsamplingBlocks(network).parameters():
            parameter.zero_()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())

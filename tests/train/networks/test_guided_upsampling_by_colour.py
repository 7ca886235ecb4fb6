"""Guided upsampling as it is arranged for ONNX Runtime: the same function of the same weights."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Target
from dofkit.train.networks import ARCHITECTURES, GuidedUpsamplingConfig, GuidedUpsamplingNet
from dofkit.train.networks.guided_upsampling_by_colour import GuidedUpsamplingByColour, woven
from dofkit.train.session import load_networks

Inputs = tuple[torch.Tensor, ...]


def scene(height: int, width: int, seed: int) -> Inputs:
    generator = torch.Generator().manual_seed(seed)
    high = torch.rand(1, 3, 2 * height, 2 * width, generator=generator)
    low, blurred = (torch.rand(1, 3, height, width, generator=generator) for _ in range(2))
    return high, low, blurred, 2 * torch.rand(1, 1, height, width, generator=generator) - 1


def random_network(seed: int, width: int = 16, layers: int = 2) -> GuidedUpsamplingNet:
    """Shares from all lost to all kept: an untrained network's would all be near a half."""
    torch.manual_seed(seed)
    network = GuidedUpsamplingNet(GuidedUpsamplingConfig(width=width, layers=layers)).eval()
    torch.nn.init.normal_(network.shares.weight, std=20.0)
    return network


@given(st.integers(6, 20), st.integers(6, 20), st.sampled_from([8, 16, 24]), st.integers(1, 3), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_it_computes_what_the_network_computes_up_to_the_borders(
    height: int, width: int, channels: int, layers: int, seed: int
) -> None:
    network = random_network(seed, channels, layers)
    inputs = scene(height, width, seed)
    with torch.no_grad():
        expected, found = network(*inputs), GuidedUpsamplingByColour(network)(*inputs)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=3e-6)


def test_the_shipped_weights_give_the_same_picture() -> None:
    network = load_networks()[Stage.GUIDED_UPSAMPLING]
    inputs = scene(40, 52, seed=1)
    with torch.no_grad():
        arranged = ARCHITECTURES.contract_of(network).arrange(network, Target.ONNX)
        torch.testing.assert_close(arranged(*inputs), network(*inputs), rtol=0, atol=3e-6)


def test_what_is_in_focus_stays_bit_for_bit() -> None:
    network = random_network(0)
    torch.nn.init.zeros_(network.shares.weight)
    torch.nn.init.constant_(network.shares.bias, 9.0)  # pyright: ignore[reportArgumentType]
    high, *others = scene(16, 16, seed=2)
    with torch.no_grad():
        assert torch.equal(GuidedUpsamplingByColour(network)(high, *others), high)


def test_changing_it_does_not_change_the_network() -> None:
    network = random_network(0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        for parameter in GuidedUpsamplingByColour(network).parameters():
            parameter.zero_()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_weaving_is_pixel_shuffle() -> None:
    children = torch.rand(2, 12, 5, 7)
    assert torch.equal(woven(children), torch.nn.functional.pixel_shuffle(children, 2))

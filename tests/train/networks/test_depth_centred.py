"""The depth network with sums around 0: the same function, and less is lost where sums have 16 bits."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Target
from dofkit.train.networks import ARCHITECTURES, DepthNet
from dofkit.train.networks.depth_centred import CentredDepth, CentredEncoder, TurnedDepth, balanced_order
from dofkit.train.networks.efficientnet_lite import EfficientNetLite
from dofkit.train.session import load_networks


def random_network(seed: int) -> DepthNet:
    """Norms that do something, and channels that ReLU6 cuts on both sides."""
    torch.manual_seed(seed)
    network = DepthNet().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low, high in (
                (module.running_mean, -0.3, 0.3), (module.running_var, 0.2, 0.6), (module.bias, -1.0, 3.0),
            ):  # fmt: skip
                assert values is not None
                nn.init.uniform_(values, low, high)
    return network


@pytest.fixture(scope="module")
def shipped() -> DepthNet:
    network = load_networks()[Stage.DEPTH]
    assert isinstance(network, DepthNet)
    return network


def picture(height: int, width: int) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_random_networks_give_the_same_map_up_to_the_border() -> None:
    network, image = random_network(0), picture(64, 96)
    with torch.no_grad():
        expected = network(image)
        assert expected.std() > 0.02
        for form in (CentredDepth, TurnedDepth):
            torch.testing.assert_close(form(network).eval()(image), expected, rtol=0, atol=1e-5)


def test_the_shipped_weights_give_the_same_map_where_cpus_sum_in_half(shipped: DepthNet) -> None:
    image, contract = picture(96, 64), ARCHITECTURES.contract_of(shipped)
    forms = {target: arrangement.form for target, arrangement in contract.arrangements.items()}
    assert forms == {Target.ONNX: CentredDepth, Target.TFLITE: TurnedDepth}
    with torch.no_grad():
        arranged = contract.arrange(shipped, Target.TFLITE)
        torch.testing.assert_close(arranged(image), shipped(image), rtol=0, atol=5e-6)


def test_changing_it_does_not_change_the_network() -> None:
    network = random_network(0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        for values in CentredDepth(network).state_dict().values():
            values.zero_()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def summed_in_half(
    layer: nn.Conv2d, weight: torch.Tensor, bias: torch.Tensor, x: torch.Tensor, by_column: bool
) -> torch.Tensor:
    """A convolution one product after the other, the sum rounded to 16 bits after each, as an ARM CPU's `fmla` does.

    Args:
        by_column: whether a depthwise one takes its pixels column by column, as XNNPACK does; else row by row.
    """
    size, stride, pad = layer.kernel_size[0], layer.stride[0], int(layer.padding[0])
    height, width = ((side + 2 * pad - size) // stride + 1 for side in x.shape[2:])
    taps = F.unfold(x.half().float(), size, padding=pad, stride=stride)[0].unflatten(0, (x.shape[1], size * size))
    weight = weight.half().float().flatten(2)
    total = bias.half()[:, None].expand(-1, height * width).clone()
    pixels = torch.arange(size * size).reshape(size, size)
    for pixel in (pixels.T if by_column and layer.groups > 1 else pixels).flatten().tolist():
        for channel in range(weight.shape[1]):
            source = taps[:, pixel] if layer.groups > 1 else taps[channel : channel + 1, pixel]
            total = (total.float() + weight[:, channel, pixel, None] * source).half()
    return total.float().reshape(1, -1, height, width)


def first_maps_in_half(network: DepthNet, image: torch.Tensor, by_column: bool) -> torch.Tensor:
    """What the first depthwise convolution gives where sums have 16 bits; see `summed_in_half`."""
    encoder = network.encoder
    colours = image * (255 / 128) - 127 / 128
    if isinstance(encoder, CentredEncoder):
        stem, depthwise = encoder._conv_stem, encoder._blocks[0]._depthwise_conv
        assert isinstance(stem, nn.Conv2d)
        assert isinstance(depthwise, nn.Conv2d)
        turned = isinstance(network, TurnedDepth)
        maps = encoder._pad(colours.transpose(2, 3) if turned else colours)
        for layer in (encoder.differences, stem):
            assert layer.bias is not None
            maps = summed_in_half(layer, layer.weight, layer.bias, maps, by_column)
        assert depthwise.bias is not None
        maps = summed_in_half(depthwise, depthwise.weight, depthwise.bias, F.hardtanh(maps), by_column)
        return maps.transpose(2, 3) if turned else maps
    assert isinstance(encoder, EfficientNetLite)
    block = encoder._blocks[0]
    maps = encoder._conv_stem._padded(colours)
    for layer, norm in ((encoder._conv_stem, encoder._bn0), (block._depthwise_conv, block._bn1)):
        assert isinstance(layer, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        fused = torch.nn.utils.fusion.fuse_conv_bn_eval(layer, norm)
        assert fused.bias is not None
        maps = summed_in_half(layer, fused.weight, fused.bias, maps, by_column)
        maps = F.relu6(maps) if layer is encoder._conv_stem else maps
    return maps


@pytest.mark.parametrize(("form", "by_column"), [(CentredDepth, False), (TurnedDepth, True)])
def test_sums_of_16_bits_lose_less_than_half_of_what_they_lost(
    shipped: DepthNet, form: type[CentredDepth], by_column: bool
) -> None:
    rows, columns = torch.linspace(0.1, 0.9, 24), torch.linspace(0.2, 0.8, 24)
    image = (rows[:, None] * columns).expand(1, 3, 24, 24)  # smooth, as most of a photo: what cancels out is large
    with torch.no_grad():
        fine = shipped.double()
        assert isinstance(fine.encoder, EfficientNetLite)
        block = fine.encoder._blocks[0]
        stem = F.relu6(fine.encoder._conv_stem.normalised(image.double() * (255 / 128) - 127 / 128, fine.encoder._bn0))
        exact = block._bn1(block._depthwise_conv(stem)).float()  # pyright: ignore[reportCallIssue]
        shipped.float()
        before, after = (
            (first_maps_in_half(network, image, by_column) - exact).square().mean().sqrt()
            for network in (shipped, form(shipped))
        )
    assert after < before / 2


@given(st.integers(1, 6), st.integers(1, 40), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_the_balanced_order_takes_every_channel_once_and_keeps_sums_small(outputs: int, count: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight, start = torch.randn(outputs, count, generator=generator), torch.randn(outputs, generator=generator)
    order = balanced_order(weight, start)
    assert sorted(order.tolist()) == list(range(count))

    def greatest(columns: torch.Tensor) -> float:
        return float((start[:, None] + columns.cumsum(dim=1)).norm(dim=0).max())

    worst = greatest(weight[:, (weight.sum(dim=0)).argsort()])  # all that is negative first
    assert greatest(weight[:, order]) <= worst + 1e-5

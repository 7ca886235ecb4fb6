"""Rounding as 8 bits do: gradients pass, evaluation is left alone, settled weights lie on a grid."""

import pytest
import torch

from dofkit.train.networks.depth import DepthNet
from dofkit.train.networks.efficientnet_lite import MBConv
from dofkit.train.networks.rounding import STEPS, learn_rounding, on_grid, rounded, settle, silence


def keep_statistics(network: torch.nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()


def test_at_most_256_values_are_left_and_none_is_off_by_more_than_half_a_step():
    x = torch.randn(4, 8, 9, 9, generator=torch.Generator().manual_seed(0))
    y = rounded(x)
    step = (x.max() - x.min()) / STEPS
    assert len((y / step).round().unique()) <= STEPS + 2
    assert (y - x).abs().max() <= step / 2 * 1.001


def test_gradients_pass_and_an_outlier_is_told_of_its_cost():
    x = torch.tensor([0.0, 0.3, 0.7, 100.0], requires_grad=True)
    rounded(x)[1:3].square().sum().backward()
    assert x.grad is not None
    step = 100 / STEPS
    off = [round(v / step) - v / step for v in (0.3, 0.7)]
    y = [v + o * step for v, o in zip((0.3, 0.7), off, strict=True)]
    # d/dx_max of sum y² = Σ 2y · off / STEPS
    expected = sum(2 * v * o for v, o in zip(y, off, strict=True)) / STEPS
    torch.testing.assert_close(x.grad[3], torch.tensor(expected), rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(x.grad[1:3], torch.tensor([2 * v for v in y]), rtol=1e-3, atol=1e-6)


def test_a_constant_stays_finite():
    assert torch.isfinite(rounded(torch.zeros(3))).all()
    assert torch.equal(on_grid(torch.zeros(2, 3, 1, 1)), torch.zeros(2, 3, 1, 1))


def test_a_weight_on_the_grid_is_integers_of_int8_whatever_scales_its_outputs():
    weight = on_grid(torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(1)))
    for scale in (1.0, 0.037, 11.0):
        scaled = weight * scale
        integers = scaled / scaled.abs().amax(dim=(1, 2, 3), keepdim=True) * 127
        torch.testing.assert_close(integers, integers.round(), atol=1e-3, rtol=0)


def test_half_precision_keeps_the_integers_of_a_settled_weight():
    weight = on_grid(torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(1)))
    greatest = weight.abs().amax(dim=(1, 2, 3), keepdim=True)
    stored = weight.half().float()
    again = stored / stored.abs().amax(dim=(1, 2, 3), keepdim=True) * 127
    assert torch.equal(again.round(), (weight / greatest * 127).round())


def test_evaluation_and_export_see_nothing_of_it():
    torch.manual_seed(0)
    network = DepthNet().eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before = network(image)
        learn_rounding(network)
        assert torch.equal(network(image), before)
        network.train()
        keep_statistics(network)
        assert not torch.equal(network.heads(image)[0], before)


def test_a_settled_network_computes_in_training_what_it_computed_settled():
    """Only activations are left to round: 255 steps of a network's maps, not its weights."""
    torch.manual_seed(0)
    network = DepthNet().eval()
    settle(network)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    settle(network)
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=1e-5, atol=0)


@pytest.mark.parametrize(("gain", "silent"), [(1e-7, 1), (1.0, 0)])
def test_a_filter_that_its_norm_all_but_removes_is_set_to_zero(gain, silent):
    block = MBConv(4, 4, 3, 1, 6)
    block._bn0.weight.data[3] = gain
    assert silence(block._expand_conv, block._bn0) == silent
    assert bool(block._expand_conv.weight[3].any()) is (silent == 0)
    assert block._expand_conv.weight[4].any()

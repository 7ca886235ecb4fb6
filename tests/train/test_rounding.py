"""Training for 8 bits rounds as 8 bits do, lets gradients pass and leaves evaluation alone."""

import torch

from dofkit.train.networks.depth import DepthNet
from dofkit.train.networks.rounding import STEPS, learn_rounding, rounded


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


def test_evaluation_and_export_see_nothing_of_it():
    torch.manual_seed(0)
    network = DepthNet().eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before = network(image)
        learn_rounding(network)
        assert torch.equal(network(image), before)
    network.train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    with torch.no_grad():
        assert not torch.equal(network.heads(image)[0], before)

"""A program in 16-bit floats keeps its first and last layers in 32, as many as it may."""

from __future__ import annotations

import copy

import torch
from torch import fx, nn

from dofkit.export.rewrites.costs import LAYERS, multiply_adds
from dofkit.export.rewrites.halves import _SHARE, ends, half_but_ends

IMAGE = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))


class Chain(nn.Module):
    """A convolution with BatchNorm, wide ones in the middle, and narrow ones at the end."""

    def __init__(self, last: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.middle = nn.Sequential(*(nn.Conv2d(8 if n == 0 else 24, 24, 3, padding=1) for n in range(3)))
        self.last = nn.Sequential(nn.Conv2d(24, last, 3, padding=1), nn.ReLU(), nn.Conv2d(last, 1, 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.last(self.middle(self.stem(image))))


def halved(network: nn.Module) -> fx.GraphModule:
    module = torch.export.export(network.eval(), (IMAGE,)).module()
    assert isinstance(module, fx.GraphModule)
    return half_but_ends(copy.deepcopy(module))


def in_32_bits(module: fx.GraphModule) -> list[int]:
    """Which of a program's layers have weights in 32 bits."""
    constants = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    layers = [node for node in module.graph.nodes if node.target in LAYERS]
    return [n for n, node in enumerate(layers) if constants[str(node.args[1].target)].dtype == torch.float32]


def test_the_first_layer_and_the_last_ones_stay() -> None:
    assert in_32_bits(halved(Chain(last=4))) == [0, 4, 5]
    names = [node.name for node in ends(torch.export.export(Chain(last=4).eval(), (IMAGE,)).module())]
    assert names == ["conv2d", "batch_norm", "conv2d_4", "relu_1", "conv2d_5", "sigmoid"]


def test_a_layer_that_has_too_many_products_does_not_and_nothing_before_it() -> None:
    assert in_32_bits(halved(Chain(last=64))) == [0, 5]


def test_they_have_at_most_a_quarter_of_the_products() -> None:
    module = torch.export.export(Chain(last=4).eval(), (IMAGE,)).module()
    costs = [multiply_adds(node) for node in module.graph.nodes if node.target in LAYERS]
    assert sum(costs[n] for n in (0, 4, 5)) <= _SHARE * sum(costs) < sum(costs[n] for n in (0, 3, 4, 5))


def test_a_batch_norm_has_the_type_of_the_layer_before_it_and_the_result_is_near() -> None:
    network = Chain(last=4).eval()
    module = halved(network)
    (norm,) = (node for node in module.graph.nodes if "batch_norm" in str(node.target))
    assert norm.args[0].target in LAYERS, "no conversion stands between them"
    with torch.no_grad():
        found = module(IMAGE)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, network(IMAGE), rtol=0, atol=2e-3)

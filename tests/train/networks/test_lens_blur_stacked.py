"""Lens blur as it is arranged for Core ML: the same function of the same weights, in few operations."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.train.networks import LensBlurConfig, LensBlurNet
from dofkit.train.networks.filters import FixedConvolution
from dofkit.train.networks.lens_blur_stacked import LensBlurStacked, picked
from dofkit.train.session import load_networks

from .pictures import sheet_over_squares


def assert_same(network: LensBlurNet, arranged: LensBlurStacked, inputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    with torch.no_grad():
        expected, found = network(*inputs), arranged(*inputs)
    assert expected.std() > 0.05
    torch.testing.assert_close(found, expected, rtol=0, atol=3e-6)


@pytest.fixture(scope="module")
def shipped() -> LensBlurNet:
    network = load_networks()[Stage.LENS_BLUR]
    assert isinstance(network, LensBlurNet)
    return network


@pytest.fixture(scope="module")
def arranged(shipped: LensBlurNet) -> LensBlurStacked:
    return LensBlurStacked(shipped).eval()


def test_the_shipped_weights_give_the_same_picture(shipped: LensBlurNet, arranged: LensBlurStacked) -> None:
    assert_same(shipped, arranged, sheet_over_squares(48, 64, seed=1))


def test_it_computes_what_a_network_of_other_planes_computes() -> None:
    torch.manual_seed(8)
    network = LensBlurNet(LensBlurConfig(maps=8, context_width=8, source_width=8, weight_width=8)).eval()
    for head in (network.source.out, network.correction.out):
        nn.init.normal_(head.weight, std=0.2)
    assert_same(network, LensBlurStacked(network).eval(), sheet_over_squares(40, 40, seed=8))


class Watched(TorchFunctionMode):
    """Notes what a forward pass calls, and how many axes its tensors have."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.axes = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.names.add(str(getattr(func, "__name__", func)))
        self.axes = max(self.axes, result.ndim if isinstance(result, torch.Tensor) else 0)
        return result


def test_nothing_is_sliced_and_no_tensor_has_more_than_four_axes(arranged: LensBlurStacked) -> None:
    watched, inputs = Watched(), sheet_over_squares(40, 40, seed=1)
    with torch.no_grad(), watched:
        arranged(*inputs)
    assert {"conv2d", "split", "cat"} <= watched.names
    assert not watched.names & {"__getitem__", "reshape", "view", "permute", "transpose", "flatten", "gather", "sum"}
    assert watched.axes == 4


def test_every_layer_that_only_picks_and_adds_stays_in_floats(arranged: LensBlurStacked) -> None:
    fixed = {
        name
        for name, layer in arranged.named_modules()
        if isinstance(layer, FixedConvolution) and not name.startswith("spread.")
    }
    assert fixed <= {*LensBlurStacked.exact} <= {name for name, _ in arranged.named_modules()}


def test_picking_repeats_channels_and_ones() -> None:
    maps = torch.rand(1, 3, 2, 2)
    found = picked([2, 0, None, 2], 3)(maps)
    assert torch.equal(found, torch.cat([maps[:, 2:], maps[:, :1], torch.ones(1, 1, 2, 2), maps[:, 2:]], dim=1))

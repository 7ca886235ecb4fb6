"""The form of exported graphs computes what the network computes, and nothing leaves the range of 16-bit floats."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from dofkit.runtime_ref.pipeline.stage import DEPTHS, INPUTS, OUTPUTS, Stage
from dofkit.runtime_ref.target import Target
from dofkit.train.networks.focal_depth import FocalDepthConfig
from dofkit.train.networks.focal_graph import FocalDepthGraph, FocalStage, WindowMean
from dofkit.train.networks.focus_matching import window_mean
from dofkit.train.networks.registry import ARCHITECTURES
from dofkit.train.rendering.defocus import through_lens
from dofkit.train.rendering.focus_sweep import SWEEPS


class InHalves(TorchFunctionMode):
    """Rounds operands and results to 16 bits: convolutions of half tensors take minutes on some CPUs."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return tree_map(rounded, func(*tree_map(rounded, args), **tree_map(rounded, kwargs or {})))


def rounded(value: Any) -> Any:
    is_float = isinstance(value, torch.Tensor) and value.dtype == torch.float32
    return value.to(torch.float16).to(torch.float32) if is_float else value


SWEEP = SWEEPS["nyu"]
SMALL = FocalDepthConfig(DEPTHS, (4, 4, 4), (8, 8, 8, 8), 4)


def network() -> FocalStage:
    torch.manual_seed(0)
    made = FocalStage(SMALL)
    for parameter in made.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.05)
    return made.eval()


def inputs(height: int = 64, width: int = 80, slices: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """A slanted plane through a lens; it spans the nearest and the farthest focus."""
    picture = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1))
    depth = torch.linspace(1, 6, width).expand(1, 1, height, width)
    sweep = SWEEP.ordered(list(range(slices)))
    stack = through_lens(picture, depth, torch.tensor(sweep.focus), sweep.camera)[0]
    return stack, sweep.radius(DEPTHS)[:, :, None, None]


@pytest.mark.parametrize(("height", "width", "slices"), [(64, 80, 4), (96, 64, 2)])
def test_the_graph_computes_what_the_network_does(height: int, width: int, slices: int) -> None:
    made = network()
    stack, radius = inputs(height, width, slices)
    graph = ARCHITECTURES.contract_of(made).fixed
    assert graph is not None
    with torch.inference_mode():
        wanted, found = made(stack, radius), graph(made, (stack.shape, radius.shape))(stack, radius)
    assert found.shape == (1, 4, height, width)
    error = (wanted - found).abs().flatten()
    # but for pixels between two hills of likelihood
    assert float(error.quantile(0.999)) < 1e-5
    assert float(wanted.std()) > 0.05


def test_layers_to_keep_exact_are_convolutions_of_the_graph() -> None:
    made = network()
    contract = ARCHITECTURES.contract_of(made)
    stack, radius = inputs()
    for target in Target:
        graph = contract.arrange(made, target, (stack.shape, radius.shape))
        assert contract.exact_layers(target) == {"bank_down", "bank_across", "laplacian"}
        assert all(isinstance(graph.get_submodule(name), torch.nn.Conv2d) for name in contract.exact_layers(target))


def test_disparity_of_the_stage_is_the_sweeps_own() -> None:
    made = network()
    stack, radius = inputs()
    table = radius[None, :, :, 0, 0]
    with torch.inference_mode():
        place = super(FocalStage, made).forward(stack[None], table).place[0, 0]
        disparity = made(stack, radius)[0, 3]
    near, far = 1 / SWEEP.near, 1 / SWEEP.far
    wanted = (1 / SWEEP.depth_at(place, DEPTHS) - far) / (near - far)
    assert float((disparity - wanted).abs().max()) < 1e-5


@pytest.mark.parametrize("side", [3, 13])
def test_windows_at_the_border_count_what_lies_inside(side: int) -> None:
    maps = torch.rand(2, 3, 16, 20, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(WindowMean(side, (16, 20))(maps), window_mean(maps, side), atol=1e-6)


def test_in_half_precision_everything_stays_finite_and_near() -> None:
    made = network()
    stack, radius = inputs()
    stack[:, :, :32:2, ::2] = 0  # a checkerboard: the strongest detail that there is
    stack[:, :, 1:32:2, 1::2] = 0
    stack[:, :, :32:2, 1::2] = 1
    stack[:, :, 1:32:2, ::2] = 1
    stack[:, :, 40:, :40] = 0.5  # and the weakest
    graph = FocalDepthGraph(made, 4, (64, 80)).eval()
    with torch.inference_mode():
        wanted = graph(stack, radius)
        with InHalves():
            found = graph(stack, radius)
    assert bool(found.isfinite().all())
    assert -10 * float((wanted - found).square().mean().log10()) > 40


def test_the_signals_have_the_shapes_of_the_graph() -> None:
    stack, radius = inputs(64, 80, 4)
    assert [signal.shape(64, 80, 4) for signal in INPUTS[Stage.FOCAL_DEPTH]] == [stack.shape, radius.shape]
    assert OUTPUTS[Stage.FOCAL_DEPTH].shape(64, 80, 4) == (1, 4, 64, 80)
    assert float(np.abs(radius).max()) < INPUTS[Stage.FOCAL_DEPTH][1].high

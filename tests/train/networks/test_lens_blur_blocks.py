"""Lens blur as it is arranged for TFLite: the same function of the same weights, as XNNPACK is fast at it."""

from __future__ import annotations

import pytest
import torch

from dofkit.export.folded import folded_layers
from dofkit.export.stages import stage_graphs
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Target
from dofkit.train.networks import ARCHITECTURES, LensBlurConfig, LensBlurNet
from dofkit.train.networks.lens_blur_blocks import LensBlurBlocks
from dofkit.train.session import default_plan, load_networks

FAST_TAPS = 25  # of XNNPACK's widest depthwise kernel


def scene(height: int, width: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Squares of colours, over half of which a near sheet lies: every plane is used, and much is hidden."""
    generator = torch.Generator().manual_seed(seed)
    colours = torch.rand(1, 3, height // 8, width // 8, generator=generator)
    image = colours.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)
    defocus = 0.6 * torch.rand(1, 1, height, width, generator=generator) - 1
    defocus[..., width // 2 :] += torch.linspace(0.8, 1.4, height)[:, None]
    return image, defocus


def assert_same(network: LensBlurNet, inputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    with torch.no_grad():
        expected, found = network(*inputs), LensBlurBlocks(network).eval()(*inputs)
    assert expected.std() > 0.05
    torch.testing.assert_close(found, expected, rtol=0, atol=3e-6)


@pytest.mark.parametrize("size", [(48, 64), (72, 40)])
def test_the_shipped_weights_give_the_same_picture(size: tuple[int, int]) -> None:
    network = load_networks()[Stage.LENS_BLUR]
    assert isinstance(network, LensBlurNet)
    assert_same(network, scene(*size, seed=1))


@pytest.mark.parametrize("maps", [3, 8, 13])
def test_it_computes_what_a_network_of_other_planes_computes(maps: int) -> None:
    """Even numbers have planes in front that no plane behind is alike."""
    torch.manual_seed(maps)
    network = LensBlurNet(LensBlurConfig(maps=maps, context_width=8, source_width=8, weight_width=8)).eval()
    for head in (network.source.out, network.correction.out):
        torch.nn.init.normal_(head.weight, std=0.2)
    assert_same(network, scene(40, 40, seed=maps))


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


def test_no_stage_has_a_wide_or_a_widening_depthwise_convolution_in_tflite() -> None:
    plan = default_plan(tile=96, depth_sizes=((128, 128),))
    for graph in stage_graphs(load_networks(), plan, Target.TFLITE).values():
        for layer in folded_layers(graph.network, graph.example()):
            convolution = graph.network.get_submodule(layer.name)
            assert isinstance(convolution, torch.nn.Conv2d)
            if convolution.groups > 1:
                assert layer.weight[0].size <= FAST_TAPS, layer.name
                assert convolution.groups == convolution.in_channels == convolution.out_channels, layer.name


def test_a_tile_that_the_form_does_not_take_is_refused_for_this_target_only() -> None:
    networks = {Stage.LENS_BLUR: load_networks()[Stage.LENS_BLUR]}
    plan = default_plan(tile=100, depth_sizes=((128, 128),))
    assert stage_graphs(networks, plan, Target.ONNX)[Stage.LENS_BLUR].size == (100, 100)
    with pytest.raises(DofkitError, match="100 is no multiple of 8; take 96 or 104"):
        stage_graphs(networks, plan, Target.TFLITE)
    assert ARCHITECTURES.named("lens_blur").contract.size_for(Target.COREML).multiple == LensBlurNet.align

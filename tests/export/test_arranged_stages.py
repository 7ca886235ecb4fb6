"""What a target's runtime is slow at is in none of its files."""

from __future__ import annotations

import pytest
import torch

from dofkit.export.folded import folded_layers
from dofkit.export.stages import stage_graphs
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Target
from dofkit.train.networks import ARCHITECTURES, LensBlurNet
from dofkit.train.session import default_plan, load_networks

FAST_TAPS = 25  # of XNNPACK's widest depthwise kernel


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

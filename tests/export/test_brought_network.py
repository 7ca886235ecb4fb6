"""A network of attention, LayerNorm and transposed convolutions exports, and its stored weights are proven."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from dofkit.export.folded import NetworkWeights, network_weights
from dofkit.export.stages import StageGraph, stage_graphs
from dofkit.export.stored import compare_in_order
from dofkit.runtime_ref.bundle import LayerEntry
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Precision, Target
from dofkit.train.networks.adapted import AdaptedDepth
from dofkit.train.session import default_plan
from dofkit.train.weights import load_weights, save_weights

from .tiny_transformer import WITH_TINY, random_transformer

SIZE = (24, 40)  # neither square nor a multiple of what dofkit's own network takes
LAYERS = {
    "network", "network.before", "network.between", "network.query_key_value", "network.attended",
    "network.mlp.0", "network.mlp.2", "network.up", "network.last",
}  # fmt: skip


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> torch.nn.Module:
    """The network as it comes back from a weights file."""
    folder = tmp_path_factory.mktemp("weights")
    save_weights(random_transformer(), Stage.DEPTH, folder, architectures=WITH_TINY)
    return load_weights(Stage.DEPTH, folder, WITH_TINY)


def graph_of(network: torch.nn.Module, target: Target) -> StageGraph:
    plan = default_plan(tile=96, depth_sizes=((128, 128),)).model_copy(
        update={"depth_height": SIZE[0], "depth_width": SIZE[1]}
    )
    return stage_graphs({Stage.DEPTH: network}, plan, target, WITH_TINY)[Stage.DEPTH]


def weights_of(graph: StageGraph) -> NetworkWeights:
    return network_weights(graph.network, graph.example())


def photo() -> np.ndarray:
    return np.random.default_rng(4).random((1, 3, *SIZE), np.float32)


def expected(network: torch.nn.Module) -> np.ndarray:
    with torch.no_grad():
        return network(torch.from_numpy(photo())).numpy()


def assert_proven(entries: Sequence[LayerEntry]) -> None:
    """Every layer was compared, and is as it must be."""
    assert [
        (entry.name, entry.problem, entry.uncompared) for entry in entries if entry.problem or entry.uncompared
    ] == []
    assert {entry.name for entry in entries} == LAYERS | {"network.patches"}


def test_the_file_brings_back_an_adapted_network_whose_graph_has_its_size(network: torch.nn.Module) -> None:
    assert isinstance(network, AdaptedDepth)
    graph = graph_of(network, Target.ONNX)
    assert graph.architecture == "tiny_transformer"
    assert graph.entry(graph.inputs[0], Target.TFLITE).shape == (1, *SIZE, 3)
    output = expected(network)
    assert output.shape == (1, 1, *SIZE)
    assert output.min() == 0
    assert 0.9 < output.max() <= 1


def test_every_weight_that_takes_part_is_listed(network: torch.nn.Module) -> None:
    weights = weights_of(graph_of(network, Target.ONNX))
    assert [layer.name for layer in weights.convolutions] == ["network.patches"]
    assert {layer.name for layer in weights.others} == LAYERS
    listed = sum(values.size for layer in weights.others for values in layer.parameters.values())
    listed += sum(layer.weight.size + layer.bias.size for layer in weights.convolutions)
    assert listed == sum(parameter.numel() for parameter in network.parameters())


def test_an_onnx_file_computes_it_and_holds_its_weights(network: torch.nn.Module, tmp_path: Path) -> None:
    from dofkit.export.onnx.convert import convert
    from dofkit.export.onnx.stored import STORED
    from dofkit.runtime_ref.backends.onnx import OnnxSession

    graph, path = graph_of(network, Target.ONNX), tmp_path / "fp32.onnx"
    convert(graph, path)
    found = OnnxSession(Stage.DEPTH, path).run({"image": photo()})
    np.testing.assert_allclose(found, expected(network), atol=2e-5)
    weights = weights_of(graph)
    assert_proven(STORED.compare(weights, path))
    weights.others[-1].parameters["weight"][0, 0, 0, 0] += 0.01
    assert [entry.name for entry in STORED.compare(weights, path) if entry.problem] == ["network.last"]


@pytest.mark.e2e
def test_a_tflite_file_computes_it_and_holds_its_weights(network: torch.nn.Module, tmp_path: Path) -> None:
    from dofkit.export.tflite.convert import convert
    from dofkit.export.tflite.stored import STORED
    from dofkit.runtime_ref.backends.tflite import TFLiteSession

    graph, path = graph_of(network, Target.TFLITE), tmp_path / "fp32.tflite"
    convert(graph, path)
    found = TFLiteSession(Stage.DEPTH, path).run({"image": photo()})
    np.testing.assert_allclose(found, expected(network), atol=2e-5)
    entries = STORED.compare(weights_of(graph), path)
    assert not [entry for entry in entries if entry.problem]
    assert {entry.name for entry in entries} >= LAYERS


@pytest.mark.e2e
def test_a_core_ml_package_computes_it_and_holds_its_weights(network: torch.nn.Module, tmp_path: Path) -> None:
    from dofkit.export.coreml.convert import TracedStage
    from dofkit.export.coreml.options import CoreMLOptions
    from dofkit.export.coreml.stored import StoredProgram
    from dofkit.export.coreml.weights import judge
    from dofkit.export.parameters import compare_others
    from dofkit.runtime_ref.backends.mil import MilSession

    graph, path = graph_of(network, Target.COREML), tmp_path / "fp32.mlpackage"
    TracedStage(graph, CoreMLOptions()).convert(Precision.FP32).save(str(path))
    found = MilSession(Stage.DEPTH, path).run({"image": photo()})
    np.testing.assert_allclose(found, expected(network), atol=2e-5)
    program, weights = StoredProgram(path), weights_of(graph)
    assert [entry.problem for entry in compare_in_order(weights.convolutions, program.convolutions(), judge)] == [""]
    entries = compare_others(weights.others, program.constants())
    assert not [entry for entry in entries if entry.problem]
    assert {entry.name for entry in entries} == LAYERS

"""Fully connected layers are found in every target's file by their numbers, and stay in floats where a recipe says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dofkit.export.folded import NetworkWeights, graph_weights
from dofkit.export.layers import layer_calls, names_in_file
from dofkit.export.ranges import measure_ranges
from dofkit.export.stages import StageGraph
from dofkit.export.stored import StoredWeights
from dofkit.runtime_ref.backends.tracers import open_tracer
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Precision, Target
from dofkit.train.networks.adapted import adapted

from .tiny_transformer import TINY, TinyConfig, TinyTransformer

SIZE = (24, 40)
DENSE = ["network.query_key_value", "network.attended", "network.mlp.0", "network.mlp.2"]
Made = tuple[Path, StoredWeights[Any], Callable[..., None]]


@pytest.fixture(scope="module")
def graph() -> StageGraph:
    """Wide enough that its matrices are worth 8 bits; `attended` is square: 32 × 32."""
    torch.manual_seed(4)
    network = TinyTransformer(TinyConfig(width=32))
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return StageGraph(Stage.DEPTH, adapted(network, TINY.contract).eval(), SIZE)


def made(target: Target, graph: StageGraph, folder: Path) -> Made:
    """A file in the floats that mixed ones are made of, how its weights are read, and how it is quantised."""
    path = folder / f"floats{target.suffix}"
    if target is Target.ONNX:
        from dofkit.export.onnx.convert import convert
        from dofkit.export.onnx.quantise import quantise
        from dofkit.export.onnx.stored import STORED

        convert(graph, path)
        return path, STORED, quantise
    if target is Target.TFLITE:
        from dofkit.export.tflite.convert import convert
        from dofkit.export.tflite.quantise import quantise
        from dofkit.export.tflite.stored import STORED

        convert(graph, path)
        return path, STORED, quantise
    if target is Target.COREML:
        from dofkit.export.coreml.convert import TracedStage
        from dofkit.export.coreml.options import CoreMLOptions
        from dofkit.export.coreml.quantise import quantise
        from dofkit.export.coreml.weights import stored_weights

        TracedStage(graph, CoreMLOptions()).convert(Precision.FP16).save(str(path))
        return path, stored_weights(), quantise
    from dofkit.export.coreai.convert import convert
    from dofkit.export.coreai.quantise import quantise
    from dofkit.export.coreai.stored import stored_weights as stored_in_asset

    convert(graph, path)
    return path, stored_in_asset(), quantise


@pytest.fixture(scope="module")
def in_onnx(graph: StageGraph, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made(Target.ONNX, graph, tmp_path_factory.mktemp("onnx"))


def stored_as(weights: NetworkWeights, stored: StoredWeights[Any], path: Path) -> dict[str, str]:
    """How the fully connected layers' matrices lie in a file; every number in it is the network's."""
    entries = {entry.name: entry for entry in stored.compare(weights, path)}
    assert not [entry for entry in entries.values() if entry.problem]
    return {name: entries[name].stored for name in DENSE}


def test_a_kept_layer_stays_in_floats_and_the_others_become_integers(
    graph: StageGraph, in_onnx: Made, tmp_path: Path
) -> None:
    assert_mixed(Target.ONNX, graph, in_onnx, tmp_path)


@pytest.mark.e2e
@pytest.mark.parametrize("target", [target for target in Target if target is not Target.ONNX])
def test_the_same_in_other_targets(target: Target, graph: StageGraph, tmp_path: Path) -> None:
    assert_mixed(target, graph, made(target, graph, tmp_path), tmp_path)


def assert_mixed(target: Target, graph: StageGraph, file: Made, tmp_path: Path) -> None:
    """Two of the layers stay, the others do not."""
    weights, (path, stored, quantise) = graph_weights(graph), file
    assert list(layer_calls(weights, stored, path)) == ["network.patches", *DENSE]
    image = np.random.default_rng(4).random((1, 3, *SIZE), np.float32)
    ranges = measure_ranges(open_tracer(Stage.DEPTH, target, path, None), [{"image": image}])
    kept = names_in_file({"network.attended", "network.mlp.0"}, weights, stored, path)
    goal = tmp_path / f"mixed{target.suffix}"
    quantise(path, goal, Precision.MIXED, ranges, kept)
    labels = stored_as(weights, stored, goal)
    assert {name for name, label in labels.items() if "int8" in label} == {"network.query_key_value", "network.mlp.2"}
    assert all("fp16" in labels[name] for name in ("network.attended", "network.mlp.0"))


def test_a_matrix_is_known_by_its_numbers_not_by_its_place(graph: StageGraph, in_onnx: Made) -> None:
    path, stored, _ = in_onnx
    calls, dense = layer_calls(graph_weights(graph), stored, path), stored.dense(path)
    parameters = dict(graph.network.named_parameters())
    for layer in DENSE:
        (name,) = calls[layer]
        matrix = parameters[f"{layer}.weight"].detach().numpy()
        np.testing.assert_array_equal(dense[name].values, matrix.T)


def test_a_recipe_of_another_network_is_one_line(graph: StageGraph, in_onnx: Made) -> None:
    path, stored, _ = in_onnx
    with pytest.raises(DofkitError, match=r"no layer 'network\.mlp\.7' to keep in floats; run `dofkit sensitivity`"):
        names_in_file({"network.mlp.7"}, graph_weights(graph), stored, path)

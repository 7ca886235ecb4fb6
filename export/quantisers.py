"""One way to quantise a file of any target with some layers left in floats: what the sensitivity search tries."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import assert_never

from ..runtime_ref.pipeline.plan import PipelinePlan
from ..runtime_ref.target import Precision, Target
from .calibration import Calibration
from .folded import NetworkWeights, graph_weights
from .layers import layer_calls
from .stages import StageGraph
from .stored import StoredWeights

Quantise = Callable[[Path, Path, Precision, Any, Collection[str]], None]


@dataclass(frozen=True)
class Quantiser:
    """Writes a file with some layers in floats and all others in int8.

    Attributes:
        layers: that can be quantised, by their paths in the PyTorch network.
        write: called with the goal and the layers to leave in floats, besides those that always are.
    """

    layers: tuple[str, ...]
    write: Callable[[Path, Collection[str]], None]


def quantiser(graph: StageGraph, target: Target, base: Path, calibration: Calibration, plan: PipelinePlan) -> Quantiser:
    """How a stage's file is quantised.

    Args:
        graph: the stage.
        target: of the file.
        base: the file in floats.
        calibration: to measure ranges of activations on; done once.
        plan: of the tiles.

    Raises:
        DofkitError: the file's convolutions are not the network's.
    """
    ranges = calibration.ranges(graph.stage, plan, target, base)
    quantise, stored, weights = _of_target(graph, target)
    calls = layer_calls(weights, stored, base)

    def write(goal: Path, kept: Collection[str]) -> None:
        left = {call for layer in {*kept, *graph.exact} for call in calls.get(layer, ())}
        quantise(base, goal, Precision.MIXED, ranges, left)

    return Quantiser(tuple(layer for layer in calls if layer not in graph.exact), write)


def _of_target(graph: StageGraph, target: Target) -> tuple[Quantise, StoredWeights[Any], NetworkWeights]:
    """How files of a target are quantised and read, and what the stage computes with."""
    match target:
        case Target.TFLITE:
            from .tflite.quantise import quantise
            from .tflite.stored import STORED

            return quantise, STORED, graph_weights(graph)
        case Target.ONNX:
            from .onnx.exporter import weights
            from .onnx.quantise import quantise
            from .onnx.stored import STORED

            return quantise, STORED, weights(graph)
        case Target.COREML:
            from .coreml.quantise import quantise
            from .coreml.weights import stored_weights

            return quantise, stored_weights(), graph_weights(graph)
        case Target.COREAI:
            from .coreai.quantise import quantise
            from .coreai.stored import stored_weights

            return quantise, stored_weights(), graph_weights(graph)
        case _:
            assert_never(target)

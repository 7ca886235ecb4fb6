"""One way to quantise a file of any target with some layers left in floats: what the sensitivity search tries."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from typing_extensions import assert_never

from ..runtime_ref.errors import DofkitError
from ..runtime_ref.pipeline.plan import PipelinePlan
from ..runtime_ref.target import Precision, Target
from .calibration import Calibration
from .folded import folded_layers
from .stages import StageGraph

Quantiser = Callable[[Path, Collection[str]], None]


def quantiser(graph: StageGraph, target: Target, base: Path, calibration: Calibration, plan: PipelinePlan) -> Quantiser:
    """A function that writes a file with some layers in floats and all others in int8.

    Args:
        graph: the stage.
        target: of the file.
        base: the file in floats.
        calibration: to measure ranges of activations on; done once.
        plan: of the tiles.

    Returns:
        Called with the goal and the layers to leave in floats (paths in the PyTorch network), besides those that
        always are.

    Raises:
        DofkitError: the file's convolutions are not the network's.
    """
    ranges = calibration.ranges(graph.stage, plan, target, base)
    layers = [layer.name for layer in folded_layers(graph.network, graph.example())]
    match target:
        case Target.TFLITE:
            from .tflite.quantise import quantise
            from .tflite.stored import convolutions
        case Target.ONNX:
            from .onnx.quantise import quantise
            from .onnx.stored import convolutions
        case Target.COREML:
            from .coreml.quantise import convolutions, quantise
        case Target.COREAI:
            from .coreai.quantise import convolutions, quantise
        case _:
            assert_never(target)
    names = [convolution.name for convolution in convolutions(base)]
    if len(names) != len(layers):
        raise DofkitError(f"{base} has {len(names)} convolutions, {graph.stage} has {len(layers)}; export it again")

    def write(goal: Path, kept: Collection[str]) -> None:
        left = {name for name, layer in zip(names, layers, strict=True) if layer in kept or layer in graph.exact}
        quantise(base, goal, Precision.MIXED, ranges, left)

    return write

"""w8a8: how the measured ranges of activations get into a package.

coremltools measures them by running the model, which needs macOS, and its 9.0 keeps the last sample's range only. Its
measuring function is exchanged for the one here while it inserts the quantize and dequantize operations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...runtime_ref.mil import MLProgram
from ..ranges import Ranges
from .tools import coremltools, quietly


def concatenations_joined(package: Path, ranges: Ranges) -> Ranges:
    """Ranges of a package's results, its outputs left out; what is concatenated gets one common range.

    Concatenation of int8 tensors is free only if all have one scale.

    Args:
        package: uncompressed, one function.
        ranges: of all its results.
    """
    program = MLProgram.open(package)
    joined = dict(ranges)
    for group in _concatenated(program):
        known = [joined[name] for name in group if name in joined]
        common = (min(low for low, _ in known), max(high for _, high in known)) if known else None
        joined.update({name: common for name in group if common is not None})
    outputs = {feature.name for feature in program.outputs}
    return {name: range_ for name, range_ in joined.items() if name not in outputs}


def _concatenated(program: MLProgram) -> list[set[str]]:
    """Names that are inputs or output of the same concatenation, directly or through a shared neighbour."""
    groups: list[set[str]] = []
    for operation in program.function.block.walk():
        if operation.type == "concat":
            group = {name for name in operation.inputs["values"] if isinstance(name, str)} | {operation.name}
            touching = [other for other in groups if other & group]
            groups = [other for other in groups if not other & group] + [group.union(*touching)]
    return groups


def quantise_activations(model: Any, ranges: Ranges, kept: Sequence[str] = ()) -> Any:
    """A coremltools model; inputs and outputs of its layers with weights are rounded to int8 over the given ranges.

    Args:
        model: of coremltools.
        ranges: of its results by name.
        kept: names of convolutions that stay as they are.
    """
    coremltools()
    with quietly():
        from coremltools.optimize import coreml as optimise
    # Layers of weights only: with sums, quotients and the picture's own values in 8 bits the blur falls below 30 dB.
    # With a zero point: most inputs follow a ReLU, and a symmetric range spends half of its steps on what is not there
    # (5 to 7 dB, measured on the shipped networks).
    int8 = optimise.OpLinearQuantizerConfig(mode="linear", dtype="int8")
    config = optimise.OptimizationConfig()
    config.set_op_type("conv", int8)
    config.set_op_type("linear", int8)
    for operation in _operations_of(model, kept):
        config.set_op_name(operation, None)  # pyright: ignore[reportArgumentType]  # it means: leave it
    with quietly(), _measured(ranges):
        return optimise.linear_quantize_activations(model, config, sample_data=[])


def _operations_of(model: Any, results: Sequence[str]) -> list[str]:
    """coremltools' own names of the operations with these results: where a result is var_7, its operation is op_7."""
    [function] = model.get_spec().mlProgram.functions.values()
    [block] = function.block_specializations.values()
    return [
        operation.attributes["name"].immediateValue.tensor.strings.values[0]
        for operation in block.operations
        if any(output.name in results for output in operation.outputs)
    ]


@contextmanager
def _measured(ranges: Ranges) -> Iterator[None]:
    """coremltools takes these ranges instead of running the model."""
    from coremltools.optimize.coreml import _post_training_quantization as module

    name = "_get_activation_calibration_stats"
    original = getattr(module, name)
    measured = {key: {"rmin": low, "rmax": high} for key, (low, high) in ranges.items()}
    setattr(module, name, lambda *_: measured)
    try:
        yield
    finally:
        setattr(module, name, original)

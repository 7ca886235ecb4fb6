"""Mixed precision by a budget: the fewest operations that must stay in fp32 for a PSNR against PyTorch.

What an operation's rounding costs is measured, not guessed: the fp32 program is evaluated with that operation alone
declared fp16; the most sensitive are taken back until the whole program meets the budget, and in the end the converted
package is evaluated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from ...runtime_ref.bundle.golden import GoldenArrays
from ...runtime_ref.errors import DofkitError
from ...runtime_ref.mil import Element, Numerics, Package
from ...runtime_ref.mil.evaluator import FunctionEvaluator
from ...runtime_ref.mil.program import Constant, Function, Operation, TensorType, ValueType
from ...runtime_ref.target import Precision
from ..search import Errors, decibels, fewest, most_sensitive_first
from ..stages import StageGraph
from .convert import KeepFp32, TracedStage
from .features import PIXEL_MAX
from .options import CoreMLOptions


def reach_budget(
    traced: TracedStage, keep: KeepFp32, budget: float, golden: tuple[GoldenArrays, ...], scratch: Path
) -> tuple[str, ...]:
    """Names of the operations of a stage to keep in fp32.

    Args:
        traced: the stage.
        keep: what is kept anyway.
        budget: PSNR in dB that every golden case must reach.
        golden: inputs and PyTorch's outputs.
        scratch: a folder for packages.

    Raises:
        DofkitError: not even fp32 reaches the budget.
    """
    package = _save(traced, Precision.FP32, KeepFp32(), scratch)
    trial = _Trial(package, traced.graph, traced.options, golden)
    allowed = 10 ** (-budget / 10)
    best = trial.errors(package.function())
    if best.max() > allowed:
        raise DofkitError(
            f"--fp32-budget {budget:g}: {traced.graph.stage} reaches {decibels(best):.1f} dB even if everything is "
            "fp32; give a lower budget"
        )
    function = package.function()
    kept = [name for name, kind in _operations(function).items() if keep.keeps(kind, name)]
    if trial.errors(in_half(function, kept)).max() > allowed:
        kept = _take_back(function, kept, trial, best, allowed)
    _confirm(traced, kept, golden, allowed, scratch)
    return tuple(kept)


def _take_back(function: Function, kept: list[str], trial: _Trial, best: Errors, allowed: float) -> list[str]:
    """Operations to keep in fp32, by their measured costs, so that the whole program meets the budget."""

    def meets(chosen: list[str]) -> bool:
        return trial.errors(in_half(function, chosen)).max() <= allowed

    names = _operations(function).keys()
    cost = {name: trial.errors(in_half(function, names - {name}), best) for name in names if name not in kept}
    return kept + fewest(most_sensitive_first(cost), lambda chosen: meets(kept + chosen))


def _confirm(
    traced: TracedStage, kept: list[str], golden: tuple[GoldenArrays, ...], allowed: float, scratch: Path
) -> None:
    """Prove the choice on the package that is converted with it."""
    package = _save(traced, Precision.FP16, KeepFp32(tuple(kept)), scratch)
    reached = _Trial(package, traced.graph, traced.options, golden).errors(package.function())
    if reached.max() > allowed:
        raise DofkitError(
            f"--fp32-budget: {traced.graph.stage} reaches {decibels(reached):.1f} dB with {len(kept)} operations in "
            "fp32; give a lower budget, or --precision fp32"
        )


def _save(traced: TracedStage, precision: Precision, keep: KeepFp32, scratch: Path) -> Package:
    path = scratch / f"budget.{traced.graph.stage}.{precision}.mlpackage"
    traced.convert(precision, keep).save(str(path))
    return Package(path)


class _Trial:
    """Evaluates variants of a package's function on the golden inputs."""

    def __init__(
        self, package: Package, graph: StageGraph, options: CoreMLOptions, golden: tuple[GoldenArrays, ...]
    ) -> None:
        self._package, self._graph = package, graph
        scaled = {signal.name for signal in graph.inputs if options.image_inputs and signal.channels == 3}
        self._cases = [
            (
                {n: v * np.float32(PIXEL_MAX) if n in scaled else v for n, v in arrays.inputs(graph.stage).items()},
                arrays.output(graph.stage).astype(np.float64),
            )
            for arrays in golden
        ]
        self._unit = PIXEL_MAX if options.image_outputs and graph.output.channels == 3 else 1.0

    def errors(self, function: Function, beyond: Errors | None = None) -> Errors:
        """Mean squared error of every case, less what is there without the change (`beyond`)."""
        evaluator = FunctionEvaluator(function, self._package.read_blob, Numerics.TYPED, str(self._package.path))
        position = function.block.outputs.index(self._graph.output.name)
        errors = []
        for inputs, reference in self._cases:
            outputs, _ = evaluator.run(inputs)
            errors.append(np.mean((outputs[position] / self._unit - reference) ** 2))
        found = np.array(errors)
        return found if beyond is None else np.maximum(found - beyond, 0)


def _operations(function: Function) -> dict[str, str]:
    """Output name → type of what can be computed in fp16."""
    return {
        operation.name: operation.type
        for operation in function.block.operations
        if operation.type not in ("const", "cast") and _is_fp32(operation.outputs[0][1])
    }


def in_half(function: Function, kept: Collection[str]) -> Function:
    """An fp32 function as it is when converted to fp16 but for the operations named in `kept`.

    Given (sqrt is kept):  add: fp32 ─► mul: fp32 ─► sqrt: fp32
    Result:                cast(inputs, constants): fp16 ─► add: fp16 ─► mul: fp16 ─► sqrt: fp32
    """
    half = _operations(function).keys() - set(kept)
    operations = tuple(_rewritten(function, half))
    return dataclasses.replace(function, block=dataclasses.replace(function.block, operations=operations))


def _rewritten(function: Function, half: Collection[str]) -> Iterator[Operation]:
    types: dict[str, ValueType] = dict(function.inputs)  # of everything so far that is not computed in fp16
    cast: set[str] = set()
    for operation in function.block.operations:
        if operation.name not in half:
            types.update(operation.outputs)
            yield operation
            continue
        wide = {name for name in operation.names_used if _is_fp32(types.get(name))}
        for name in sorted(wide - cast):
            cast.add(name)
            yield _cast(name, types[name])
        inputs = {
            parameter: tuple(_half_name(b) if isinstance(b, str) and b in wide else b for b in bindings)
            for parameter, bindings in operation.inputs.items()
        }
        outputs = tuple((name, _halved(declared)) for name, declared in operation.outputs)
        yield dataclasses.replace(operation, inputs=inputs, outputs=outputs)


def _is_fp32(declared: ValueType | None) -> bool:
    return isinstance(declared, TensorType) and declared.element is Element.FLOAT32


def _halved(declared: ValueType) -> ValueType:
    return dataclasses.replace(declared, element=Element.FLOAT16) if isinstance(declared, TensorType) else declared


def _half_name(name: str) -> str:
    return f"{name}__half"


def _cast(name: str, declared: ValueType) -> Operation:
    dtype = Constant(TensorType(Element.STRING, ()), np.array("fp16", dtype=object))
    return Operation("cast", {"x": (name,), "dtype": (dtype,)}, {}, ((_half_name(name), _halved(declared)),))

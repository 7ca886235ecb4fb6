"""Mixed precision by a budget: the fewest operations that must stay in fp32 for a PSNR against PyTorch.

What an operation's rounding costs is measured, not guessed: the fp32 program is evaluated with that operation alone
declared fp16; the most sensitive are taken back until the whole program meets the budget, and in the end the converted
package is evaluated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import numpy as np

from ..runtime_ref.bundle.golden import GoldenArrays
from ..runtime_ref.errors import DofkitError
from ..runtime_ref.mil import Element, Numerics, ProgramPackage
from ..runtime_ref.mil.evaluator import FunctionEvaluator
from ..runtime_ref.mil.program import Function, Operation, TensorType, ValueType
from ..runtime_ref.target import Precision
from .keep_fp32 import KeepFp32
from .search import Errors, decibels, fewest, most_sensitive_first
from .stages import StageGraph

PIXEL_MAX = 255.0


@dataclass(frozen=True)
class FloatPrograms:
    """A stage as a target writes it in floats.

    Attributes:
        graph: the stage.
        write: writes it in fp32 or fp16 and opens what was written.
        pixels: names of inputs and outputs that hold pixels of 0 … 255 instead of [0, 1].
        cast: (name, its type) -> the operation that rounds a value to fp16, called `half_name`.
        exact: the operands of an operation that stay as they are.
    """

    graph: StageGraph
    write: Callable[[Precision, KeepFp32], ProgramPackage]
    pixels: Collection[str]
    cast: Callable[[str, ValueType], Operation]
    exact: Callable[[Operation], Collection[str]] = lambda _: ()

    def in_half(self, function: Function, kept: Collection[str]) -> Function:
        """An fp32 function as it is when converted to fp16 but for the operations named in `kept`.

        Given (sqrt is kept):  add: fp32 ─► mul: fp32 ─► sqrt: fp32
        Result:                cast(inputs, constants): fp16 ─► add: fp16 ─► mul: fp16 ─► sqrt: fp32
        """
        half = _operations(function).keys() - set(kept)
        operations = tuple(self._rewritten(function, half))
        return dataclasses.replace(function, block=dataclasses.replace(function.block, operations=operations))

    def _rewritten(self, function: Function, half: Collection[str]) -> Iterator[Operation]:
        types: dict[str, ValueType] = dict(function.inputs)  # of everything so far that is not computed in fp16
        cast: set[str] = set()
        for operation in function.block.operations:
            if operation.name not in half:
                types.update(operation.outputs)
                yield operation
                continue
            wide = {name for name in operation.names_used if _is_fp32(types.get(name))} - set(self.exact(operation))
            for name in sorted(wide - cast):
                cast.add(name)
                yield self.cast(name, types[name])
            inputs = {
                parameter: tuple(half_name(b) if isinstance(b, str) and b in wide else b for b in bindings)
                for parameter, bindings in operation.inputs.items()
            }
            outputs = tuple((name, halved(declared)) for name, declared in operation.outputs)
            yield dataclasses.replace(operation, inputs=inputs, outputs=outputs)


def reach_budget(
    programs: FloatPrograms, keep: KeepFp32, budget: float, golden: tuple[GoldenArrays, ...]
) -> tuple[str, ...]:
    """Names of the operations of a stage to keep in fp32.

    Args:
        programs: the stage.
        keep: what is kept anyway.
        budget: PSNR in dB that every golden case must reach.
        golden: inputs and PyTorch's outputs.

    Raises:
        DofkitError: not even fp32 reaches the budget.
    """
    package = programs.write(Precision.FP32, KeepFp32())
    trial = _Trial(package, programs, golden)
    allowed = 10 ** (-budget / 10)
    best = trial.errors(package.function())
    if best.max() > allowed:
        raise DofkitError(
            f"--fp32-budget {budget:g}: {programs.graph.stage} reaches {decibels(best):.1f} dB even if everything is "
            "fp32; give a lower budget"
        )
    function = package.function()
    kept = [name for name, kind in _operations(function).items() if keep.keeps(kind, name)]
    if trial.errors(programs.in_half(function, kept)).max() > allowed:
        kept = _take_back(function, kept, trial, best, allowed)
    _confirm(programs, kept, golden, allowed)
    return tuple(kept)


def _take_back(function: Function, kept: list[str], trial: _Trial, best: Errors, allowed: float) -> list[str]:
    """Operations to keep in fp32, by their measured costs, so that the whole program meets the budget."""
    in_half = trial.programs.in_half

    def meets(chosen: list[str]) -> bool:
        return trial.errors(in_half(function, chosen)).max() <= allowed

    names = _operations(function).keys()
    cost = {name: trial.errors(in_half(function, names - {name}), best) for name in names if name not in kept}
    return kept + fewest(most_sensitive_first(cost), lambda chosen: meets(kept + chosen))


def _confirm(programs: FloatPrograms, kept: list[str], golden: tuple[GoldenArrays, ...], allowed: float) -> None:
    """Prove the choice on the package that is converted with it."""
    package = programs.write(Precision.FP16, KeepFp32(tuple(kept)))
    reached = _Trial(package, programs, golden).errors(package.function())
    if reached.max() > allowed:
        raise DofkitError(
            f"--fp32-budget: {programs.graph.stage} reaches {decibels(reached):.1f} dB with {len(kept)} operations in "
            "fp32; give a lower budget, or --precision fp32"
        )


class _Trial:
    """Evaluates variants of a package's function on the golden inputs."""

    def __init__(self, package: ProgramPackage, programs: FloatPrograms, golden: tuple[GoldenArrays, ...]) -> None:
        self._package, self.programs, graph = package, programs, programs.graph
        self._cases = [
            (
                {
                    name: value * np.float32(PIXEL_MAX) if name in programs.pixels else value
                    for name, value in arrays.inputs(graph.stage).items()
                },
                arrays.output(graph.stage).astype(np.float64),
            )
            for arrays in golden
        ]
        self._unit = PIXEL_MAX if graph.output.name in programs.pixels else 1.0

    def errors(self, function: Function, beyond: Errors | None = None) -> Errors:
        """Mean squared error of every case, less what is there without the change (`beyond`)."""
        package = self._package
        evaluator = FunctionEvaluator(
            function, package.read_blob, Numerics.TYPED, str(package.path), package.operations
        )
        position = function.block.outputs.index(self.programs.graph.output.name)
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


def _is_fp32(declared: ValueType | None) -> bool:
    return isinstance(declared, TensorType) and declared.element is Element.FLOAT32


def halved(declared: ValueType) -> ValueType:
    """A tensor's type with fp16 elements."""
    return dataclasses.replace(declared, element=Element.FLOAT16) if isinstance(declared, TensorType) else declared


def half_name(name: str) -> str:
    """What the fp16 rounding of a value is called."""
    return f"{name}__half"

"""Where two programs part: their operations aligned, and every result of one held against the other's.

Only operations of the outermost block are compared; a loop is compared by its results.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import numpy as np

from ..errors import DofkitError
from .arrays import Array
from .elements import Element
from .evaluator import Value
from .model import MLProgram
from .program import Block, Operation, TensorType
from .trace import Trace

# Between fp32 programs only the order of sums differs: at most 3e-6 of the greatest magnitude in the shipped networks.
FP32_TOLERANCE = 1e-4
# A half has steps of 5e-4 at its greatest. In the shipped networks they add up to 6e-3 on photos and noise, and to
# 1.4e-2 on a black picture; in a depth network with random weights to 2.6e-2, which needs a tolerance of its own.
FP16_TOLERANCE = 2e-2
# A weight is rounded once, to a half by at most 5e-4 of its magnitude, or by a step of the least halves.
_HALF_ROUNDING, _HALF_STEP = 1e-3, 2.0**-24

# What converters append to the name of a value that they made half precision.
_SUFFIXES = ("_cast_fp16", "_to_fp16", "_cast_fp32", "_to_fp32")


@dataclass(frozen=True)
class Difference:
    """How far two values are apart.

    Attributes:
        max_abs: max |a − b|; infinite where shapes or non-finite numbers differ.
        magnitude: max |a| over finite numbers.
    """

    max_abs: float
    magnitude: float

    @property
    def relative(self) -> float:
        """max |a − b| / max |a|; 0 for equal values."""
        if self.max_abs == 0:
            return 0.0
        return self.max_abs / self.magnitude if self.magnitude else float("inf")

    @classmethod
    def between(cls, a: Value, b: Value) -> Difference:
        """Of two values of programs: arrays, texts, or lists and dictionaries of them."""
        if isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
            parts = [cls.between(x, y) for x, y in zip(a, b, strict=True)]
            return max(parts, key=lambda part: part.relative, default=cls(0.0, 0.0))
        first, second = np.asarray(a), np.asarray(b)
        if first.dtype.kind not in "fiub" or second.dtype.kind not in "fiub":
            return cls(0.0 if np.array_equal(first, second) else float("inf"), 0.0)
        if first.shape != second.shape:
            return cls(float("inf"), magnitude(first))
        return cls(max_abs(first, second), magnitude(first))


@dataclass(frozen=True)
class OperationDiff:
    """An operation that both programs have, and how far its results are apart."""

    a: Operation
    b: Operation
    difference: Difference


@dataclass(frozen=True)
class OutputDiff:
    """An output that both programs give."""

    name: str
    difference: Difference


@dataclass(frozen=True)
class ParameterDiff:
    """A constant parameter (a weight, a stride) in which two operations that correspond differ.

    Attributes:
        operation: the operation of the first program.
        parameter: the parameter's name.
        difference: how far the numbers are apart; None for what is no number, or has another shape.
        a, b: the two values or their shapes, in words.
    """

    operation: Operation
    parameter: str
    difference: Difference | None
    a: str
    b: str


@dataclass(frozen=True)
class ProgramDiff:
    """What a comparison of two programs found.

    Attributes:
        tolerance: results part where max |a − b| exceeds this times max |a|.
        half: whether one of the programs computes in half precision.
        operations: those that correspond, in order.
        only_a, only_b: those that do not.
        outputs: those that both have; `outputs_only_a` and `outputs_only_b` name the others.
        parameters: constants that differ at all; `compared_parameters` is the number of all that were compared.
    """

    tolerance: float
    half: bool
    operations: tuple[OperationDiff, ...]
    only_a: tuple[Operation, ...]
    only_b: tuple[Operation, ...]
    outputs: tuple[OutputDiff, ...]
    outputs_only_a: tuple[str, ...]
    outputs_only_b: tuple[str, ...]
    parameters: tuple[ParameterDiff, ...]
    compared_parameters: int

    def parts(self, difference: Difference) -> bool:
        """Whether a difference exceeds the tolerance."""
        return difference.relative > self.tolerance

    def changed(self, item: ParameterDiff) -> bool:
        """Whether a parameter differs by more than rounding."""
        if item.difference is None:
            return True
        rounding = max(_HALF_ROUNDING * item.difference.magnitude, _HALF_STEP) if self.half else 0.0
        return item.difference.max_abs > rounding

    @property
    def first(self) -> OperationDiff | None:
        """The first operation whose results part."""
        return next((item for item in self.operations if self.parts(item.difference)), None)

    @property
    def agree(self) -> bool:
        """Whether all that corresponds is within the tolerance, and the programs give the same outputs."""
        values = [item.difference for item in (*self.operations, *self.outputs)]
        same_outputs = bool(self.outputs) and not (self.outputs_only_a or self.outputs_only_b)
        return same_outputs and not any(self.parts(value) for value in values)


def compare(
    a: MLProgram,
    b: MLProgram,
    inputs_a: Mapping[str, Any],
    inputs_b: Mapping[str, Any],
    tolerance: float | None = None,
) -> ProgramDiff:
    """Evaluate two programs side by side and compare every result that corresponds.

    Args:
        a, b: the programs; errors are relative to the first one's values.
        inputs_a, inputs_b: the same values, each as its program takes them.
        tolerance: part of max |a| from which on results part; that of `default_tolerance` without.

    Raises:
        DofkitError: the programs take different inputs.
    """
    check_comparable(a, b)
    pairs = align(computing(a.function.block), computing(b.function.block))
    operations, (values_a, values_b) = _compare_results(a, b, inputs_a, inputs_b, pairs)
    aligned_a, aligned_b = {id(x) for x, _ in pairs}, {id(y) for _, y in pairs}
    parameters = [item for x, y in pairs for item in _parameters(a, x, b, y)]
    return ProgramDiff(
        tolerance=default_tolerance(a, b) if tolerance is None else tolerance,
        half=computes_in_half(a) or computes_in_half(b),
        operations=tuple(operations),
        only_a=tuple(x for x in computing(a.function.block) if id(x) not in aligned_a),
        only_b=tuple(y for y in computing(b.function.block) if id(y) not in aligned_b),
        outputs=tuple(
            OutputDiff(name, Difference.between(values_a[name], values_b[name]))
            for name in values_a
            if name in values_b
        ),
        outputs_only_a=tuple(name for name in values_a if name not in values_b),
        outputs_only_b=tuple(name for name in values_b if name not in values_a),
        parameters=tuple(item for item in parameters if item.difference is None or item.difference.max_abs > 0),
        compared_parameters=len(parameters),
    )


def check_comparable(a: MLProgram, b: MLProgram) -> None:
    """Refuse programs that cannot be given the same inputs.

    Raises:
        DofkitError: naming the first input that differs.
    """
    first, second = ({feature.name: feature for feature in program.inputs} for program in (a, b))
    for name in {**first, **second}:
        if name not in first or name not in second or first[name].shape != second[name].shape:
            there = [f"takes {found[name]}" if name in found else f"has no input {name}" for found in (first, second)]
            raise DofkitError(
                f"{a.package.path} {there[0]}, {b.package.path} {there[1]}; only programs with the same inputs can be "
                "compared"
            )


def computing(block: Block) -> list[Operation]:
    """The operations of a block that compute something: neither constants nor the decompression of constants."""
    return [op for op in block.operations if not op.is_constant]


def computes_in_half(program: MLProgram) -> bool:
    """Whether a program rounds any result to half precision."""
    types = (declared for op in computing(program.function.block) for _, declared in op.outputs)
    return any(isinstance(declared, TensorType) and declared.element is Element.FLOAT16 for declared in types)


def default_tolerance(*programs: MLProgram) -> float:
    """The tolerance that only rounding stays within."""
    return FP16_TOLERANCE if any(map(computes_in_half, programs)) else FP32_TOLERANCE


def align(a: Sequence[Operation], b: Sequence[Operation]) -> list[tuple[Operation, Operation]]:
    """Operations that correspond, both in order: of equal type, shape and name, between those of equal type and shape.

    Names are left out of it where that finds more: converters number them, so one operation more shifts them all.
    """
    with_names = _matches(a, b, [_named_kind(op) for op in a], [_named_kind(op) for op in b])
    pairs: list[tuple[Operation, Operation]] = []
    start_a = start_b = 0
    for i, j in [*with_names, (len(a), len(b))]:
        pairs += _by_kind(a[start_a:i], b[start_b:j])
        if i < len(a):
            pairs.append((a[i], b[j]))
        start_a, start_b = i + 1, j + 1
    without_names = _by_kind(a, b)
    return without_names if len(without_names) > len(pairs) else pairs


def _by_kind(a: Sequence[Operation], b: Sequence[Operation]) -> list[tuple[Operation, Operation]]:
    return [(a[i], b[j]) for i, j in _matches(a, b, [_kind(op) for op in a], [_kind(op) for op in b])]


def _matches(
    a: Sequence[Operation], b: Sequence[Operation], keys_a: Sequence[Any], keys_b: Sequence[Any]
) -> list[tuple[int, int]]:
    if not a or not b:
        return []
    blocks = SequenceMatcher(None, keys_a, keys_b, autojunk=False).get_matching_blocks()
    return [(found.a + offset, found.b + offset) for found in blocks for offset in range(found.size)]


def _kind(operation: Operation) -> tuple[Any, ...]:
    shapes = (t.shape if isinstance(t, TensorType) else str(t) for _, t in operation.outputs)
    return operation.type, *shapes


def _named_kind(operation: Operation) -> tuple[Any, ...]:
    name = operation.name
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    return name, *_kind(operation)


def _compare_results(
    a: MLProgram,
    b: MLProgram,
    inputs_a: Mapping[str, Any],
    inputs_b: Mapping[str, Any],
    pairs: Sequence[tuple[Operation, Operation]],
) -> tuple[list[OperationDiff], tuple[dict[str, Value], dict[str, Value]]]:
    """Both programs side by side, so that neither's results have to be kept; and the outputs of both."""
    found = []
    with closing(Trace(a, inputs_a)) as trace_a, closing(Trace(b, inputs_b)) as trace_b:
        results_a, results_b = iter(trace_a), iter(trace_b)
        for x, y in pairs:
            values_a = next(values for operation, values in results_a if operation is x)
            values_b = next(values for operation, values in results_b if operation is y)
            found.append(OperationDiff(x, y, Difference.between(values_a, values_b)))
        for rest in (results_a, results_b):
            for _ in rest:
                pass
        return found, (trace_a.finish().values, trace_b.finish().values)


def _parameters(a: MLProgram, x: Operation, b: MLProgram, y: Operation) -> Iterator[ParameterDiff]:
    """The constants of two operations that correspond, and how far they are apart."""
    first, second = constant_parameters(a, x), constant_parameters(b, y)
    for name in {**first, **second}:
        if name not in first or name not in second:
            if not (name in x.inputs and name in y.inputs):  # constant in one and computed in the other: no parameter
                words = [_words(found[name]) if name in found else "not given" for found in (first, second)]
                yield ParameterDiff(x, name, None, *words)
            continue
        difference = Difference.between(first[name], second[name])
        numbers = np.isfinite(difference.max_abs)
        yield ParameterDiff(x, name, difference if numbers else None, _words(first[name]), _words(second[name]))


def constant_parameters(program: MLProgram, operation: Operation) -> dict[str, Value]:
    """The values of an operation's parameters that are constants, decompressed."""
    computed = {name for op in computing(program.function.block) for name, _ in op.outputs}
    computed |= {name for name, _ in program.function.inputs}
    found: dict[str, Value] = {}
    for name, bindings in operation.inputs.items():
        if any(isinstance(binding, str) and binding in computed for binding in bindings):
            continue
        values = [program.constant(item) if isinstance(item, str) else program.package.read(item) for item in bindings]
        found[name] = values[0] if len(values) == 1 else values
    for name, constant in operation.attributes.items():
        if name != "name":
            found[name] = program.package.read(constant)
    return found


def _words(value: Value) -> str:
    array = np.asarray(value)
    if array.size > 4:
        return "×".join(map(str, array.shape))
    items = [f"{item:.6g}" if isinstance(item, float) else str(item) for item in array.ravel().tolist()]
    return items[0] if array.ndim == 0 else f"[{', '.join(items)}]"


def counted(operations: Sequence[Operation]) -> str:
    """ "cast ×3, add": types of operations and how often each is there."""
    kinds = Counter(operation.type for operation in operations)
    return ", ".join(kind if count == 1 else f"{kind} ×{count}" for kind, count in kinds.most_common())


def magnitude(values: Array) -> float:
    """max |values| over finite numbers; 0 where there are none."""
    if not values.size:
        return 0.0
    # abs of the extremes allocates nothing; only arrays that hold infinities or NaN take the slow way.
    extremes = abs(float(values.min())), abs(float(values.max()))
    if all(map(np.isfinite, extremes)):
        return max(extremes)
    finite = values[np.isfinite(values)]
    return float(np.abs(finite).max()) if finite.size else 0.0


def max_abs(a: Array, b: Array) -> float:
    """max |a − b|; equal infinities, and NaN at the same places, are no difference."""
    if not a.size:
        return 0.0
    exact = np.float64 if np.float64 in (a.dtype, b.dtype) or a.dtype.kind != "f" else np.float32
    with np.errstate(invalid="ignore"):
        difference = np.abs(np.subtract(a, b, dtype=exact))
    worst = float(difference.max())
    if np.isfinite(worst):
        return worst
    same = (a == b) | (np.isnan(a) & np.isnan(b)) if a.dtype.kind == b.dtype.kind == "f" else a == b
    rest = difference[~same]
    if not rest.size:
        return 0.0
    return float(rest.max()) if np.isfinite(rest).all() else float("inf")

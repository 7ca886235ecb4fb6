"""Execution of a function of an ML Program: order, rounding to declared types, lifetimes, checks.

What an operation computes is in `ops/`; nothing here knows one of them but `const`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from ..errors import DofkitError
from .arrays import Array
from .elements import Element, Kind, round_to
from .program import BlobReference, Block, Constant, Function, Operation, TensorType, ValueType
from .registry import MIL, Context, Kernel, OperationTable, UnfitValuesError

Value = Any  # an array, a string array, a list of arrays, or a state's handle
Watcher = Callable[[Operation, str, Value], None]
ReadBlob = Callable[[BlobReference, TensorType], Array]


class Numerics(Enum):
    """How an evaluation rounds."""

    TYPED = "typed"
    """Every operation computes in float32; its result is rounded to the type that the program declares.

    BLAS chooses the order of long sums by its kernels and threads. Two processes or machines agree within float32
    rounding, n·2^-23·Σ|a·b| for a sum of n products, not in every bit: sums in float64 would cost 1.8 times the time.
    """
    IDEAL = "ideal"
    """Stored weights, everything computed in float64, nothing rounded: what is left is the conversion's error."""

    @property
    def compute(self) -> np.dtype:
        """The type that operations compute in."""
        return np.dtype(np.float32 if self is Numerics.TYPED else np.float64)


@dataclass(frozen=True)
class NonFinite:
    """An operation whose inputs were finite and whose output is not.

    Attributes:
        operation: its type.
        output: the name of its output.
        declared: the output's type.
        infinite, nan: how many values are so.
    """

    operation: str
    output: str
    declared: str
    infinite: int
    nan: int

    def __str__(self) -> str:
        return f"{self.operation} {self.output!r} ({self.declared}): {self.infinite} infinite, {self.nan} NaN"


@dataclass
class _Run:
    """What changes while a function is computed."""

    watch: Watcher | None
    non_finite: list[NonFinite] = field(default_factory=list)
    tainted: set[str] = field(default_factory=set)


class FunctionEvaluator:
    """One function, ready to be computed: every operation has its kernel, constants are read once.

    Args:
        function: what to compute.
        read_blob: reads a constant that lies in a weight file.
        numerics: how it rounds.
        where: the package, for errors.
        operations: what the function's operations mean.

    Raises:
        DofkitError: naming every operation, or parameter of one, that is not known.
    """

    def __init__(
        self, function: Function, read_blob: ReadBlob, numerics: Numerics, where: str,
        operations: OperationTable = MIL,
    ) -> None:  # fmt: skip
        self.function = function
        self.numerics = numerics
        self._read_blob = read_blob
        self._where = where
        self._kernels = self._find_kernels(operations)
        self._constants: dict[str, Value] = {}
        self._infinite_constants: set[str] = set()
        self._expiry = {id(block): _expiry(block) for block in _blocks(function.block)}

    def run(self, inputs: Mapping[str, Value], watch: Watcher | None = None) -> tuple[list[Value], list[NonFinite]]:
        """Compute the function.

        Args:
            inputs: a value for each of the function's inputs.
            watch: called with (operation, output name, value) after every operation but constants.

        Returns:
            The values of the block's outputs, in their order; and where numbers stopped being finite.
        """
        run = _Run(watch)
        scope = {name: self._rounded(inputs[name], declared) for name, declared in self.function.inputs}
        with np.errstate(all="ignore"):  # infinities and NaN are looked for, and named
            run.tainted.update(name for name, value in scope.items() if not _finite(value))
            outputs = self._block(self.function.block, scope, run)
        return outputs, run.non_finite

    def constant(self, name: str) -> Value:
        """The value of a constant, decompressed; `KeyError` if the value is not a constant."""
        if name not in self._constants:
            for operation in self.function.block.walk():
                if operation.is_constant and any(output == name for output, _ in operation.outputs):
                    with np.errstate(all="ignore"):
                        self._operation(operation, {}, _Run(None))
        return self._constants[name]

    def _block(self, block: Block, scope: dict[str, Value], run: _Run) -> list[Value]:
        expiry = self._expiry[id(block)]
        for operation, expired in zip(block.operations, expiry, strict=True):
            self._operation(operation, scope, run)
            for name in expired:
                scope.pop(name, None)
        return [self._lookup(name, scope) for name in block.outputs]

    def _operation(self, operation: Operation, scope: dict[str, Value], run: _Run) -> None:
        if operation.is_constant and operation.name in self._constants:
            return
        try:
            values = self._compute(operation, scope, run)
            results = {
                name: self._checked(value, declared)
                for (name, declared), value in zip(operation.outputs, values, strict=True)
            }
        except DofkitError:
            raise
        except UnfitValuesError as error:
            raise DofkitError(
                f"{self._where}: {operation.type} {operation.name!r} has no result for the values that reach it "
                f"({error}); give the program other inputs"
            ) from error
        except Exception as error:
            message = str(error).splitlines() or [""]
            raise DofkitError(
                f"{self._where}: {operation.type} {operation.name!r} cannot be computed "
                f"({type(error).__name__}: {message[0]}); the package is damaged, or dofkit is wrong: report it with "
                "the package"
            ) from error
        self._note_non_finite(operation, results, run)
        if operation.is_constant:
            self._constants.update(results)
            return
        scope.update(results)
        if run.watch is not None:
            for name, value in results.items():
                run.watch(operation, name, value)

    def _compute(self, operation: Operation, scope: dict[str, Value], run: _Run) -> Sequence[Value]:
        if operation.type == "const":
            return [self._value(operation.attributes["val"])]
        kernel = self._kernels[operation.type]
        arguments: dict[str, Any] = {}
        for name, parameter in kernel.parameters.items():
            if name in operation.inputs:
                bound = [
                    self._lookup(binding, scope) if isinstance(binding, str) else self._value(binding)
                    for binding in operation.inputs[name]
                ]
            elif name in operation.attributes and name != "name":
                bound = [self._value(operation.attributes[name])]
            else:
                continue
            arguments[name] = parameter.convert(bound)
        if kernel.context is not None:
            arguments[kernel.context] = Context(
                operation,
                self.numerics.compute,
                lambda block, values: self._block(block, {**scope, **_named(block, values)}, run),
            )
        result = kernel.function(**arguments)
        return result if isinstance(result, tuple) else (result,)

    def _lookup(self, name: str, scope: Mapping[str, Value]) -> Value:
        return scope[name] if name in scope else self.constant(name)

    def _value(self, constant: Constant) -> Value:
        """A constant's value, floats in the compute type."""
        value = constant.value
        if isinstance(value, BlobReference):
            if not isinstance(constant.type, TensorType):
                raise DofkitError(f"{self._where}: a {constant.type} lies in the weight file; export the package again")
            value = self._read_blob(value, constant.type).reshape(constant.type.known_shape)
        if isinstance(constant.type, TensorType) and constant.type.element.kind is Kind.FLOAT:
            return np.asarray(value).astype(self.numerics.compute)
        return value

    def _checked(self, value: Value, declared: ValueType) -> Value:
        """A result in its declared type; its shape must be the one declared."""
        if not isinstance(declared, TensorType):
            return value
        value = np.asarray(value)
        if not declared.admits(value.shape):
            raise ValueError(f"its result has the shape {list(value.shape)}, the program declares {declared}")
        return self._rounded(value, declared)

    def _rounded(self, value: Value, declared: ValueType) -> Value:
        if not isinstance(declared, TensorType) or declared.element is Element.STRING:
            return value
        value = np.asarray(value)
        if declared.element.kind is not Kind.FLOAT:
            return value.astype(declared.element.storage, copy=False)
        value = value.astype(self.numerics.compute, copy=False)
        return value if self.numerics is Numerics.IDEAL else round_to(value, declared.element)

    def _note_non_finite(self, operation: Operation, results: Mapping[str, Value], run: _Run) -> None:
        for (name, declared), value in zip(operation.outputs, results.values(), strict=True):
            if _finite(value):
                continue
            if operation.is_constant:
                self._infinite_constants.add(name)
                continue
            # An infinity that stands in the program (an attention mask) was meant, and so is what it leads to.
            if not (run.tainted | self._infinite_constants).intersection(operation.names_used):
                run.non_finite.append(
                    NonFinite(
                        operation.type, name, str(declared), int(np.isinf(value).sum()), int(np.isnan(value).sum())
                    )
                )
            run.tainted.add(name)

    def _find_kernels(self, operations: OperationTable) -> dict[str, Kernel]:
        opset = operations.number(self.function.opset)
        kernels: dict[str, Kernel] = {}
        problems = []
        for operation in self.function.block.walk():
            if operation.type == "const":
                continue
            kernel = operations.find(operation.type, opset)
            if kernel is None:
                problems.append(f"{operation.type} {operation.name!r} is not known")
                continue
            kernels[operation.type] = kernel
            problems += (f"{operation.type} {operation.name!r} {problem}" for problem in _misfits(operation, kernel))
        if problems:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            raise DofkitError(
                f"{self._where}: {problems[0]}{more} in {self.function.opset}; replace it in the network, convert for "
                "another deployment target, or update dofkit"
            )
        return kernels


def _misfits(operation: Operation, kernel: Kernel) -> Iterator[str]:
    """Parameters of an operation that its kernel does not have, or cannot do without."""
    given = {*operation.inputs, *operation.attributes} - {"name"}
    for name in sorted(given - set(kernel.parameters)):
        yield f"has a parameter {name!r} that is not known"
    for name in kernel.missing(given):
        yield f"lacks its parameter {name!r}"


def _named(block: Block, values: Sequence[Value]) -> dict[str, Value]:
    return {name: value for (name, _), value in zip(block.inputs, values, strict=True)}


def _blocks(block: Block) -> Iterator[Block]:
    yield block
    for operation in block.walk():
        yield from operation.blocks


def _expiry(block: Block) -> list[list[str]]:
    """For each operation, the values of this block that nothing needs after it."""
    kept = set(block.outputs)
    own = {name for operation in block.operations for name, _ in operation.outputs}
    own.update(name for name, _ in block.inputs)
    expired: list[list[str]] = []
    for operation in reversed(block.operations):
        done = ({*operation.names_used, *(name for name, _ in operation.outputs)} & own) - kept
        kept |= done
        expired.append(sorted(done))
    return expired[::-1]


def _finite(value: Value) -> bool:
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or not value.size:
        return True
    # The sum is not finite if anything is not; where it only grew too large the extremes tell. Nothing is allocated.
    return bool(np.isfinite(value.sum()) or (np.isfinite(value.max()) and np.isfinite(value.min())))

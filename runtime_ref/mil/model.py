"""The evaluator's front door: open a package, give inputs, get outputs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import DofkitError
from .arrays import Array
from .evaluator import FunctionEvaluator, NonFinite, Numerics, Watcher
from .features import Feature
from .fitting import refuse_huge
from .package import Package
from .program import BlobReference, Constant, Function, OtherType, TensorType, ValueType
from .registry import OperationTable
from .states import State, new_state


class ProgramPackage(Protocol):
    """What is evaluated: a package on disk whose functions are read as data. Core ML's is `Package`."""

    @property
    def path(self) -> Path:
        """Where it lies."""
        ...

    @property
    def format(self) -> str:
        """The format's version, for people."""
        ...

    @property
    def opset_version(self) -> int:
        """The format's version."""
        ...

    @property
    def systems(self) -> str:
        """The oldest systems that it runs on."""
        ...

    @property
    def runtime(self) -> str:
        """What runs it on a phone, and has no part here."""
        ...

    @property
    def operations(self) -> OperationTable:
        """What its operations mean."""
        ...

    @property
    def functions(self) -> dict[str, Function]:
        """Its functions by name."""
        ...

    def function(self, name: str | None = None) -> Function:
        """A function by name, the default one without; `DofkitError` if there is none."""
        ...

    def features(self, function: str) -> dict[str, tuple[Feature, ...]]:
        """What a function takes ("inputs"), gives ("outputs") and keeps ("states")."""
        ...

    def read(self, constant: Constant) -> Any:
        """A constant's value as it is stored."""
        ...

    def read_blob(self, reference: BlobReference, declared: TensorType) -> Array:
        """The values of a constant in a weight file."""
        ...


class NonFiniteWarning(UserWarning):
    """An operation made infinities or NaN out of finite numbers."""


@dataclass(frozen=True)
class Evaluation:
    """What one evaluation gave.

    Attributes:
        outputs: by name; tensors in their declared type, images as pixels.
        values: the same as the program computed them, before images were rounded to pixels.
        non_finite: the operations that made infinities or NaN out of finite numbers; empty is healthy.
    """

    outputs: dict[str, Any]
    values: dict[str, Any]
    non_finite: tuple[NonFinite, ...]


class MLProgram:
    """A function of a Core ML package, evaluated as the program says; Core ML itself has no part in it.

    >>> program = MLProgram.open("portrait.mlpackage")          # doctest: +SKIP
    >>> program.predict({"image": picture})["disparity"]        # doctest: +SKIP

    Attributes:
        package: the package on disk.
        inputs, outputs, states: what the function takes, gives and keeps.
        numerics: how it rounds.
    """

    def __init__(
        self, package: ProgramPackage, function: str | None = None, numerics: Numerics = Numerics.TYPED
    ) -> None:
        self.package = package
        self.numerics = numerics
        self.function = package.function(function)
        features = package.features(self.function.name)
        self.inputs, self.outputs, self.states = (features[kind] for kind in ("inputs", "outputs", "states"))
        self._refuse_huge()
        self._evaluator = FunctionEvaluator(
            self.function, package.read_blob, numerics, str(package.path), package.operations
        )
        self._check_names()

    @classmethod
    def open(cls, path: str | Path, function: str | None = None, numerics: Numerics = Numerics.TYPED) -> MLProgram:
        """Open a package.

        Args:
            path: an `.mlpackage` folder.
            function: one of a multifunction package; its default one without.
            numerics: TYPED rounds every result to its declared type; IDEAL computes in float64.

        Raises:
            MissingExtraError: coremltools, whose protobuf classes are needed, is not installed.
            DofkitError: the package is damaged, declares a tensor that no memory holds, or holds an operation that is
                not known.
        """
        return cls(Package(Path(path)), function, numerics)

    def run(
        self,
        inputs: Mapping[str, Any],
        state: dict[str, State] | None = None,
        watch: Watcher | None = None,
    ) -> Evaluation:
        """Evaluate the function.

        Args:
            inputs: a value for each input, see `Feature.to_program`; optional ones may be missing.
            state: from `new_state`, kept between calls; a fresh one without.
            watch: called with (operation, output name, value) after every operation but constants.

        Raises:
            DofkitError: an input is missing, unknown, or of the wrong shape.
        """
        values: dict[str, Any] = {**(state if state is not None else self.new_state())}
        known = {feature.name for feature in self.inputs}
        if extra := sorted(set(inputs) - known):
            raise DofkitError(f"{self.package.path} has no input {extra[0]!r}; it has: {', '.join(sorted(known))}")
        for feature in self.inputs:
            if feature.name in inputs:
                values[feature.name] = feature.to_program(inputs[feature.name])
            elif feature.optional:
                values[feature.name] = np.full(feature.shape, feature.default)
            else:
                raise DofkitError(f"{self.package.path} needs the input {feature}")
        results, non_finite = self._evaluator.run(values, watch)
        computed = dict(zip(self.function.block.outputs, results, strict=True))
        outputs = {feature.name: feature.from_program(computed[feature.name]) for feature in self.outputs}
        return Evaluation(outputs, {name: computed[name] for name in outputs}, tuple(non_finite))

    def predict(self, inputs: Mapping[str, Any], state: dict[str, State] | None = None) -> dict[str, Any]:
        """The outputs alone, as Core ML's own `predict` gives them; warns of what is not, or stops being, finite."""
        for remark in self.remarks(inputs):
            warnings.warn(f"{self.package.path}: {remark}", NonFiniteWarning, stacklevel=2)
        evaluation = self.run(inputs, state)
        for event in evaluation.non_finite:
            warnings.warn(f"{self.package.path}: {event}", NonFiniteWarning, stacklevel=2)
        return evaluation.outputs

    def remarks(self, inputs: Mapping[str, Any]) -> list[str]:
        """What a user should know of values that `run` takes, a line each; see `Feature.remarks`."""
        return [
            line for feature in self.inputs if feature.name in inputs for line in feature.remarks(inputs[feature.name])
        ]

    def new_state(self) -> dict[str, State]:
        """Fresh states, all zeros (a program's states start so)."""
        return {
            name: new_state(declared.wrapped, self.numerics.compute)
            for name, declared in self.function.inputs
            if isinstance(declared, OtherType) and declared.wrapped is not None
        }

    @property
    def operators(self) -> dict[str, int]:
        """The function's operations and how often each stands in it; see `Function.operators`."""
        return self.function.operators

    def constant(self, name: str) -> Array:
        """A constant of the program, decompressed, in the compute type.

        Raises:
            DofkitError: there is no such constant.
        """
        try:
            return self._evaluator.constant(name)
        except KeyError:
            raise DofkitError(f"{self.package.path} has no constant {name!r}; `dofkit mil show` lists them") from None

    def _refuse_huge(self) -> None:
        """No tensor that the package declares is larger than what can be evaluated; see `fitting.refuse_huge`."""
        where = self.package.path
        for feature in (*self.inputs, *self.outputs, *self.states):
            refuse_huge(feature.shape, f"{where}: {feature.name}")
        declared: list[tuple[str, ValueType]] = list(self.function.inputs)
        declared += (output for operation in self.function.block.walk() for output in operation.outputs)
        for name, kind in declared:
            tensor = kind.wrapped if isinstance(kind, OtherType) else kind
            if isinstance(tensor, TensorType) and tensor.shape is not None:
                refuse_huge(tuple(size or 1 for size in tensor.shape), f"{where}: {name}")

    def _check_names(self) -> None:
        """What the description promises is what the program has."""
        taken = {name for name, _ in self.function.inputs}
        declared = {feature.name for feature in (*self.inputs, *self.states)}
        given = set(self.function.block.outputs)
        if taken != declared or not {feature.name for feature in self.outputs} <= given:
            raise DofkitError(
                f"{self.package.path}: the program of {self.function.name!r} takes {sorted(taken)} and gives "
                f"{sorted(given)}, its description says otherwise; export the package again"
            )

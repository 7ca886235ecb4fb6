"""The table of operations: a decorated function per operation, found by name and operation set.

An operation is a function whose parameters bear the names, and whose defaults are the defaults, of the operation set's
definition. Annotations say how a value arrives:

    Array       as an array (float32 or float64 for floating types, whatever their declared type)
    Arrays      as a list of arrays: a parameter that takes several values
    Values      as a list of whatever they are: loop variables, which may be lists of tensors
    int float bool str    as a Python scalar
    Ints Floats as a tuple of scalars
    Any         as it is: a list, a dictionary, a state's handle
    Context     not a parameter: what the operation must know of its surroundings
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DofkitError
from .arrays import Array
from .program import Block, Operation

Arrays = list[Array]
Values = list[Any]
Ints = tuple[int, ...]
Floats = tuple[float, ...]


class UnfitValuesError(ValueError):
    """An operation is given values that it has no result for: the program may be sound, what it was fed is not."""


# CoreML5 is iOS 15's operation set, CoreML9 is iOS 26's.
OLDEST, NEWEST = 5, 9


@dataclass(frozen=True)
class Context:
    """What some operations must know besides their parameters.

    Attributes:
        operation: the operation itself, for the types of its outputs and its blocks.
        compute: the floating type that everything is computed in.
        run_block: computes a nested block: (block, values of its inputs) -> values of its outputs.
    """

    operation: Operation
    compute: np.dtype
    run_block: Callable[[Block, Sequence[Any]], list[Any]]


@dataclass(frozen=True)
class Parameter:
    """A parameter of an operation: the annotation that says how it arrives, and whether it may be left out."""

    annotation: str
    required: bool

    def convert(self, values: list[Any]) -> Any:
        """The bound values as the operation wants them."""
        if self.annotation == "Arrays":
            return [np.asarray(value) for value in values]
        if self.annotation == "Values":
            return values
        (value,) = values
        match self.annotation:
            case "Array":
                return np.asarray(value)
            case "Ints":
                return tuple(int(item) for item in np.ravel(value))
            case "Floats":
                return tuple(float(item) for item in np.ravel(value))
            case "int" | "float" | "bool" | "str":
                scalar = value.item() if isinstance(value, np.ndarray | np.generic) else value
                return {"int": int, "float": float, "bool": bool, "str": str}[self.annotation](scalar)
            case _:
                return value


@dataclass(frozen=True)
class Kernel:
    """The function that computes an operation from an operation set on."""

    name: str
    since: int
    function: Callable[..., Any]
    parameters: dict[str, Parameter]
    context: str | None

    def missing(self, given: set[str]) -> list[str]:
        """Required parameters that were not given."""
        return [name for name, parameter in self.parameters.items() if parameter.required and name not in given]


class OperationTable:
    """The operations of one kind of program, each in a file of a package.

    Args:
        prefix: of the names of its operation sets: "CoreML" of "CoreML7".
        oldest, newest: the operation sets that are known.
        files: the modules that register the operations.
    """

    def __init__(self, prefix: str, oldest: int, newest: int, files: tuple[str, ...]) -> None:
        self._prefix, self._oldest, self._newest = prefix, oldest, newest
        self._files = files
        self._kernels: dict[str, list[Kernel]] = {}
        self._loaded = False

    def op(self, *names: str, since: int | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register a function as the operation of these names, from an operation set on; the oldest without."""

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            parameters, context = {}, None
            for name, parameter in inspect.signature(function).parameters.items():
                annotation = str(parameter.annotation).removesuffix(" | None")
                if annotation == "Context":
                    context = name
                else:
                    parameters[name] = Parameter(annotation, parameter.default is inspect.Parameter.empty)
            for name in names:
                kernel = Kernel(name, self._oldest if since is None else since, function, parameters, context)
                self._kernels.setdefault(name, []).append(kernel)
            return function

        return register

    def op_table(
        self,
        table: Mapping[str, tuple[Callable[..., Any], str]],
        like: Callable[[Callable[..., Any]], Callable[..., Any]],
        prefixes: tuple[str, ...] = ("",),
    ) -> None:
        """Register operations of the same parameters.

        Args:
            table: what computes each, by its name, and the definition.
            like: makes a function with the operations' parameters of what computes one.
            prefixes: of the operation's names; it is known by each.
        """
        for name, (function, definition) in table.items():
            kernel = like(function)
            kernel.__name__, kernel.__doc__ = name, definition
            self.op(*(f"{prefix}{name}" for prefix in prefixes))(kernel)

    def known(self) -> dict[str, list[Kernel]]:
        """Every operation and its versions, oldest first."""
        self._load()
        return {name: sorted(found, key=lambda kernel: kernel.since) for name, found in sorted(self._kernels.items())}

    def number(self, opset: str) -> int:
        """5 … 9 for "CoreML5" … "CoreML9".

        Raises:
            DofkitError: another operation set.
        """
        number = opset.removeprefix(self._prefix)
        if not number.isdigit() or not self._oldest <= int(number) <= self._newest:
            known = " … ".join(f"{self._prefix}{each}" for each in dict.fromkeys((self._oldest, self._newest)))
            raise DofkitError(
                f"operation set {opset!r} is not known ({known} are); update dofkit, or convert the model for another "
                "deployment target"
            )
        return int(number)

    def find(self, name: str, opset: int) -> Kernel | None:
        """The newest version of an operation that an operation set has; None if it has none."""
        self._load()
        versions = [kernel for kernel in self._kernels.get(name, ()) if kernel.since <= opset]
        return max(versions, key=lambda kernel: kernel.since, default=None)

    def _load(self) -> None:
        if not self._loaded:
            self._loaded = True
            for name in self._files:
                importlib.import_module(name)


FILES = (
    "activation",
    "classify",
    "compression",
    "control_flow",
    "conv",
    "elementwise_binary",
    "elementwise_unary",
    "image_resizing",
    "linear",
    "normalization",
    "pool",
    "quantization",
    "random",
    "recurrent",
    "reduction",
    "scatter_gather",
    "states",
    "tensor_operation",
    "tensor_transformation",
)
MIL = OperationTable("CoreML", OLDEST, NEWEST, tuple(f"{__package__}.ops.{name}" for name in FILES))
op, op_table = MIL.op, MIL.op_table

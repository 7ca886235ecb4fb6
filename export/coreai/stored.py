"""The weights of a saved program's convolutions as they lie in it; judged as those of Core ML packages are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...runtime_ref.coreai.asset import Asset
from ...runtime_ref.errors import DofkitError
from ...runtime_ref.mil import Element
from ...runtime_ref.mil.program import Constant, Function, Operation, TensorType
from ..coreml.stored import CoreMLConvolution, StoredTensor, rounding_step
from ..coreml.weights import dense_layers, judge
from ..parameters import StoredConstant
from ..stored import StoredWeights


class StoredFunction:
    """An entry point of a saved program, read for its weights."""

    def __init__(self, asset: Path, function: str | None = None) -> None:
        self._where = asset
        self.function: Function = Asset(asset).function(function)
        operations = self.function.block.operations
        self._constants = {name: op for op in operations if op.is_constant for name, _ in op.outputs}

    def convolutions(self) -> Iterator[CoreMLConvolution]:
        """All convolutions, in the order in which the program computes them."""
        for operation in self.function.block.walk():
            if operation.type == "conv2d":
                weight = self._tensor(_operand(operation, "weight"))
                yield CoreMLConvolution(operation.name, weight, self._bias(operation, weight.shape[0]))

    def dense(self) -> Iterator[CoreMLConvolution]:
        """All fully connected layers, products with a transposed constant, weights `[O, I]`."""
        made_by = {name: operation for operation in self.function.block.walk() for name, _ in operation.outputs}
        for operation in self.function.block.walk():
            if operation.type != "broadcasting_batch_matmul":
                continue
            turned = made_by.get(_operand(operation, "y"))
            if (
                turned is not None
                and turned.type == "transpose"
                and (name := _operand(turned, "input")) in self._constants
            ):
                weight = self._tensor(name)
                if len(weight.shape) == 2:
                    yield CoreMLConvolution(operation.name, weight, None)

    def constants(self) -> Iterator[StoredConstant]:
        """Every tensor of floats that the program stores, compressed or not."""
        inside = {name for op in self._constants.values() if op.type != "const" for name in op.names_used}
        for name, operation in self._constants.items():
            declared = operation.outputs[0][1]
            if name not in inside and isinstance(declared, TensorType) and declared.element in _FLOATS:
                tensor = self._tensor(name)
                yield StoredConstant(name, tensor.values(), tensor.label, rounding_step(tensor))

    def _bias(self, convolution: Operation, channels: int) -> StoredTensor | None:
        """The constant that is added to a convolution's result and nothing else, one number a channel."""
        result = {convolution.name}
        for operation in self.function.block.operations:
            if operation.type == "cast" and _operand(operation, "input") in result:
                result.add(operation.name)  # a convolution that stays in fp32, or an addition that does
            if operation.type != "broadcasting_add":
                continue
            operands = [_operand(operation, "x"), _operand(operation, "y")]
            for summand, other in (operands, operands[::-1]):
                if summand in result and other in self._constants:
                    tensor = self._tensor(other)
                    if tensor.kind == "const" and tensor.shape == (1, channels, 1, 1):
                        parts = {"val": tensor.parts["val"].reshape(channels)}
                        return StoredTensor(tensor.name, (channels,), tensor.kind, parts, tensor.bits)
        return None

    def _tensor(self, name: str) -> StoredTensor:
        if name not in self._constants:
            raise DofkitError(f"{self._where}: {name!r} is no constant; it cannot be compared with a weight")
        operation = self._constants[name]
        declared = operation.outputs[0][1]
        assert isinstance(declared, TensorType)
        if operation.type == "const":
            return StoredTensor(name, declared.known_shape, "const", {"val": _value(operation)}, declared.element.bits)
        stored = {parameter: self._constants[_operand(operation, parameter)] for parameter in operation.inputs}
        parts = {parameter: _value(constant) for parameter, constant in stored.items()}
        shifted = [parameter for parameter in ("offset1", "offset2") if np.any(parts.pop(parameter, 0))]
        if shifted:
            raise DofkitError(f"{self._where}: {name!r} has a {shifted[0]}, our exports have none; export it again")
        parts.pop("axis", None)
        data = stored["indices" if "indices" in stored else "data"].outputs[0][1]
        assert isinstance(data, TensorType)
        return StoredTensor(name, declared.known_shape, operation.type, parts, data.element.bits)


_FLOATS = (Element.FLOAT16, Element.FLOAT32)


def _operand(operation: Operation, parameter: str) -> str:
    (binding,) = operation.inputs[parameter]
    assert isinstance(binding, str), "an operand of Core AI is a value"
    return binding


def _value(operation: Operation) -> np.ndarray:
    constant = operation.attributes["val"]
    assert isinstance(constant, Constant)
    return np.asarray(constant.value)


def stored_convolutions(asset: Path, function: str | None = None) -> list[CoreMLConvolution]:
    """All convolutions of a saved program, in the order in which they are computed."""
    return list(StoredFunction(asset, function).convolutions())


def stored_weights(function: str | None = None) -> StoredWeights[CoreMLConvolution]:
    """How the weights of an entry point are read and judged."""
    return StoredWeights(
        lambda asset: stored_convolutions(asset, function),
        lambda asset: list(StoredFunction(asset, function).constants()),
        judge,
        lambda asset: dense_layers(StoredFunction(asset, function).dense()),
    )


def operators(asset: Path) -> dict[str, int]:
    """A program's operations and how often each stands in it (constants left out)."""
    return Asset(asset).function().operators

"""The weights of a saved package's convolutions as they lie in its files, compressed or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime_ref.errors import DofkitError
from ...runtime_ref.mil import Element, Package
from ...runtime_ref.mil.elements import unpack
from ...runtime_ref.mil.program import Constant, Operation, TensorType
from ..parameters import StoredConstant
from ..stored import half_step

Array = NDArray[Any]
LINEAR = ("constexpr_affine_dequantize", "constexpr_blockwise_shift_scale")
PALETTE = "constexpr_lut_to_dense"


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A stored tensor.

    Attributes:
        name: its name in the program.
        shape: of the tensor that the program computes with.
        kind: the operation that makes it: "const" or a constexpr.
        parts: that operation's operands; `val` of a const.
        bits: of one stored value: of the data for linear quantisation, of an index for palettes.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    parts: dict[str, Array]
    bits: int

    @property
    def label(self) -> str:
        """How it is stored: "fp32", "int8", "palette4" …"""
        if self.kind == "const":
            return f"fp{self.bits}"
        return f"{'palette' if self.kind == PALETTE else 'int'}{self.bits}"

    def values(self) -> Array:
        """The values that the program computes with, float64 (one rounding to its own type is not applied)."""
        if self.kind == "const":
            return self.parts["val"].astype(np.float64)
        if self.kind == PALETTE:
            return self.palette[self.indices].astype(np.float64)
        offset = self.parts.get("zero_point", self.parts.get("offset"))
        shift = 0.0 if offset is None else self._spread(offset)
        return (self.quantised - shift) * self.spread_scale().astype(np.float64)

    @property
    def quantised(self) -> Array:
        """The integers of linear quantisation, in the tensor's shape."""
        return self.parts["quantized_data" if "quantized_data" in self.parts else "data"].reshape(self.shape)

    @property
    def scale(self) -> Array:
        """The scales of linear quantisation, one for every channel or block."""
        return self.parts["scale"]

    @property
    def palette(self) -> Array:
        """The values of a palette, `[2^bits]`; one palette serves a whole tensor."""
        return self.parts["lut"].reshape(-1)

    @property
    def indices(self) -> Array:
        """The indices into the palette, in the tensor's shape."""
        return self.parts["indices"].reshape(self.shape)

    def block_counts(self) -> tuple[int, ...]:
        """How many channels or blocks with a scale of their own each axis has."""
        return self._aligned(self.scale).shape

    def spread_scale(self) -> Array:
        """The scale of every value, in the tensor's shape (of the scale's own type)."""
        return self._spread(self.scale)

    def _aligned(self, values: Array) -> Array:
        """Parameters of channels or blocks, an axis for each axis of the tensor."""
        if values.ndim == len(self.shape):
            return values
        sizes = [1] * len(self.shape)
        sizes[int(self.parts.get("axis", np.array(0)))] = values.size
        return values.reshape(sizes)

    def _spread(self, values: Array) -> Array:
        """Parameters of channels or blocks, repeated over the tensor."""
        values = self._aligned(values)
        for axis, (size, count) in enumerate(zip(self.shape, values.shape, strict=True)):
            values = np.repeat(values, size // count, axis=axis)
        return values


@dataclass(frozen=True, eq=False)
class CoreMLConvolution:
    """A convolution of the program: the name of its output, its weight, and its bias if it has one."""

    name: str
    weight: StoredTensor
    bias: StoredTensor | None

    @property
    def label(self) -> str:
        """How its weight is stored: "fp16", "int8", "palette4" …"""
        return self.weight.label


class StoredProgram:
    """A function of a saved package, read for its weights."""

    def __init__(self, path: Path, function: str | None = None) -> None:
        self._package = Package(path)
        self._function = self._package.function(function)
        self._constants = {
            operation.name: operation for operation in self._function.block.walk() if operation.is_constant
        }

    def convolutions(self) -> list[CoreMLConvolution]:
        """All convolutions, in the order in which the program computes them."""
        return list(self._convolutions())

    def dense(self) -> list[CoreMLConvolution]:
        """All fully connected layers, in the order in which the program computes them; weights `[O, I]`."""
        return [
            CoreMLConvolution(operation.name, self._tensor(operation, "weight"), None)
            for operation in self._function.block.walk()
            if operation.type == "linear"
        ]

    def constants(self) -> list[StoredConstant]:
        """Every tensor of floats that the program stores, compressed or not, wherever it is used."""
        found = [self._compressed(each) for each in self._constants.values() if each.type.startswith("constexpr")]
        for operation in self._function.block.walk():
            if operation.type == "const":
                bound = {operation.name: operation.attributes["val"]}
            else:
                pairs = ((name, one) for name, every in operation.inputs.items() for one in every)
                bound = {f"{operation.name}.{name}": one for name, one in pairs if isinstance(one, Constant)}
            found += [self._plain(name, one) for name, one in bound.items() if _is_floats(one)]
        return [StoredConstant(each.name, each.values(), each.label, rounding_step(each)) for each in found]

    def operators(self) -> dict[str, int]:
        """The function's operations and how often each stands in it (constants left out)."""
        return self._function.operators

    def _convolutions(self) -> Iterator[CoreMLConvolution]:
        for operation in self._function.block.walk():
            if operation.type == "conv":  # conv_transpose is one of the other layers
                weight = self._tensor(operation, "weight")
                bias = self._tensor(operation, "bias") if "bias" in operation.inputs else None
                yield CoreMLConvolution(operation.name, weight, bias)

    def _tensor(self, operation: Operation, parameter: str) -> StoredTensor:
        (binding,) = operation.inputs[parameter]
        if isinstance(binding, Constant):
            return self._plain(f"{operation.name}.{parameter}", binding)
        source = self._constants.get(binding)
        if source is None:
            raise DofkitError(f"{self._package.path}: {binding!r} is no constant; it cannot be compared with a weight")
        if source.type == "const":
            return self._plain(source.name, source.attributes["val"])
        return self._compressed(source)

    def _plain(self, name: str, constant: Constant) -> StoredTensor:
        declared = constant.type
        assert isinstance(declared, TensorType)
        return StoredTensor(
            name,
            declared.known_shape,
            "const",
            {"val": np.asarray(self._package.read(constant))},
            declared.element.bits,
        )

    def _compressed(self, operation: Operation) -> StoredTensor:
        constants = {**operation.attributes, **self._bound(operation)}
        constants.pop("name", None)
        parts = {name: np.asarray(self._package.read(constant)) for name, constant in constants.items()}
        declared = operation.outputs[0][1]
        assert isinstance(declared, TensorType)
        if operation.type == PALETTE:
            bits = int(parts["lut"].size).bit_length() - 1
            if parts["indices"].size != declared.count:  # iOS 16 and 17 declare the packed bytes
                parts["indices"] = unpack(parts["indices"].tobytes(), Element[f"UINT{bits}"], declared.count)
        elif operation.type in LINEAR:
            data = constants["quantized_data" if "quantized_data" in constants else "data"].type
            assert isinstance(data, TensorType)
            bits = data.element.bits
        else:
            raise DofkitError(f"{self._package.path}: {operation.name!r} is a {operation.type}, unknown here")
        return StoredTensor(operation.name, declared.known_shape, operation.type, parts, bits)

    def _bound(self, operation: Operation) -> dict[str, Constant]:
        bound = {}
        for name, bindings in operation.inputs.items():
            (binding,) = bindings
            bound[name] = binding if isinstance(binding, Constant) else self._constants[binding].attributes["val"]
        return bound


def _is_floats(constant: Constant) -> bool:
    """Whether a constant is a tensor of floats."""
    declared = constant.type
    return isinstance(declared, TensorType) and declared.element in (Element.FLOAT16, Element.FLOAT32)


def rounding_step(tensor: StoredTensor) -> Array | float:
    """The greatest rounding that a tensor's storage may have caused to its values."""
    if tensor.kind == "const":
        # coremltools lets no number but 0 round to 0 in small tensors: it becomes the least subnormal.
        return np.maximum(half_step(tensor.values()), 2.0**-24) if tensor.bits == 16 else 0.0
    if tensor.kind == PALETTE:
        ordered = np.sort(tensor.palette.astype(np.float64))
        values, inside = tensor.values(), float(np.diff(ordered).max(initial=0.0))
        # Weights are spread evenly within the palette, but for the few that lie beyond its ends.
        outermost = (values == ordered[0]) | (values == ordered[-1])
        return np.where(outermost, max(inside, (ordered[-1] - ordered[0]) / 2), inside)
    return tensor.spread_scale().astype(np.float64)

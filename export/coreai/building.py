"""Constants of a program: read as numpy arrays, and made of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime_ref.coreai.program import read_constant
from .tools import dialect, elements_attribute, ir

Array = NDArray[Any]


def stored_floats(operation: Any) -> Array:
    """The values of a `coreai.constant` of floats."""
    return np.asarray(read_constant(operation, "the program").value)


def element_type(name: str) -> Any:
    """An MLIR element type by its short name: "f16", "f32", "si8", "ui6" …"""
    mlir = ir()
    if name.startswith("f"):
        return {"f16": mlir.F16Type, "f32": mlir.F32Type}[name].get()
    make = mlir.IntegerType.get_signed if name.startswith("s") else mlir.IntegerType.get_unsigned
    return make(int(name.lstrip("siu")))


def constant(values: Array, element: str) -> Any:
    """A new constant at the insertion point.

    Args:
        values: in the numpy type of the element; below a byte, one value a byte.
        element: see `element_type`.
    """
    mlir, ops = ir(), dialect()
    kind = element_type(element)
    declared = mlir.RankedTensorType.get(list(values.shape), kind)
    if values.size and (values == values.flat[0]).all() and np.isfinite(values.flat[0]):
        scalar = mlir.FloatAttr.get(kind, float(values.flat[0])) if element.startswith("f") else None
        attribute = mlir.DenseElementsAttr.get_splat(
            declared, scalar or mlir.IntegerAttr.get(kind, int(values.flat[0]))
        )
    else:
        bits = 0 if element.startswith("f") else kind.width
        data = np.ascontiguousarray(packed(values, bits) if 0 < bits < 8 else values.reshape(values.shape or (1,)))
        data.flags.writeable = False
        attribute = elements_attribute(declared, data)
    return ops.ConstantOp(value=attribute).result


def packed(values: Array, bits: int) -> Array:
    """Integers below a byte as bytes, the first in the lowest bits. `[ceil(count · bits / 8)]` uint8."""
    unsigned = values.reshape(-1).astype(np.int16).astype(np.uint8)
    stream = np.unpackbits(unsigned[:, None], axis=1, bitorder="little", count=bits)
    return np.packbits(stream.reshape(-1), bitorder="little")

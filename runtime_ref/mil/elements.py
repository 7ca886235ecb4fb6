"""Element types of an ML Program: how each is stored, and what rounding to it means.

Floating values travel through the evaluator in its compute type (float32 or float64) and lie on the grid of their
declared type; integers, booleans and strings travel as they are.
"""

from __future__ import annotations

from enum import Enum

import numpy as np

from .arrays import Array


class Kind(Enum):
    """What the values of an element type are."""

    FLOAT = "float"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    STRING = "string"


class Element(Enum):
    """An element type; the value is its number in MIL.proto (`DataType`).

    Types below a byte are stored packed, the first value in the lowest bits.
    """

    BOOL = 1
    STRING = 2
    FLOAT16 = 10
    FLOAT32 = 11
    FLOAT64 = 12
    BFLOAT16 = 13
    INT8 = 21
    INT16 = 22
    INT32 = 23
    INT64 = 24
    INT4 = 25
    UINT8 = 31
    UINT16 = 32
    UINT32 = 33
    UINT64 = 34
    UINT4 = 35
    UINT2 = 36
    UINT1 = 37
    UINT6 = 38
    UINT3 = 39
    FLOAT8E4M3FN = 40
    FLOAT8E5M2 = 41

    def __str__(self) -> str:
        return {"FLOAT16": "fp16", "FLOAT32": "fp32", "FLOAT64": "fp64"}.get(self.name, self.name.lower())

    @property
    def kind(self) -> Kind:
        """Float, integer, boolean or string."""
        if self.name.startswith(("FLOAT", "BFLOAT")):
            return Kind.FLOAT
        if self in (Element.BOOL, Element.STRING):
            return Kind.BOOLEAN if self is Element.BOOL else Kind.STRING
        return Kind.INTEGER

    @property
    def bits(self) -> int:
        """Bits of one stored value (a boolean takes a byte)."""
        if self is Element.BOOL:
            return 8
        digits = self.name.removeprefix("B").removeprefix("FLOAT").removeprefix("U").removeprefix("INT")
        return int(digits.partition("E")[0])

    @property
    def storage(self) -> np.dtype:
        """The numpy type of the values in memory; the smallest that holds them."""
        if self.bits < 8 or self in (Element.BOOL, Element.INT8, Element.UINT8):
            unsigned = np.dtype(np.uint8) if self.name.startswith("U") else np.dtype(np.int8)
            return np.dtype(np.bool_) if self is Element.BOOL else unsigned
        return np.dtype(self.name.lower())

    @property
    def limits(self) -> tuple[int, int]:
        """Least and greatest value of an integer type."""
        if self.name.startswith("U"):
            return 0, 2**self.bits - 1
        return -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1

    @classmethod
    def named(cls, name: str) -> Element:
        """The type that an operation's `dtype` parameter names: "fp16", "float16", "int32", "bool" …

        Raises:
            KeyError: no such type.
        """
        return cls[{"FP16": "FLOAT16", "FP32": "FLOAT32", "FP64": "FLOAT64"}.get(name.upper(), name.upper())]


def unpack(data: bytes | memoryview, element: Element, count: int) -> Array:
    """Values of a packed type (1, 2, 3, 4 or 6 bits), the first in the lowest bits of the first byte.

    Returns:
        `[count]` int8 or uint8, sign-extended for signed types.
    """
    bits = element.bits
    stream = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[: count * bits].reshape(count, bits)
    values = np.packbits(stream, axis=1, bitorder="little")[:, 0]
    if element.name.startswith("U"):
        return values
    shift = 8 - bits
    return (values << shift).view(np.int8) >> shift


def round_to(values: Array, element: Element) -> Array:
    """Floating values rounded to the nearest number of a floating type (ties to even), kept in their own type.

    What is beyond the type's range becomes infinite, as IEEE 754 has it.

    Raises:
        ValueError: the type is not one that is computed with.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # overflow is looked for, and named, by the evaluator
        match element:
            case Element.FLOAT16 if values.dtype == np.float32:
                return _round_to_half(values)
            case Element.FLOAT16:
                return values.astype(np.float16).astype(values.dtype)
            case Element.FLOAT32:
                return values.astype(np.float32, copy=False).astype(values.dtype, copy=False)
            case Element.FLOAT64:
                return values
            case _:
                raise ValueError(f"{element} is a storage type, nothing is rounded to it")


# Values rounded at a time: small enough to stay in a core's cache (four times faster than numpy's own conversion there
# and back, measured on 11 M values; thirty times where many of them are subnormal).
_CHUNK = 1 << 15
_HALF_MAX = 65504.0
_HALF_LEAST_NORMAL = 2.0**-14
_EXPONENT, _SIGN = np.uint32(0x7F800000), np.uint32(0x80000000)
# A float32 between 2^(e + 13) and 2^(e + 14) is a multiple of 2^(e - 10), as a half between 2^e and 2^(e + 1) is.
_TO_COARSER = np.float32(1.5 * 2**13)


def _round_to_half(values: Array) -> Array:
    """float32 rounded to the grid of IEEE half precision: 11 significant bits, or multiples of 2^-24 when subnormal.

    Each value is added to a number so large that the sum is rounded where the half would be, which is taken off again.
    """
    source = np.ascontiguousarray(values).reshape(-1)
    rounded = np.empty_like(source)
    count = min(_CHUNK, source.size)
    bits = np.empty(count, np.uint32)
    # As an array: numpy has no vector instructions for the greater of a value and a scalar.
    least = np.full(count, _HALF_LEAST_NORMAL, np.float32)
    for start in range(0, source.size, _CHUNK):
        part, result = source[start : start + _CHUNK], rounded[start : start + _CHUNK]
        words = bits[: part.size]
        np.bitwise_and(part.view(np.uint32), _EXPONENT, out=words)
        large = np.maximum(words.view(np.float32), least[: part.size], out=words.view(np.float32))
        large *= _TO_COARSER
        np.add(part, large, out=result)
        result -= large
        if not (result.max() <= _HALF_MAX and result.min() >= -_HALF_MAX):  # too large, infinite or NaN
            result[:] = part.astype(np.float16)
            continue
        np.bitwise_and(part.view(np.uint32), _SIGN, out=words)
        np.bitwise_or(result.view(np.uint32), words, out=result.view(np.uint32))  # what became 0 keeps its sign
    return rounded.reshape(values.shape)

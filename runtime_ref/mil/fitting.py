"""How an array fits an input: what to do with one of another shape, and what to say of its values.

What the input is, and which shapes it admits, is in `features.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import permutations

import numpy as np

from ..errors import DofkitError
from .arrays import Array
from .elements import Element, Kind

Shape = tuple[int, ...]

# A phone's network has no tensor near it: 2^30 values are 4 GB in float32, and a 12-megapixel photo in 64 channels
# has 0.8 of them. A damaged or hostile package declares whatever it likes.
LARGEST = 1 << 30
# Channels last, as TensorFlow and Pillow have them, to channels first.
_TO_CHANNELS_FIRST = {4: "array.transpose(0, 3, 1, 2)", 3: "array.transpose(2, 0, 1)[None]"}
_MOST_AXES = 5  # of them 120 orders are tried


def refuse_huge(shape: Shape, what: str) -> None:
    """Refuse a shape that is declared and that no memory holds, before anything is allocated.

    Raises:
        DofkitError: it has more than `LARGEST` values.
    """
    count = math.prod(shape)
    if count > LARGEST:
        raise DofkitError(
            f"{what} declares {'×'.join(map(str, shape))}: {count:.3g} values, {count * 4 / 1e9:.3g} GB, are more than "
            f"the evaluator takes ({LARGEST * 4 / 1e9:.1f} GB a tensor); make it again for a smaller size"
        )


def remedy(shape: Shape, wanted: Shape, admits: Callable[[Shape], bool]) -> str:
    """How an array of this shape is made to fit an input.

    Args:
        shape: the array's.
        wanted: the input's, or its default one where it takes several.
        admits: whether the input takes a shape.
    """
    if _channels_last(shape, wanted):
        turn = _TO_CHANNELS_FIRST[len(shape)]
        height, width, channels = shape[-3:]
        resized = "" if admits((1, channels, height, width)) else ", and resize it"
        return f"its channels stand last (NHWC): transpose it with {turn}{resized}"
    if len(shape) == len(wanted) <= _MOST_AXES:
        orders = (order for order in permutations(range(len(shape))) if admits(tuple(shape[axis] for axis in order)))
        if (order := next(orders, None)) is not None:
            return f"its axes stand in another order: transpose it with array.transpose{order}"
    if math.prod(shape) == math.prod(wanted):
        return f"reshape it with array.reshape{wanted}"
    return "resize it" if len(shape) == len(wanted) else "give an array of that shape"


def _channels_last(shape: Shape, wanted: Shape) -> bool:
    if len(wanted) != 4 or len(shape) not in _TO_CHANNELS_FIRST or wanted[1] not in (1, 3):
        return False
    batch = len(shape) == 3 or shape[0] == wanted[0]
    return batch and shape[-1] == wanted[1] and shape[-3] != wanted[1]


def checked_integers(values: Array, element: Element, what: str) -> Array:
    """Values for an integer input; those of a floating type must be whole numbers, and none may be out of range.

    Args:
        values: numbers of any type.
        element: the input's integer type.
        what: the input, as the error's subject.

    Raises:
        DofkitError: a value is no whole number, or beyond the type's range.
    """
    if values.dtype.kind == "f":
        broken = values[~(np.isfinite(values) & (values == np.trunc(values)))]
        if broken.size:
            raise DofkitError(f"{what} takes whole numbers, not {broken.flat[0]:g}; round the values first")
    low, high = element.limits
    if values.size and not (low <= values.min() and values.max() <= high):
        worst = values.min() if values.min() < low else values.max()
        raise DofkitError(f"{what} cannot hold {worst:g}: {element} goes from {low} to {high}; give other values")
    return values


def remarks(values: Array, element: Element) -> Iterator[str]:
    """What a user should know of an input's values, each in words that follow the input's name."""
    if values.dtype.kind != "f" or not values.size:
        return
    if element.kind is Kind.INTEGER:
        yield f"floating numbers, all of them whole, are taken as {element}"
        return
    finite = np.isfinite(values)
    lost = values.size - int(finite.sum())
    if lost:
        yield f"{lost} of {values.size} values are NaN or infinite, and so may be what is computed of them"
    if element in (Element.FLOAT16, Element.FLOAT32):
        limit = float(np.finfo(element.storage).max)
        beyond = int((np.abs(values[finite].astype(np.float64)) > limit).sum())
        if beyond:
            yield f"{beyond} of {values.size} values are beyond {element}'s greatest, {limit:.6g}: they become infinite"

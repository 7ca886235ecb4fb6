"""The tail of a network that was brought: what its output is computed of once the last layers are done.

Measured on GLPN, ZoeDepth and TIPSv2: rounding what their tails hold, metres and sums over bins of depth, to 11 bits
costs 10 to 20 dB, and all layers before them together less. Fp16 files keep tails in float32: a few operations on maps
of a channel or of the bins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

Operation = TypeVar("Operation")


def tail(
    last: Iterable[Operation],
    sources: Callable[[Operation], Iterable[Operation]],
    is_layer: Callable[[Operation], bool],
) -> list[Operation]:
    """Everything from which a path without a layer leads to the output.

    Given:   x = conv(…); d = mul(sigmoid(x), 10); far = reduce_max(d); y = real_div(d, far)
    Result:  sigmoid, mul, reduce_max, real_div

    Args:
        last: the operations that compute the output.
        sources: the operations that an operation's operands come from.
        is_layer: it has weights, or multiplies matrices: paths end there.
    """
    found: list[Operation] = []
    left = list(last)
    while left:
        each = left.pop()
        if each not in found and not is_layer(each):
            found.append(each)
            left += sources(each)
    return found

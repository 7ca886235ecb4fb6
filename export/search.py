"""The fewest parts of a network that must stay exact: the search that every mixed export shares.

What a part costs is measured with that part alone made inexact. Noise of small independent roundings adds up, so the
most sensitive parts are taken back first; whether that suffices is measured on the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Errors = NDArray[np.floating[Any]]  # mean squared error in each picture or case


def most_sensitive_first(costs: Mapping[str, Errors]) -> list[str]:
    """Names by what they cost the picture that is worst as long as they and all after them are inexact.

    Args:
        costs: name -> error that this part alone brings.
    """
    left, order = dict(costs), []
    while left:
        predicted = np.sum(list(left.values()), axis=0)
        worst = int(np.argmax(predicted))
        most_sensitive = max(left, key=lambda name: left[name][worst])
        del left[most_sensitive]
        order.append(most_sensitive)
    return order


def fewest(order: Sequence[str], meets: Callable[[list[str]], bool]) -> list[str]:
    """The fewest of `order`, taken from its front, that meet a goal; then those left out that the others made needless.

    Args:
        order: the most sensitive first; taking all of them meets the goal.
        meets: whether the goal is met with these exact.
    """
    if meets([]):
        return []
    # The error falls with every part taken back, but for noise: search for the least number that suffices …
    few, many = 0, len(order)
    while few + 1 < many:
        middle = (few + many) // 2
        few, many = (few, middle) if meets(list(order[:middle])) else (middle, many)
    chosen = list(order[:many])
    # … and leave out again what the others made unnecessary.
    for name in reversed(chosen.copy()):
        rest = [other for other in chosen if other != name]
        if meets(rest):
            chosen = rest
    return chosen


def decibels(errors: Errors) -> float:
    """PSNR of the worst picture, peak 1."""
    return float(-10 * np.log10(max(float(np.max(errors)), 1e-20)))

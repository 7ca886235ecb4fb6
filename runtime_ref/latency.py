"""Latency of one callable: what a user waits for on load, on the first run, and from then on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Result = TypeVar("Result")

MIN_RUNS = 5  # below this a 90th percentile says nothing


@dataclass(frozen=True)
class Latency:
    """Times in milliseconds.

    Attributes:
        load: opening the model.
        first: its first run (allocation, packing of weights).
        p50, p90: median and 90th percentile of the steady runs after it.
        runs: number of steady runs.
    """

    load: float
    first: float
    p50: float
    p90: float
    runs: int


def timed(call: Callable[[], Result]) -> tuple[Result, float]:
    """A call's result and how long it took, in milliseconds."""
    started = time.perf_counter()
    result = call()
    return result, (time.perf_counter() - started) * 1e3


def measure(open_it: Callable[[], Callable[[], object]], runs: int, seconds: float) -> Latency:
    """Measure a callable that `open_it` loads.

    Args:
        open_it: loads the model and returns what runs it once.
        runs: steady runs at most.
        seconds: steady runs stop after this time, but not before `MIN_RUNS`.
    """
    run, load = timed(open_it)
    _, first = timed(run)
    steady: list[float] = []
    started = time.perf_counter()
    while len(steady) < runs and (len(steady) < MIN_RUNS or time.perf_counter() - started < seconds):
        steady.append(timed(run)[1])
    p50, p90 = np.percentile(steady, [50, 90])
    return Latency(load, first, float(p50), float(p90), len(steady))

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


def steady(run: Callable[[], object], runs: int, seconds: float) -> list[float]:
    """Times of repeated runs in milliseconds: at most `runs`, ended by `seconds`, but at least `MIN_RUNS`."""
    times: list[float] = []
    started = time.perf_counter()
    while len(times) < runs and (len(times) < MIN_RUNS or time.perf_counter() - started < seconds):
        times.append(timed(run)[1])
    return times


def measure(open_it: Callable[[], Callable[[], object]], runs: int, seconds: float) -> Latency:
    """Measure a callable that `open_it` loads.

    Args:
        open_it: loads the model and returns what runs it once.
        runs, seconds: of the steady runs, see `steady`.
    """
    run, load = timed(open_it)
    _, first = timed(run)
    times = steady(run, runs, seconds)
    p50, p90 = np.percentile(times, [50, 90])
    return Latency(load, first, float(p50), float(p90), len(times))

"""Latency where a stage is computed: what a user waits for on load, on the first run, and from then on.

Raw times in milliseconds; medians and percentiles are the caller's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from ..pipeline.plan import PipelinePlan
from ..pipeline.portrait import Lens, PortraitPipeline
from ..pipeline.session import SelfTimedSession, Session
from ..pipeline.stage import Stage

Result = TypeVar("Result")
Array = NDArray[Any]

MIN_RUNS = 5  # below this a 90th percentile says nothing


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class TimeBudget(_Frozen):
    """How long steady runs go on: at most `runs`, ended by `seconds`, but at least `MIN_RUNS`."""

    runs: int = Field(ge=1)
    seconds: float = Field(gt=0)


class RunTimes(_Frozen):
    """Times of a session's runs.

    Attributes:
        first: the first run (allocation, packing of weights).
        steady: the runs after it, in order.
    """

    first: float
    steady: tuple[float, ...]


class PhotoTimes(_Frozen):
    """Times of a whole photo: depth once, then blur and upsampling of all tiles.

    Attributes:
        first: the first photo, depth and rendering together.
        depth, render: of the photos after it, in order; together they are one photo's time.
    """

    first: float
    depth: tuple[float, ...]
    render: tuple[float, ...]


def timed(call: Callable[[], Result]) -> tuple[Result, float]:
    """A call's result and how long it took, in milliseconds."""
    started = time.perf_counter()
    result = call()
    return result, (time.perf_counter() - started) * 1e3


def steady(one: Callable[[], float], budget: TimeBudget) -> list[float]:
    """The times that repeated calls return, in milliseconds, as many as the budget allows."""
    times: list[float] = []
    started = time.perf_counter()
    while len(times) < budget.runs and (len(times) < MIN_RUNS or time.perf_counter() - started < budget.seconds):
        times.append(one())
    return times


def time_runs(session: Session, inputs: Mapping[str, Array], budget: TimeBudget) -> RunTimes:
    """Time a session that has not run yet, on the same inputs again and again; a device with a clock takes the time."""

    def one() -> float:
        if isinstance(session, SelfTimedSession):
            return session.run_timed(inputs)[1]
        return timed(lambda: session.run(inputs))[1]

    return RunTimes(first=one(), steady=tuple(steady(one, budget)))


def time_photo(
    sessions: Mapping[Stage, Session], plan: PipelinePlan, pixels: NDArray[np.uint8], lens: Lens, budget: TimeBudget
) -> PhotoTimes:
    """Time the whole pipeline on a photo, uint8 `[H, W, 3]`.

    Nothing is copied: the time then depends on the photo's size only, not on what it shows.
    """
    pipeline = PortraitPipeline(sessions, plan.model_copy(update={"copy_below": 0.0}))
    parts: list[tuple[float, float]] = []

    def whole() -> float:
        disparity, depth = timed(lambda: pipeline.disparity(pixels))
        parts.append((depth, timed(lambda: pipeline.render(pixels, disparity, lens))[1]))
        return sum(parts[-1])

    first = whole()
    parts.clear()
    steady(whole, budget)
    return PhotoTimes(first=first, depth=tuple(d for d, _ in parts), render=tuple(r for _, r in parts))

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
WINDOW = 5  # runs whose median is compared with that of as many before them
# What `bench --max-slowdown` calls a change by default: a drift below it is none that a verdict would see.
STABLE = 0.05


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class TimeBudget(_Frozen):
    """How long steady runs go on: at most `runs`, ended by `seconds`, but `MIN_RUNS` where `patience` lasts for them.

    Attributes:
        patience: seconds after which fewer than `MIN_RUNS` are enough: a GPU computed in software takes half a minute
            for a run.
        warm_up: part of `seconds` that runs before them may take, see `settle`; 0 leaves them out.
    """

    runs: int = Field(ge=1)
    seconds: float = Field(gt=0)
    warm_up: float = Field(default=0.25, ge=0, le=1)
    patience: float = Field(default=30, gt=0)

    def allows(self, runs: int, passed: float) -> bool:
        """Whether another run is due after as many that took `passed` seconds; the first always is."""
        if not runs:
            return True
        return runs < self.runs and passed < (self.seconds if runs >= MIN_RUNS else max(self.seconds, self.patience))


class RunTimes(_Frozen):
    """Times of a session's runs.

    Attributes:
        first: the first run (allocation, packing of weights).
        steady: the runs after the warm-up, in order.
        warm_up: the runs between, in order.
        settled: whether the warm-up ended because times had become stable, and not because its time was over.
    """

    first: float
    steady: tuple[float, ...]
    warm_up: tuple[float, ...] = ()
    settled: bool = False


class PhotoTimes(_Frozen):
    """Times of a whole photo: depth once, then blur and upsampling of all tiles.

    Attributes:
        first: the first photo, depth and rendering together.
        depth, render: of the photos after the warm-up, in order; together they are one photo's time.
        warm_up, settled: as of `RunTimes`.
        networks_only: the device took the times itself, of the networks; what is computed between them is left out.
    """

    first: float
    depth: tuple[float, ...]
    render: tuple[float, ...]
    warm_up: tuple[float, ...] = ()
    settled: bool = False
    networks_only: bool = False


def timed(call: Callable[[], Result]) -> tuple[Result, float]:
    """A call's result and how long it took, in milliseconds."""
    started = time.perf_counter()
    result = call()
    return result, (time.perf_counter() - started) * 1e3


def settle(one: Callable[[], float], budget: TimeBudget) -> tuple[list[float], bool]:
    """Run until times are stable: the medians of the last `WINDOW` runs and of those before differ by at most `STABLE`.

    Returns:
        The times, in milliseconds, and whether they became stable before the budget's part for it was spent.
    """
    times: list[float] = []
    started = time.perf_counter()
    while time.perf_counter() - started < budget.seconds * budget.warm_up:
        times.append(one())
        if len(times) >= 2 * WINDOW:
            before, last = np.median(times[-2 * WINDOW : -WINDOW]), np.median(times[-WINDOW:])
            if abs(last - before) <= STABLE * before:
                return times, True
    return times, False


def steady(one: Callable[[], float], budget: TimeBudget) -> list[float]:
    """The times that repeated calls return, in milliseconds, as many as the budget allows."""
    times: list[float] = []
    started = time.perf_counter()
    while budget.allows(len(times), time.perf_counter() - started):
        times.append(one())
    return times


def time_runs(session: Session, inputs: Mapping[str, Array], budget: TimeBudget) -> RunTimes:
    """Time a session that has not run yet, on the same inputs again and again; a device with a clock takes the time."""

    def one() -> float:
        if isinstance(session, SelfTimedSession):
            return session.run_timed(inputs)[1]
        return timed(lambda: session.run(inputs))[1]

    first = one()
    warm_up, settled = settle(one, budget)
    return RunTimes(first=first, steady=tuple(steady(one, budget)), warm_up=tuple(warm_up), settled=settled)


def time_photo(
    sessions: Mapping[Stage, Session], plan: PipelinePlan, pixels: NDArray[np.uint8], lens: Lens, budget: TimeBudget
) -> PhotoTimes:
    """Time the whole pipeline on a photo, uint8 `[H, W, 3]`.

    Nothing is copied: the time then depends on the photo's size only, not on what it shows. Of sessions that take the
    time themselves, theirs is added up.
    """
    clock = _Clock()
    far = all(isinstance(session, SelfTimedSession) for session in sessions.values())
    if far:
        sessions = {stage: _Clocked(session, clock) for stage, session in sessions.items()}
    pipeline = PortraitPipeline(sessions, plan.model_copy(update={"copy_below": 0.0}))
    parts: list[tuple[float, float]] = []

    def part(call: Callable[[], Result]) -> tuple[Result, float]:
        clock.elapsed = 0.0
        result, here = timed(call)
        return result, clock.elapsed if far else here

    def whole() -> float:
        disparity, depth = part(lambda: pipeline.disparity(pixels))
        parts.append((depth, part(lambda: pipeline.render(pixels, disparity, lens))[1]))
        return sum(parts[-1])

    first = whole()
    warm_up, settled = settle(whole, budget)
    parts.clear()
    steady(whole, budget)
    depth, render = zip(*parts, strict=True)
    return PhotoTimes(
        first=first, depth=depth, render=render, warm_up=tuple(warm_up), settled=settled, networks_only=far
    )


class _Clock:
    """Milliseconds that a device says it computed."""

    elapsed = 0.0


class _Clocked:
    """A session whose device's times add up in a clock."""

    def __init__(self, session: Session, clock: _Clock) -> None:
        self._session, self._clock, self.runtime = session, clock, session.runtime

    def run(self, inputs: Mapping[str, Array]) -> Array:
        """See `Session`."""
        assert isinstance(self._session, SelfTimedSession)
        output, elapsed = self._session.run_timed(inputs)
        self._clock.elapsed += elapsed
        return output

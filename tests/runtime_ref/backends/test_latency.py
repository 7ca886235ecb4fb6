"""Latency: the first run and steady runs are told apart, and steady runs end when they should."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import pytest

from dofkit.runtime_ref.backends.latency import MIN_RUNS, TimeBudget, settle, steady, time_runs, timed


def test_a_call_is_timed_in_milliseconds() -> None:
    result, elapsed = timed(lambda: time.sleep(0.02) or "done")
    assert result == "done"
    assert elapsed >= 20


class _SlowAtFirst:
    runtime = "slow at first"

    def __init__(self) -> None:
        self._waits = iter([0.03])

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        time.sleep(next(self._waits, 0))
        return inputs["image"]


def test_the_first_run_does_not_count_as_steady() -> None:
    times = time_runs(_SlowAtFirst(), {"image": np.zeros((1, 3, 2, 2), np.float32)}, TimeBudget(runs=8, seconds=10))
    assert times.first >= 30
    assert len(times.steady) == 8
    assert min(times.steady) < 20


@pytest.mark.parametrize(("runs", "seconds", "expected"), [(100, 1e-9, MIN_RUNS), (6, 10, 6)])
def test_runs_end_by_number_or_time_but_not_too_early(runs: int, seconds: float, expected: int) -> None:
    assert len(steady(lambda: 0.0, TimeBudget(runs=runs, seconds=seconds))) == expected


def test_fewer_runs_are_enough_where_one_takes_longer_than_anyone_waits() -> None:
    budget = TimeBudget(runs=30, seconds=10, patience=30)
    assert budget.allows(0, passed=1000), "one is taken in any case"
    assert budget.allows(MIN_RUNS - 1, passed=29)
    assert not budget.allows(1, passed=31)
    assert not budget.allows(MIN_RUNS, passed=11)
    assert TimeBudget(runs=30, seconds=60, patience=30).allows(1, passed=50), "whoever asks for a minute waits for one"


class _FarAway(_SlowAtFirst):
    def run_timed(self, inputs: Mapping[str, np.ndarray]) -> tuple[np.ndarray, float]:
        return self.run(inputs), 1.5


def test_a_device_that_takes_the_time_itself_is_believed() -> None:
    times = time_runs(_FarAway(), {"image": np.zeros((1, 3, 2, 2), np.float32)}, TimeBudget(runs=5, seconds=10))
    assert (times.first, times.steady) == (1.5, (1.5,) * 5)


def test_a_warm_up_ends_when_two_windows_agree() -> None:
    falling = iter([100.0, 80, 60, 50, 40, 30, 25, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20])
    times, settled = settle(lambda: next(falling), TimeBudget(runs=5, seconds=1e6))
    assert settled
    assert times[-5:] == [20.0] * 5
    assert np.median(times[-10:-5]) <= 1.05 * 20


def test_a_warm_up_that_never_settles_ends_with_its_time_and_says_so() -> None:
    count = iter(range(1, 10**9))
    times, settled = settle(lambda: 2.0 ** (next(count) % 500), TimeBudget(runs=5, seconds=0.04))
    assert not settled
    assert len(times) >= 1


def test_a_budget_can_do_without_a_warm_up() -> None:
    assert settle(lambda: 1.0, TimeBudget(runs=5, seconds=10, warm_up=0)) == ([], False)

"""Latency: load, first run and steady runs are told apart."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from dofkit.runtime_ref.backends.latency import MIN_RUNS, measure, timed


def test_a_call_is_timed_in_milliseconds() -> None:
    result, elapsed = timed(lambda: time.sleep(0.02) or "done")
    assert result == "done"
    assert elapsed >= 20


def test_loading_and_the_first_run_do_not_count_as_steady() -> None:
    def open_it() -> Callable[[], None]:
        time.sleep(0.03)
        waits = iter([0.03])
        return lambda: time.sleep(next(waits, 0))

    latency = measure(open_it, runs=8, seconds=10)
    assert latency.load >= 30
    assert latency.first >= 30
    assert latency.p50 < 20
    assert latency.p50 <= latency.p90
    assert latency.runs == 8


@pytest.mark.parametrize(("runs", "seconds", "expected"), [(100, 1e-9, MIN_RUNS), (6, 10, 6)])
def test_runs_end_by_number_or_time_but_not_too_early(runs: int, seconds: float, expected: int) -> None:
    assert measure(lambda: lambda: None, runs, seconds).runs == expected

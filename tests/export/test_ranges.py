"""Ranges are true extremes over all samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dofkit.export.ranges import RunningRanges, measure_ranges
from dofkit.runtime_ref.errors import DofkitError


class Tracer:
    """Computes two results from the inputs; one of them twice under one name."""

    def trace(self, inputs: Any) -> Iterator[tuple[str, NDArray[Any]]]:
        image = inputs["image"]
        yield "twice", image * 2
        yield "shared", image - 1
        yield "shared", image + 1
        yield "indices", np.arange(3)


def test_ranges_are_the_extremes_over_all_samples():
    rng = np.random.default_rng(0)
    samples = [{"image": rng.normal(0, scale, (1, 3, 4, 4)).astype(np.float32)} for scale in (3, 1, 0.1)]
    low = min(sample["image"].min() for sample in samples)
    high = max(sample["image"].max() for sample in samples)
    done: list[int] = []
    ranges = measure_ranges(Tracer(), iter(samples), done.append)
    assert ranges["image"] == (low, high)
    assert ranges["twice"] == (2 * low, 2 * high)
    assert ranges["shared"] == (np.float32(low) - 1, np.float32(high) + 1)
    assert "indices" not in ranges
    assert done == [1, 2, 3]


def test_infinities_and_nothing_do_not_widen_a_range():
    running = RunningRanges()
    running.note("x", np.array([-np.inf, 1, 2, np.nan]))
    running.note("x", np.array([]))
    running.note("never", np.array([np.nan]))
    assert running.ranges == {"x": (1.0, 2.0)}


def test_without_samples_there_are_no_ranges():
    with pytest.raises(DofkitError, match="--calibration"):
        measure_ranges(Tracer(), [])

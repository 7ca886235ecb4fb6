"""Medians and what they are worth: percentiles, the spread of samples, and how sure a ratio of two medians is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000  # of a bootstrap: its 95 % interval's ends then repeat to about a hundredth of its width
_CONFIDENCE = 0.95
_SEED = 20180  # any: the same samples give the same interval


def spread(samples: Sequence[float]) -> float:
    """The median absolute deviation from the median (MAD), in the samples' unit; one outlier does not move it."""
    return float(np.median(np.abs(np.asarray(samples) - np.median(samples))))


@dataclass(frozen=True)
class Interval:
    """A ratio and where it lies with 95 % confidence."""

    ratio: float
    low: float
    high: float


def ratio_of_medians(before: Sequence[float], after: Sequence[float]) -> Interval:
    """median(after) / median(before), with its interval by the percentile bootstrap over moving blocks.

    Runs one after the other resemble each other (clock rate, temperature), so that blocks of n^(1/3) of them are drawn
    and not single ones (Künsch 1989, "The jackknife and the bootstrap for general stationary observations").

    Args:
        before, after: times > 0, in order of measurement.
    """
    generator = np.random.default_rng(_SEED)
    ratios = _medians(np.asarray(after), generator) / _medians(np.asarray(before), generator)
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(ratios, [tail, 1 - tail])
    return Interval(float(np.median(after) / np.median(before)), float(low), float(high))


def _medians(samples: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    """Medians of `RESAMPLES` draws of as many samples."""
    count = len(samples)
    block = max(1, round(count ** (1 / 3)))
    starts = generator.integers(0, count - block + 1, (RESAMPLES, -(-count // block)))
    chosen = (starts[:, :, None] + np.arange(block)).reshape(RESAMPLES, -1)[:, :count]
    return np.median(samples[chosen], axis=1)

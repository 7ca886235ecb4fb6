"""The range of every tensor of an exported file over many samples: what activations are quantised with.

Where the samples come from, and what is quantised with the ranges, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..runtime_ref.backends.tracers import Tracer
from ..runtime_ref.errors import DofkitError

Ranges = Mapping[str, tuple[float, float]]
StageInputs = Mapping[str, NDArray[np.floating[Any]]]


@dataclass
class RunningRanges:
    """Least and greatest finite value of every tensor, over all that was noted so far.

    True extremes, no moving average: an average forgets the highlights of all but the last photos.
    """

    _ranges: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """By tensor name, in the order in which the names were first noted."""
        return dict(self._ranges)

    def note(self, name: str, value: NDArray[Any]) -> None:
        """Widen the range of one tensor; integers, empty tensors and values that are not finite are passed over."""
        if value.dtype.kind != "f" or not value.size:
            return
        low, high = float(value.min()), float(value.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            finite = value[np.isfinite(value)]
            if not finite.size:
                return
            low, high = float(finite.min()), float(finite.max())
        known_low, known_high = self._ranges.get(name, (low, high))
        self._ranges[name] = min(low, known_low), max(high, known_high)


def measure_ranges(
    tracer: Tracer, samples: Iterable[StageInputs], progress: Callable[[int], None] = lambda _: None
) -> Ranges:
    """Ranges of all tensors that a file computes, and of its inputs, by their names.

    A name that several calls share, as a function called twice does, gets their joint range.

    Args:
        tracer: of one stage of the file.
        samples: inputs of the stage, each `[1, C, H, W]` as `Session.run` takes them; taken one after the other.
        progress: called with the number of samples done, after each.

    Raises:
        DofkitError: there is no sample.
    """
    running = RunningRanges()
    done = 0
    for done, sample in enumerate(samples, 1):
        for name, value in sample.items():
            running.note(name, np.asarray(value))
        for name, value in tracer.trace(sample):
            running.note(name, value)
        progress(done)
    if not done:
        raise DofkitError("no samples to calibrate on: give a folder with photos (--calibration DIR)")
    return running.ranges

"""What is in focus is one thing, finite, and inside the picture."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.focus import Focus
from dofkit.runtime_ref.pipeline.portrait import DefocusLevels, Lens
from dofkit.runtime_ref.pipeline.subject import ALIKE, auto_focus, focus_at

RAMP = np.tile(np.linspace(0, 1, 60, dtype=np.float32), (40, 1))


def test_a_focus_is_a_disparity_a_point_or_the_subject_in_the_middle() -> None:
    assert Focus(disparity=0.3).over(RAMP) == 0.3
    assert Focus(point=(0.9, 0.5)).over(RAMP) == focus_at(RAMP, 0.9, 0.5)
    assert Focus(point=(0.9, 0.5)).over(RAMP, held=0.25) == focus_at(RAMP, 0.9, 0.5, reach=ALIKE)
    assert Focus().over(RAMP) == auto_focus(RAMP)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.1, 1.1])
def test_a_focus_that_is_no_fraction_is_refused(bad: float) -> None:
    for make in (lambda: Focus(disparity=bad), lambda: Focus(point=(0.5, bad)), lambda: Focus(half_range=bad)):
        with pytest.raises(DofkitError, match="outside 0 to 1"):
            make()


def test_a_point_and_a_disparity_exclude_each_other() -> None:
    with pytest.raises(DofkitError, match="not both"):
        Focus(point=(0.5, 0.5), disparity=0.3)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_no_lens_and_no_map_is_made_of_what_is_no_number(bad: float) -> None:
    for make in (lambda: Lens(bad, 0.5), lambda: Lens(0.5, bad)):
        with pytest.raises(DofkitError, match="finite"):
            make()
    spoilt = RAMP.copy()
    spoilt[3, 4] = bad
    with pytest.raises(DofkitError, match="NaN or infinite"):
        DefocusLevels.of((40, 60, 3), spoilt, Lens(0.5, 0.5))

"""The fewest parts that must stay exact: the order of their costs, and a choice that nothing can be left out of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dofkit.export.search import decibels, fewest, most_sensitive_first

COSTS = st.dictionaries(
    st.sampled_from("abcdefgh"), st.lists(st.floats(1e-9, 1.0), min_size=2, max_size=2).map(np.array), min_size=1
)


def test_of_one_picture_the_dearest_come_first() -> None:
    costs = {"a": np.array([1.0]), "b": np.array([3.0]), "c": np.array([2.0])}
    assert most_sensitive_first(costs) == ["b", "c", "a"]


def test_the_picture_that_is_worst_at_each_step_decides() -> None:
    # The second picture is far worse because of "x" alone; once that is exact the first one decides.
    costs = {"x": np.array([0.0, 9.0]), "y": np.array([2.0, 1.0]), "z": np.array([3.0, 0.0])}
    assert most_sensitive_first(costs) == ["x", "z", "y"]


@given(COSTS, st.floats(0, 2))
def test_the_choice_meets_the_goal_and_nothing_can_be_left_out(costs: dict[str, np.ndarray], goal: float) -> None:
    def error(kept: list[str]) -> float:
        return max(sum((cost for name, cost in costs.items() if name not in kept), np.zeros(2)))

    chosen = fewest(most_sensitive_first(costs), lambda kept: error(kept) <= goal)
    assert error(chosen) <= goal
    for name in chosen:
        assert error([other for other in chosen if other != name]) > goal


def test_nothing_is_kept_where_nothing_must_be() -> None:
    assert fewest(["a", "b"], lambda _: True) == []


def test_decibels_are_those_of_the_worst_picture() -> None:
    assert decibels(np.array([1e-4, 1e-3])) == pytest.approx(30)

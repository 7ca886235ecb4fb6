"""What is remembered is what the session gave for the same inputs, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dofkit.runtime_ref.parity.remembering import Memory
from dofkit.runtime_ref.pipeline.session import run_each


class _Doubling:
    """Counts how often it computes."""

    runtime = "doubling"

    def __init__(self) -> None:
        self.runs = 0

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        self.runs += 1
        return 2 * inputs["x"]


class _SideBySide(_Doubling):
    """Lets two calls run at once, through a session of its own for them."""

    def __init__(self) -> None:
        super().__init__()
        self.beside = _Doubling()

    def side_by_side(self) -> tuple[_Doubling, int]:
        return self.beside, 2


X = np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3)


def test_the_same_inputs_are_computed_once_by_each_model_of_each_backend() -> None:
    memory, session = Memory(), _Doubling()
    for backend, model in (("a", "depth"), ("a", "blur"), ("b", "depth"), ("a", "depth")):
        np.testing.assert_array_equal(memory.session(backend, model, session).run({"x": X.copy()}), 2 * X)
    assert session.runs == 3


def test_other_bits_shapes_or_names_are_other_inputs() -> None:
    memory, session = Memory(), _Doubling()
    others = [{"x": X}, {"x": np.nextafter(X, 9)}, {"x": X.reshape(1, 1, 3, 2)}, {"x": X, "y": X}]
    for inputs in others:
        np.testing.assert_array_equal(memory.session("a", "m", session).run(inputs), 2 * inputs["x"])
    assert session.runs == 4


def test_what_is_not_to_be_kept_is_looked_up_all_the_same() -> None:
    memory, session = Memory(), _Doubling()
    passing = memory.session("a", "m", session, keep=False)
    passing.run({"x": X})
    passing.run({"x": X})
    assert session.runs == 2
    memory.session("a", "m", session).run({"x": X})
    passing.run({"x": X})
    assert session.runs == 3


def test_what_was_computed_side_by_side_is_remembered() -> None:
    memory, session = Memory(), _SideBySide()
    remembered = memory.session("a", "m", session)
    both = run_each(remembered, [{"x": X}, {"x": X + 1}])
    np.testing.assert_array_equal(both, [2 * X, 2 * (X + 1)])
    np.testing.assert_array_equal(remembered.run({"x": X + 1}), 2 * (X + 1))
    assert (session.runs, session.beside.runs) == (0, 2)

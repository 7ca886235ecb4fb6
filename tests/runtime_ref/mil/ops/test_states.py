"""States: read, written, kept between calls, fresh again."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dofkit.runtime_ref.mil import MLProgram
from dofkit.runtime_ref.mil.elements import Element
from dofkit.runtime_ref.mil.program import TensorType
from dofkit.runtime_ref.mil.registry import MIL
from dofkit.runtime_ref.mil.states import new_state
from dofkit.runtime_ref.quiet import silence

X = np.array([1.0, -2.0, 0.5], np.float32)


@pytest.fixture
def accumulator(ct: Any, tmp_path: Path) -> MLProgram:
    """total += x, sum = 2 · total, saved by coremltools with one state `total`."""
    from coremltools.converters.mil import Builder
    from coremltools.converters.mil.mil import Function, Program, types

    mb: Any = Builder  # its operations are registered when it is imported
    with warnings.catch_warnings(), silence():
        warnings.simplefilter("ignore")
        placeholders = {
            "x": mb.placeholder(shape=(3,), dtype=types.fp16),
            "total": mb.state_tensor_placeholder(shape=(3,), dtype=types.fp16),
        }
        with Function(placeholders, opset_version=ct.target.iOS18) as function:
            before = mb.read_state(input=function.inputs["total"])
            after = mb.add(x=before, y=function.inputs["x"])
            kept = mb.coreml_update_state(state=function.inputs["total"], value=after)
            function.set_outputs([mb.mul(x=kept, y=np.float16(2)), before])
        program = Program()
        program.add_function("main", function)
        model = ct.convert(
            program,
            convert_to="mlprogram",
            minimum_deployment_target=ct.target.iOS18,
            pass_pipeline=ct.PassPipeline.EMPTY,
            skip_model_load=True,
        )
        model.save(str(tmp_path / "accumulator.mlpackage"))
    return MLProgram.open(tmp_path / "accumulator.mlpackage")


def outputs(program: MLProgram, x: np.ndarray, state: dict | None) -> list[np.ndarray]:
    values = program.predict({"x": x}, state)
    return [values[feature.name] for feature in program.outputs]


@pytest.mark.oracle("read_state", "the operation set's documentation")
def test_a_fresh_state_is_zero(accumulator: MLProgram) -> None:
    assert [feature.name for feature in accumulator.states] == ["total"]
    assert outputs(accumulator, X, accumulator.new_state())[1].tolist() == [0, 0, 0]


@pytest.mark.oracle("write_state", "closed form: a sum")
def test_a_state_is_kept_between_calls(accumulator: MLProgram) -> None:
    state = accumulator.new_state()
    for call in range(1, 4):
        doubled, before = outputs(accumulator, X, state)
        np.testing.assert_array_equal(before, (call - 1) * X)
        np.testing.assert_array_equal(doubled, 2 * call * X)
        np.testing.assert_array_equal(state["total"].value, call * X)


@pytest.mark.oracle("read_state", "closed form: a sum")
def test_states_of_two_users_do_not_mix(accumulator: MLProgram) -> None:
    mine, yours = accumulator.new_state(), accumulator.new_state()
    outputs(accumulator, X, mine)
    np.testing.assert_array_equal(outputs(accumulator, 3 * X, yours)[0], 6 * X)
    np.testing.assert_array_equal(outputs(accumulator, X, mine)[0], 4 * X)


@pytest.mark.oracle("write_state", "closed form: a sum")
def test_without_a_state_every_call_starts_anew(accumulator: MLProgram) -> None:
    for _ in range(2):
        np.testing.assert_array_equal(outputs(accumulator, X, None)[0], 2 * X)


@pytest.mark.oracle("write_state", "the operation set's documentation: the content is copied")
def test_a_written_state_does_not_change_with_the_array_it_was_written_from() -> None:
    state = new_state(TensorType(Element.INT32, (2,)), np.dtype(np.float32))
    kernel = MIL.find("write_state", 8)
    assert kernel is not None
    data = np.array([1, 2], np.int32)
    assert kernel.function(state, data) == ()
    data[0] = 9
    assert state.value.tolist() == [1, 2]


@pytest.mark.oracle("coreml_update_state", "write_state, then read_state")
def test_updating_a_state_gives_what_was_written() -> None:
    state = new_state(TensorType(Element.FLOAT16, (2,)), np.dtype(np.float32))
    kernel = MIL.find("coreml_update_state", 8)
    assert kernel is not None
    assert kernel.function(state, X[:2]).tolist() == state.value.tolist() == [1, -2]


def test_states_are_unknown_before_ios18() -> None:
    assert MIL.find("read_state", 7) is None

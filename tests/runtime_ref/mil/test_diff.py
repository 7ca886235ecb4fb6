"""Two programs part where they were made different, and nowhere else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.matching import Layer
from dofkit.runtime_ref.mil import MLProgram
from dofkit.runtime_ref.mil.diff import Difference, ProgramDiff, align, compare, computing
from dofkit.runtime_ref.mil.layers import LayerFinding, compare_layers
from dofkit.runtime_ref.mil.trace import Trace

RNG = np.random.default_rng(5)
X = {"x": RNG.random((1, 3, 8, 8), np.float32)}
FIRST, SECOND = RNG.standard_normal((4, 3, 3, 3)), RNG.standard_normal((3, 4, 3, 3))


def _network(first: np.ndarray = FIRST, second: np.ndarray = SECOND, twice: bool = False) -> Callable[..., Any]:
    """Convolution, ReLU, (the ReLU's double,) convolution, sigmoid; names are the builder's numbers."""

    def build(mb: Any, x: Any) -> Any:
        x = mb.relu(x=mb.conv(x=x, weight=first.astype(np.float32), pad_type="same"))
        if twice:
            x = mb.add(x=x, y=x)
        return mb.sigmoid(x=mb.conv(x=x, weight=second.astype(np.float32), pad_type="same"), name="y")

    return build


@pytest.fixture
def opened(evaluate) -> Callable[..., MLProgram]:
    """Save a network and open it: `opened(first=…, half=True)`."""

    def save(half: bool = False, **changes: Any) -> MLProgram:
        return MLProgram.open(evaluate.save(_network(**changes), X, half=half))

    return save


def _diff(a: MLProgram, b: MLProgram, tolerance: float | None = None) -> ProgramDiff:
    return compare(a, b, X, X, tolerance)


def test_a_program_differs_from_itself_nowhere(opened) -> None:
    program = opened()
    found = _diff(program, program)
    assert found.agree
    assert [item.a.type for item in found.operations] == ["conv", "relu", "conv", "sigmoid"]
    # Both are computed side by side, and BLAS need not sum in one order twice; sums have 36 products.
    assert all(item.difference.relative < 72 * 2.0**-23 for item in (*found.operations, *found.outputs))
    assert not found.parameters
    assert not found.only_a + found.only_b


def test_half_precision_differs_by_rounding_and_casts_only(opened) -> None:
    found = _diff(opened(), opened(half=True))
    assert found.agree
    assert {operation.type for operation in found.only_b} == {"cast"}
    assert any(item.difference.max_abs > 0 for item in found.operations)
    assert found.parameters  # the weights, rounded
    assert not any(found.changed(item) for item in found.parameters)


def test_a_changed_weight_is_named_with_the_first_operation_that_parts(opened) -> None:
    changed = SECOND.copy()
    changed[1, 2, 0, 1] += 0.25
    a, b = opened(), opened(second=changed)
    found = _diff(a, b)
    assert not found.agree
    assert found.first is not None
    assert found.first.a is [op for op in a.function.block.operations if op.type == "conv"][1]
    (parameter,) = found.parameters
    assert (parameter.operation, parameter.parameter) == (found.first.a, "weight")
    assert parameter.difference is not None
    assert parameter.difference.max_abs == pytest.approx(0.25)


def test_an_operation_more_is_found_and_the_renumbered_rest_still_corresponds(opened) -> None:
    found = _diff(opened(), opened(twice=True))
    assert [operation.type for operation in found.only_b] == ["add"]
    assert [item.a.type for item in found.operations] == ["conv", "relu", "conv", "sigmoid"]
    assert found.first is not None
    assert found.first.a.type == "conv"


def test_equal_names_of_other_operations_do_not_misalign(evaluate) -> None:
    """The second program's first convolution bears the name of the first program's second."""

    def build(*names: str) -> Callable[..., Any]:
        def program(mb: Any, x: Any) -> Any:
            for name in names:
                x = mb.relu(x=mb.conv(x=x, weight=np.eye(3, dtype=np.float32)[:, :, None, None], name=name))
            return mb.sigmoid(x=x, name="y")

        return program

    a, b = (MLProgram.open(evaluate.save(build(*names), X)) for names in (("p", "q"), ("q", "r")))
    pairs = align(computing(a.function.block), computing(b.function.block))
    assert [(x.name, y.name) for x, y in pairs if x.type == "conv"] == [("p", "q"), ("q", "r")]


def test_a_loop_is_compared_by_its_results(evaluate) -> None:
    def build(step: float) -> Callable[..., Any]:
        def program(mb: Any, x: Any) -> Any:
            return mb.while_loop(
                _cond=lambda i, y: mb.less(x=i, y=np.float32(3)),
                _body=lambda i, y: (mb.add(x=i, y=np.float32(1)), mb.add(x=y, y=np.float32(step))),
                loop_vars=(np.float32(0), x),
            )[1]

        return program

    a, b = (MLProgram.open(evaluate.save(build(step), X)) for step in (1.0, 1.5))
    assert _diff(a, a).agree
    found = _diff(a, b)
    assert found.first is not None
    assert found.first.a.type == "while_loop"
    assert found.first.difference.max_abs == pytest.approx(1.5)


def test_programs_of_other_inputs_are_refused(opened, evaluate) -> None:
    other = MLProgram.open(evaluate.save(_network(), {"x": np.zeros((1, 3, 9, 8), np.float32)}))
    with pytest.raises(DofkitError, match=r"x: fp32 \[1, 3, 8, 8\].*x: fp32 \[1, 3, 9, 8\]"):
        _diff(opened(), other)


def test_the_tolerance_decides(opened) -> None:
    assert not _diff(opened(), opened(half=True), tolerance=1e-7).agree


@pytest.mark.parametrize(
    ("a", "b", "max_abs"),
    [
        ([1.0, np.inf, np.nan], [1.5, np.inf, np.nan], 0.5),
        ([np.inf], [np.inf], 0.0),
        ([np.inf], [-np.inf], np.inf),
        ([1.0], [np.nan], np.inf),
        ([], [], 0.0),
        ([1, 2], [1, 5], 3.0),
    ],
)
def test_non_finite_numbers_differ_only_from_others(a: list[float], b: list[float], max_abs: float) -> None:
    assert Difference.between(np.array(a), np.array(b)).max_abs == max_abs


def test_texts_shapes_and_lists_are_compared() -> None:
    assert Difference.between("same", "same").relative == 0
    assert Difference.between("same", "valid").relative == np.inf
    assert Difference.between(np.zeros(3), np.zeros((3, 1))).relative == np.inf
    assert Difference.between([np.ones(2), np.ones(3)], [np.ones(2), 1.5 * np.ones(3)]).relative == 0.5


def test_a_trace_that_is_left_early_leaves_no_thread_behind(opened) -> None:
    before = threading.active_count()
    with closing(Trace(opened(), X)) as trace:
        next(iter(trace))
    assert threading.active_count() == before


def test_an_error_of_the_evaluation_reaches_the_reader_of_the_trace(opened) -> None:
    with pytest.raises(DofkitError, match="needs the input x"), closing(Trace(opened(), {})) as trace:
        list(trace)


@pytest.fixture
def layers(opened) -> Callable[[], tuple[MLProgram, list[Layer], np.ndarray]]:
    """A program and what a network of the same four layers would have given."""

    def make() -> tuple[MLProgram, list[Layer], np.ndarray]:
        program = opened()
        values: list[np.ndarray] = []
        output = program.run(X, watch=lambda operation, name, value: values.append(value.copy())).values["y"]
        titles = [("one", "Conv2d"), ("two", "ReLU"), ("three", "Conv2d"), ("four", "Sigmoid")]
        return program, [Layer(name, kind, value) for (name, kind), value in zip(titles, values, strict=True)], output

    return make


def test_every_layer_is_found_at_its_operation(layers) -> None:
    program, network, output = layers()
    found = compare_layers(program, X, network, output)
    assert found.agree
    types = [layer.operation.type for layer in found.layers if layer.operation is not None]
    assert types == ["conv", "relu", "conv", "sigmoid", "sigmoid"]


def test_a_layer_that_the_program_computes_otherwise_is_the_first_that_parts(layers) -> None:
    program, network, output = layers()
    network[2] = Layer("three", "Conv2d", network[2].value + np.float32(0.5))
    found = compare_layers(program, X, network, output)
    assert found.first is not None
    assert found.first.name == "three"
    assert [layer.finding for layer in found.layers].count(LayerFinding.PARTS) == 1


def test_a_fused_layer_is_no_difference(layers) -> None:
    program, network, output = layers()
    network.insert(0, Layer("zero", "Conv2d", network[0].value * 3, absorbed_by="one"))
    found = compare_layers(program, X, network, output)
    assert found.agree
    assert found.layers[0].finding is LayerFinding.FUSED


def test_one_wrong_pixel_parts_though_a_sample_misses_it(evaluate) -> None:
    """Maps larger than the sample are compared in full once they are found."""
    big = {"x": RNG.random((1, 3, 96, 96), np.float32)}
    program = MLProgram.open(evaluate.save(lambda mb, x: mb.relu(x=x, name="y"), big))
    wrong = big["x"].copy()
    wrong[0, 2, 95, 95] += 0.5
    found = compare_layers(program, big, [Layer("relu", "ReLU", wrong)], big["x"])
    assert found.first is not None
    assert found.first.difference is not None
    assert found.first.difference.max_abs == pytest.approx(0.5)

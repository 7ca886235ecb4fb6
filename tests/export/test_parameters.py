"""Stored weights of layers that are no convolutions: found by their numbers, however a converter turned them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dofkit.export.folded import OtherLayer
from dofkit.export.parameters import StoredConstant, compare_others
from dofkit.export.stored import half_step

RNG = np.random.default_rng(0)
WEIGHT = RNG.standard_normal((6, 4)).astype(np.float32)
BIAS = RNG.standard_normal(6).astype(np.float32)
LINEAR = OtherLayer("head.0", "Linear", {"weight": WEIGHT, "bias": BIAS})
NOISE = [StoredConstant(f"noise{n}", RNG.standard_normal((4, 6)), "fp32", 0.0) for n in range(3)]


def constant(values: NDArray[Any], stored: str = "fp32", step: Any = 0.0) -> StoredConstant:
    return StoredConstant("c", values.astype(np.float64), stored, step)


@pytest.mark.parametrize("stored", [WEIGHT, WEIGHT.T, WEIGHT[None, :, :, None], WEIGHT.T[None]])
def test_a_matrix_is_found_turned_and_among_others(stored: NDArray[Any]) -> None:
    (entry,) = compare_others([LINEAR], [*NOISE, constant(stored), constant(BIAS[None, None])])
    assert (entry.name, entry.parameters, entry.stored, entry.problem, entry.uncompared) == (
        "head.0", 30, "fp32", "", "",
    )  # fmt: skip


def test_channels_that_a_file_splits_into_groups_are_found() -> None:
    (entry,) = compare_others([LINEAR], [constant(WEIGHT), constant(BIAS.reshape(1, 3, 2, 1))])
    assert (entry.problem, entry.uncompared) == ("", "")


def test_one_wrong_number_is_a_problem() -> None:
    wrong = WEIGHT.copy()
    wrong[2, 3] += 1e-3
    (entry,) = compare_others([LINEAR], [constant(wrong.T), constant(BIAS)])
    assert entry.problem == "weight differs in 1 of 24 numbers"
    assert entry.difference == pytest.approx(1e-3, rel=1e-3)


def test_what_stands_nowhere_is_not_compared_and_never_passes() -> None:
    for constants in ([*NOISE, constant(BIAS)], [*NOISE, constant(0 * WEIGHT), constant(BIAS)], [constant(BIAS)]):
        (entry,) = compare_others([LINEAR], constants)
        assert entry.problem == ""
        assert entry.uncompared == "the file stores no tensor like the weight of this Linear"


def test_a_bias_of_zeros_may_be_left_out_but_no_other_one() -> None:
    silent = OtherLayer("head.0", "Linear", {"weight": WEIGHT, "bias": np.zeros(6, np.float32)})
    assert compare_others([silent], [constant(WEIGHT)])[0].uncompared == ""
    assert "bias" in compare_others([LINEAR], [constant(WEIGHT)])[0].uncompared


def test_rounding_of_the_storage_is_granted_and_no_more() -> None:
    half = WEIGHT.astype(np.float16)
    steps = half_step(half.astype(np.float64))
    (entry,) = compare_others([LINEAR], [constant(half, "fp16", steps), constant(BIAS)])
    assert (entry.problem, entry.uncompared, entry.stored) == ("", "", "fp16+fp32")
    (entry,) = compare_others([LINEAR], [constant(half), constant(BIAS)])
    assert entry.problem or entry.uncompared


@pytest.mark.parametrize("flip", [False, True])
def test_a_transposed_convolutions_kernel_is_found_in_the_order_of_another_runtime(flip: bool) -> None:
    kernel = RNG.standard_normal((3, 5, 2, 4)).astype(np.float32)  # [I, O, kh, kw]
    layer = OtherLayer("up", "ConvTranspose2d", {"weight": kernel})
    stored = kernel.transpose(1, 2, 3, 0)
    stored = stored[:, ::-1, ::-1] if flip else stored
    (entry,) = compare_others([layer], [constant(stored)])
    assert (entry.problem, entry.uncompared) == ("", "")


def test_a_sum_that_a_converter_computed_in_half_may_be_off_by_what_its_terms_were_rounded_by() -> None:
    table, places = RNG.standard_normal((5, 2)).astype(np.float32), RNG.integers(0, 5, (12, 12))
    shift = RNG.standard_normal((12, 12, 2)).astype(np.float32)
    whole = table[places] + shift
    layer = OtherLayer("folded_4", "constant", {"folded_4": table}, {"folded_4": whole.astype(np.float64)})
    half = table.astype(np.float16)[places] + shift.astype(np.float16)
    assert (np.abs(half - whole) > half_step(half)).sum() > 20  # rounded once it would be nearer

    def problem(values: NDArray[Any], stored: str) -> str:
        (entry,) = compare_others([layer], [constant(values, stored, half_step(values.astype(np.float64)))])
        assert entry.uncompared == ""
        return entry.problem

    assert problem(half, "fp16") == ""
    assert "differs in" in problem(half, "int8"), "what other storage rounds is rounded once"
    wrong = half.copy()
    wrong[3, 4, 1] += np.float16(0.01)
    assert problem(wrong, "fp16") == "folded_4 differs in 1 of 288 numbers"

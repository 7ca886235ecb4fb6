"""Every operation of the evaluator computes what Apple's own runtime computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("coreai")

from dofkit.runtime_ref.coreai import open_program
from dofkit.runtime_ref.coreai.registry import COREAI

from .programs import OneOperation, apples, ints, noise, save_text, scalar, sizes

X = noise(2, 3, 6, 5)
POSITIVE = noise(2, 3, low=0.1, high=3.0)
UNIT = noise(2, 4, low=-0.9, high=0.9)

LEVELS = np.array([[-128, 3, 5, -7], [127, 0, 1, 2]], np.int8)
# scale, zero point, least value
SCHEME = (np.array(0.013, np.float32), np.array(-7, np.int8), np.array(0.25, np.float32))
PER_ROW = (np.array([0.5, 0.25], np.float32), np.array([3, -2], np.int8), np.array([0.0, 1.0], np.float32))
BLOCKS = (noise(2, 2), np.array([[1, 2], [3, 4]], np.int8), noise(2, 2) + 1)

_UNARY = (
    "abs",
    "cos",
    "cosh",
    "erf",
    "exp",
    "relu",
    "round",
    "sigmoid",
    "silu",
    "sin",
    "sinh",
    "tan",
    "tanh",
    "atan",
    "asinh",
)
_ON_UNIT = ("acos", "asin", "atanh")
_ON_POSITIVE = ("log", "rsqrt", "sqrt")
_BINARY = ("add", "divide", "maximum", "minimum", "mul", "sub", "modulo")
_REDUCTIONS = ("reduce_max", "reduce_mean", "reduce_min", "reduce_product", "reduce_sum")
_COMPARISONS = ("equal", "greater", "not_equal")

CASES = [
    *(OneOperation(name, (noise(2, 3),), "2x3xf32") for name in _UNARY),
    *(OneOperation(name, (UNIT,), "2x4xf32") for name in _ON_UNIT),
    *(OneOperation(name, (POSITIVE,), "2x3xf32") for name in _ON_POSITIVE),
    OneOperation("acosh", (POSITIVE + 1,), "2x3xf32"),
    *(OneOperation(name, (noise(2, 3), noise(2, 3) + 3), "2x3xf32") for name in _BINARY),
    *(OneOperation(f"decomposable.broadcasting_{n}", (noise(2, 3, 1), noise(3, 4) + 3), "2x3x4xf32") for n in _BINARY),
    OneOperation("pow", (POSITIVE, noise(2, 3)), "2x3xf32"),
    OneOperation("floor_divide", (noise(2, 3), POSITIVE), "2x3xf32"),
    *(OneOperation(name, (X, ints(1, 3)), "2x1x6x1xf32") for name in _REDUCTIONS),
    *(OneOperation(name, (np.rint(noise(3, 4)), np.rint(noise(3, 4) + 0.2)), "3x4xi1") for name in _COMPARISONS),
    OneOperation("gelu", (noise(2, 3),), "2x3xf32"),
    OneOperation("softmax", (X, scalar(1)), "2x3x6x5xf32"),
    OneOperation("argmax", (X, scalar(2)), "2x3x1x5xui32"),
    OneOperation("cast", (noise(2, 3) * 4,), "2x3xsi32"),
    OneOperation("cast", (noise(2, 3) * 4,), "2x3xf16"),
    OneOperation("where", (np.array([[True, False, True]]), noise(1, 3), noise(1, 3) + 1), "1x3xf32"),
    OneOperation("reshape", (X, sizes(6, 30)), "6x30xf32"),
    OneOperation("reshape", (X, ints(-1, 15)), "12x15xf32"),
    OneOperation("transpose", (X, sizes(3, 0, 2, 1)), "5x2x6x3xf32"),
    OneOperation("expand_dims", (noise(2, 3), ints(0, -1)), "1x2x3x1xf32"),
    OneOperation("shrink_dims", (noise(1, 2, 3, 1), ints(0, -1)), "2x3xf32"),
    OneOperation("get_shape", (noise(2, 3),), "2xui32"),
    OneOperation("broadcast_to", (noise(3, 1), sizes(2, 3, 4)), "2x3x4xf32"),
    OneOperation("broadcast_in_dims", (noise(2, 1, 4), sizes(3), ints(-2)), "2x3x4xf32"),
    OneOperation("concat", (scalar(1), noise(2, 3), noise(2, 4)), "2x7xf32"),
    OneOperation("split", (noise(2, 7), scalar(3, np.uint32), scalar(1)), ("2x3xf32", "2x3xf32", "2x1xf32")),
    OneOperation("slice", (X, ints(0, -2, 1, 0), ints(2, 9, -1, 5), ints(1, 1, 2, 3)), "2x2x2x2xf32"),
    OneOperation("slice", (noise(5, 4), ints(4, 3), ints(-7, 0), ints(-2, -1)), "3x3xf32"),
    OneOperation("slice_update", (noise(4, 5), ints(1, 0), ints(3, 5), ints(1, 2), noise(2, 3)), "4x5xf32"),
    OneOperation("tile", (noise(2, 3), sizes(2, 3)), "4x9xf32"),
    OneOperation("reverse", (noise(2, 3), ints(1)), "2x3xf32"),
    OneOperation("gather_along_axis", (noise(3, 4), ints(2, 0, 1, 1, 0, 0, 2, 2).reshape(2, 4), scalar(0)), "2x4xf32"),
    OneOperation("gather_nd", (noise(3, 4, 2), ints(2, 1, 0, 3).reshape(2, 2)), "2x2xf32"),
    OneOperation("batch_matmul", (noise(2, 3, 4), noise(2, 4, 5)), "2x3x5xf32"),
    OneOperation("decomposable.broadcasting_batch_matmul", (noise(2, 3, 4), noise(4, 5)), "2x3x5xf32"),
    *(
        OneOperation(
            "pad",
            (noise(2, 4, 5), sizes(0, 1, 2, 1, 3, 0), np.array(0.5, np.float32)),
            "3x7x8xf32",
            {"padding_mode": f"#coreai.padding_mode<{mode}>"},
        )
        for mode in ("constant", "replicate", "reflect", "symmetric", "circular")
    ),
    OneOperation("conv2d", (X, noise(4, 3, 3, 2), sizes(2, 1), sizes(1, 2), scalar(1, np.uint32)), "2x4x2x3xf32"),
    OneOperation("conv2d", (X, noise(6, 1, 3, 3), sizes(1, 1), sizes(1, 1), scalar(3, np.uint32)), "2x6x4x3xf32"),
    OneOperation(
        "conv_transpose2d",
        (X, noise(3, 2, 3, 3), sizes(2, 3), sizes(1, 0), sizes(1, 1), sizes(1, 0), scalar(1, np.uint32)),
        "2x2x12x15xf32",
    ),
    OneOperation("max_pool_2d", (X, sizes(3, 2), sizes(2, 1), sizes(1, 1), np.array(False)), "2x3x2x4xf32"),
    OneOperation("max_pool_2d", (X, sizes(3, 2), sizes(2, 2), sizes(1, 1), np.array(True)), "2x3x3x3xf32"),
    OneOperation("sum_pool_2d", (X, sizes(3, 2), sizes(2, 1), sizes(1, 1)), "2x3x2x4xf32"),
    OneOperation("quantize", (X, *SCHEME, ints(0, 1, 2, 3)), "2x3x6x5xsi8"),
    OneOperation("dequantize", (LEVELS, *SCHEME, ints(0, 1)), "2x4xf32"),
    OneOperation("dequantize", (LEVELS, *PER_ROW, scalar(0)), "2x4xf32"),
    OneOperation("blockwise_shift_scale", (LEVELS, *BLOCKS), "2x4xf32"),
    *(
        OneOperation(
            "interpolate",
            (X, ints(2, 3, 9, 11), np.array([1, 1, 1.5, 2.2], np.float32), np.array([0, 0, 0, 0.1], np.float32)),
            "2x3x9x11xf32",
            {"interpolation_mode": f"#coreai.interpolation_mode<{mode}>"},
        )
        for mode in ("linear", "nearest_neighbor")
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_operation_computes_what_apples_runtime_computes(case: OneOperation, tmp_path: Path) -> None:
    path = save_text(case.text(), tmp_path / "one.aimodel")
    ours, theirs = open_program(path).run(case.inputs).outputs, apples(path, case.inputs)
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert ours[name].shape == value.shape
        np.testing.assert_allclose(ours[name], value, rtol=2e-6, atol=2e-6)


def test_every_operation_says_what_it_computes() -> None:
    assert [name for name, kernels in COREAI.known().items() for k in kernels if not k.function.__doc__] == []

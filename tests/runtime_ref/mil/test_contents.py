"""How weights are stored is told from the package alone, whatever operations it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dofkit.runtime_ref.mil import MLProgram, Package
from dofkit.runtime_ref.mil.contents import (
    find_weights,
    operation_counts,
    size_on_disk,
    storage,
    unknown_operations,
    value_ranges,
)

RNG = np.random.default_rng(2)
X = {"x": np.zeros((16, 32), np.float32)}


def _typed(values: np.ndarray, name: str) -> np.ndarray:
    from coremltools.converters.mil.mil import types

    return values.astype(types.nptype_from_builtin(types.string_to_builtin(name)))


def _plain(mb: Any) -> Any:
    return RNG.standard_normal((16, 32)).astype(np.float32)


def _int4(mb: Any) -> Any:
    return mb.constexpr_blockwise_shift_scale(
        data=_typed(RNG.integers(-8, 8, (16, 32)).astype(np.int8), "int4"), scale=np.ones((16, 2), np.float32)
    )


def _palette(mb: Any) -> Any:
    return mb.constexpr_lut_to_dense(
        indices=_typed(RNG.integers(0, 16, (16, 32)).astype(np.uint8), "uint4"),
        lut=RNG.standard_normal((1, 1, 16, 1)).astype(np.float32),
    )


def _sparse(mb: Any) -> Any:
    mask = np.tile(np.array([1, 0, 0, 0], np.uint8), 128).reshape(16, 32)
    return mb.constexpr_sparse_to_dense(nonzero_data=np.ones(128, np.float32), mask=_typed(mask, "uint1"))


def _packed_palette(mb: Any) -> Any:
    return mb.constexpr_lut_to_dense(
        indices=RNG.integers(0, 256, 16 * 32 * 2 // 8).astype(np.uint8),
        lut=np.array([0, 1, 2, 3], np.float32),
        shape=np.array([16, 32], np.uint32),
    )


@pytest.mark.parametrize(
    ("weight", "target", "stored", "size"),
    [
        (_plain, "iOS17", "fp32", 4 * 512),
        (_int4, "iOS18", "int4 linear", 512 // 2 + 4 * 32),
        (_palette, "iOS18", "4-bit palette", 512 // 2 + 4 * 16),
        (_packed_palette, "iOS17", "2-bit palette", 512 // 4 + 4 * 4),
        (_sparse, "iOS18", "sparse fp32", 4 * 128 + 512 // 8),
    ],
)
def test_a_weight_is_told_by_its_storage(evaluate, weight, target: str, stored: str, size: int) -> None:
    package = Package(evaluate.save(lambda mb, x: mb.add(x=x, y=weight(mb), name="sum"), X, target))
    (row,) = storage(find_weights(package.function()))
    assert (row.stored, row.parameters, row.bytes) == (stored, 512, size)
    assert row.compressed == (stored != "fp32")


def test_ranges_are_those_of_the_decompressed_weight(evaluate) -> None:
    package = Package(evaluate.save(lambda mb, x: mb.add(x=x, y=_palette(mb), name="sum"), X, "iOS18"))
    (weight,) = find_weights(package.function())
    values = MLProgram(package).constant(weight.name)
    limits = value_ranges(package, package.function(), [weight])
    assert limits == {weight.name: (float(values.min()), float(values.max()))}
    assert [operation.type for operation in weight.used_by] == ["add"]


def test_an_unknown_operation_is_listed_and_all_else_is_shown(evaluate) -> None:
    path = evaluate.save(lambda mb, x: mb.add(x=mb.relu(x=x), y=_plain(mb), name="sum"), X)
    rename_operation(path, "relu", "frobnicate")
    function = Package(path).function()
    assert unknown_operations(function) == {"frobnicate"}
    assert operation_counts(function) == {"add": 1, "frobnicate": 1}
    assert find_weights(function)


def test_the_size_is_that_of_all_files(evaluate) -> None:
    path = evaluate.save(lambda mb, x: mb.add(x=x, y=_plain(mb), name="sum"), X, "iOS16")
    assert size_on_disk(path) == sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    assert Package(path).systems == "iOS 16, macOS 13"


def rename_operation(package: Path, old: str, new: str) -> None:
    """Turn operations of one type into another, in place."""
    opened = Package(package)
    for function in opened.spec.mlProgram.functions.values():
        for block in function.block_specializations.values():
            for operation in block.operations:
                if operation.type == old:
                    operation.type = new
    opened.model_file.write_bytes(opened.spec.SerializeToString())

"""The table of operations: nothing in it is unproven, versions follow the operation set's."""

from __future__ import annotations

import pytest

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.mil.registry import MIL


def test_every_operation_is_held_against_an_oracle(oracles: dict[str, dict[str, int]]) -> None:
    files = {"conv", "relu", "reduce_sum", "reshape", "gather", "cond", "resize", "matmul", "constexpr_cast"}
    if not files <= set(oracles):
        pytest.skip("only some of the operations' tests were collected; run pytest tests/runtime_ref/mil")
    assert sorted(set(MIL.known()) - set(oracles)) == []


def test_every_operation_says_what_it_computes() -> None:
    silent = [name for name, versions in MIL.known().items() for v in versions if not v.function.__doc__]
    assert silent == []


def test_an_older_operation_set_gets_the_older_version() -> None:
    old, new = MIL.find("crop_resize", 6), MIL.find("crop_resize", 7)
    assert old is not None
    assert new is not None
    assert "roi" in old.parameters
    assert "boxes" in new.parameters
    assert MIL.find("quantize", 6) is None
    assert MIL.find("quantize", 9) == MIL.find("quantize", 7)


@pytest.mark.parametrize("opset", ["CoreML4", "CoreML10", "iOS17", ""])
def test_an_unknown_operation_set_is_refused(opset: str) -> None:
    with pytest.raises(DofkitError, match="is not known"):
        MIL.number(opset)


def test_the_operation_set_has_at_least_the_operations_of_coremltools(ct) -> None:
    from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

    internal = {"const", "_const_symbolic"}
    theirs = {
        name for name, versions in SSAOpRegistry.core_ops.items() if versions and not name.startswith("complex_")
    } - internal
    assert sorted(theirs - set(MIL.known())) == []

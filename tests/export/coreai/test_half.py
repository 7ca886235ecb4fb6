"""What an fp16 model computes in fp32, by name and by a budget."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("coreai_torch")

from dofkit.export.coreai.half import cast, geometry
from dofkit.export.coreai.quantise import quantise
from dofkit.export.coreai.stored import stored_weights
from dofkit.export.folded import network_weights
from dofkit.export.fp32_budget import FloatPrograms, reach_budget
from dofkit.export.keep_fp32 import KeepFp32
from dofkit.export.stages import StageGraph
from dofkit.runtime_ref.bundle.golden import GoldenArrays
from dofkit.runtime_ref.coreai import Asset, open_program
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.mil import Element, Numerics
from dofkit.runtime_ref.mil.evaluator import FunctionEvaluator
from dofkit.runtime_ref.mil.program import TensorType
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Precision

from ...runtime_ref.coreai.programs import apples

pytestmark = pytest.mark.e2e  # every file here is converted

Model = Callable[[Precision], Path]


def _kept(asset: Model, goal: Path, *patterns: str) -> KeepFp32:
    keep = KeepFp32(patterns)
    quantise(asset(Precision.FP32), goal, Precision.FP16, None, (), keep)
    return keep


def _elements(model: Path) -> dict[str, set[Element]]:
    """Operation type -> the types of its results, without those of constants."""
    found: dict[str, set[Element]] = {}
    for operation in open_program(model).function.block.operations:
        for _, declared in operation.outputs:
            if isinstance(declared, TensorType) and not operation.is_constant:
                found.setdefault(operation.type, set()).add(declared.element)
    return found


def test_operations_are_kept_by_type_and_by_name(asset: Model, tmp_path: Path) -> None:
    keep = _kept(asset, tmp_path / "kept.aimodel", "sigmoid", "conv2d_[1]", "nowhere")
    assert sorted(keep.kept) == ["conv2d_1", "picture"]
    assert keep.unmatched() == ["nowhere"]
    found = _elements(tmp_path / "kept.aimodel")
    assert found["sigmoid"] == {Element.FLOAT32}
    assert found["conv2d"] == {Element.FLOAT16, Element.FLOAT32}
    assert found["pad"] == {Element.FLOAT16}


def test_weights_are_compared_where_only_convolutions_stay_in_fp32(
    asset: Model, network: torch.nn.Module, example: tuple[torch.Tensor, ...], tmp_path: Path
) -> None:
    for pattern in ("conv2d", "broadcasting_add"):
        _kept(asset, tmp_path / "kept.aimodel", pattern)
        entries = stored_weights().compare(network_weights(network, example), tmp_path / "kept.aimodel")
        assert {entry.problem for entry in entries} == {""}


def test_with_everything_kept_it_computes_what_fp32_does(asset: Model, picture: np.ndarray, tmp_path: Path) -> None:
    model, inputs = tmp_path / "all.aimodel", {"image": picture}
    _kept(asset, model, "*")
    assert Element.FLOAT16 not in {element for kinds in _elements(model).values() for element in kinds}
    exact = apples(asset(Precision.FP32), inputs)["picture"]
    np.testing.assert_allclose(apples(model, inputs)["picture"], exact, atol=1e-6)


def test_apples_runtime_and_the_evaluator_agree_on_a_model_of_both_kinds(
    asset: Model, picture: np.ndarray, tmp_path: Path
) -> None:
    model, inputs = tmp_path / "both.aimodel", {"image": picture}
    _kept(asset, model, "conv2d", "interpolate", "invoke")
    theirs = apples(model, inputs)["picture"]
    np.testing.assert_allclose(open_program(model).run(inputs).outputs["picture"], theirs, atol=1e-3)
    exact = apples(asset(Precision.FP32), inputs)["picture"]
    assert 1e-6 < np.abs(theirs - exact).max() < 5e-3


def _programs(float32: Path, scratch: Path) -> FloatPrograms:
    def write(precision: Precision, keep: KeepFp32) -> Asset:
        if precision is Precision.FP32:
            return Asset(float32)
        quantise(float32, scratch / "half.aimodel", precision, None, (), keep)
        return Asset(scratch / "half.aimodel")

    return FloatPrograms(StageGraph(Stage.DEPTH, torch.nn.Identity(), (24, 24)), write, (), cast, geometry)


def test_the_simulation_of_fp16_is_close_to_the_converted_program(
    asset: Model, picture: np.ndarray, tmp_path: Path
) -> None:
    package = Asset(asset(Precision.FP32))
    half = _programs(package.path, tmp_path).in_half(package.function(), ())
    evaluator = FunctionEvaluator(half, package.read_blob, Numerics.TYPED, "test", package.operations)
    (simulated,), _ = evaluator.run({"image": picture})
    converted = open_program(asset(Precision.FP16)).run({"image": picture}).outputs["picture"]
    np.testing.assert_allclose(simulated, converted, atol=1e-3)


@pytest.fixture
def disparity(network: torch.nn.Module, picture: np.ndarray, tmp_path: Path) -> tuple[FloatPrograms, GoldenArrays]:
    """The network under a stage's names, and what PyTorch computes."""
    from dofkit.export.coreai.convert import converted
    from dofkit.export.coreai.tools import save

    path = tmp_path / "float32.aimodel"
    save(converted(network, (torch.from_numpy(picture),), ["image"], ["disparity"], "small"), path)
    with torch.no_grad():
        output = network(torch.from_numpy(picture)).numpy()
    return _programs(path, tmp_path), GoldenArrays({"depth.image": picture, "depth.disparity": output})


def test_a_budget_is_met_with_few_operations(disparity: tuple[FloatPrograms, GoldenArrays]) -> None:
    programs, golden = disparity
    half = open_program(programs.write(Precision.FP16, KeepFp32()).path)
    error = half.run(golden.inputs(Stage.DEPTH)).outputs["disparity"] - golden.output(Stage.DEPTH)
    plain = float(-10 * np.log10(np.mean(error.astype(np.float64) ** 2)))
    assert reach_budget(programs, KeepFp32(), plain - 3, (golden,)) == ()
    kept = reach_budget(programs, KeepFp32(), plain + 6, (golden,))
    every = programs.write(Precision.FP32, KeepFp32()).function().block.operations
    assert 0 < len(kept) < sum(not operation.is_constant for operation in every)


def test_a_budget_out_of_reach_is_refused(disparity: tuple[FloatPrograms, GoldenArrays]) -> None:
    with pytest.raises(DofkitError, match="even if everything is fp32; give a lower budget"):
        reach_budget(disparity[0], KeepFp32(), 300, (disparity[1],))

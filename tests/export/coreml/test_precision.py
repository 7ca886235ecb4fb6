"""What an fp16 model computes in fp32, by name or by a budget; ranges of int8 activations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dofkit.export.coreml.calibration import concatenations_joined
from dofkit.export.coreml.half_programs import cast
from dofkit.export.fp32_budget import FloatPrograms
from dofkit.export.stages import StageGraph
from dofkit.runtime_ref.backends.mil import MilSession
from dofkit.runtime_ref.bundle.golden import GoldenArrays
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.mil import Element, MLProgram
from dofkit.runtime_ref.mil.program import TensorType
from dofkit.runtime_ref.parity.check import metrics
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Precision, Target
from dofkit.train.networks import ARCHITECTURES
from dofkit.train.networks.lens_blur import LensBlurNet

from .conftest import Export

BLUR, UP = Stage.LENS_BLUR, Stage.GUIDED_UPSAMPLING


def _types(program: MLProgram, kind: str) -> set[Element]:
    found = (operation.outputs[0][1] for operation in program.function.block.operations if operation.type == kind)
    return {declared.element for declared in found if isinstance(declared, TensorType)}


def _psnr(export_stages: Export, golden: GoldenArrays, stage: Stage, **options: object) -> tuple[float, int]:
    folder, (entry,) = export_stages(stage, **options)
    output = MilSession(stage, folder / entry.path).run(golden.inputs(stage))
    return metrics.psnr(golden.output(stage), output), len(entry.kept_fp32)


def test_operations_are_kept_in_fp32_by_type_and_by_name(export_stages: Export) -> None:
    folder, (entry,) = export_stages(BLUR, keep_fp32=("sqrt", "blurr?d"))
    program = MLProgram.open(folder / entry.path)
    assert _types(program, "sqrt") == {Element.FLOAT32}
    assert _types(program, "conv") == {Element.FLOAT16}
    assert {"blurred", "root"} <= set(entry.kept_fp32)


def test_a_name_that_is_nowhere_is_refused_with_what_there_is(export_stages: Export) -> None:
    with pytest.raises(
        DofkitError, match=r"--keep-fp32 softmax: no operation .*types: abs, add, avg_pool, clip, concat, conv"
    ) as refusal:
        export_stages(UP, keep_fp32=("softmax",))
    assert "\n" not in str(refusal.value)


@pytest.mark.e2e
def test_a_name_of_one_stage_is_no_error_in_another(export_stages: Export) -> None:
    _, entries = export_stages(UP, BLUR, keep_fp32=("sqrt",))
    assert [len(entry.kept_fp32) for entry in entries] == [0, 2]


@pytest.mark.e2e
def test_a_budget_is_met_with_few_operations_in_fp32(export_stages: Export, golden: GoldenArrays) -> None:
    plain, _ = _psnr(export_stages, golden, UP)
    budget = plain + 6
    reached, kept = _psnr(export_stages, golden, UP, fp32_budget=budget)
    assert reached >= budget
    assert 0 < kept < 15
    assert _psnr(export_stages, golden, UP, fp32_budget=plain - 1) == (plain, 0)


def test_a_budget_out_of_reach_is_refused(export_stages: Export) -> None:
    with pytest.raises(DofkitError, match="even if everything is fp32"):
        export_stages(UP, fp32_budget=400.0)


@pytest.mark.e2e
def test_the_simulation_of_fp16_is_close_to_the_converted_program(export_stages: Export, golden: GoldenArrays) -> None:
    from dofkit.runtime_ref.mil import Numerics
    from dofkit.runtime_ref.mil.evaluator import FunctionEvaluator

    folder, (fp32, fp16) = export_stages(UP, precisions=(Precision.FP32, Precision.FP16))
    package = MLProgram.open(folder / fp32.path).package
    half = FloatPrograms(StageGraph(UP, torch.nn.Identity(), (48, 48)), lambda *_: package, (), cast).in_half(
        package.function(), ()
    )
    evaluator = FunctionEvaluator(half, package.read_blob, Numerics.TYPED, "test")
    (simulated,), _ = evaluator.run(golden.inputs(UP))
    converted = MilSession(UP, folder / fp16.path).run(golden.inputs(UP))
    np.testing.assert_array_equal(simulated, converted)


@pytest.mark.e2e
def test_what_one_concatenation_joins_has_one_range(export_stages: Export) -> None:
    folder, (entry,) = export_stages(BLUR)
    program = MLProgram.open(folder / entry.path)
    (first, *_) = [o for o in program.function.block.walk() if o.type == "concat"]
    joined = [name for name in (*first.inputs["values"], first.name) if isinstance(name, str)]
    ranges = {name: (-float(number), float(number)) for number, name in enumerate(joined)}
    widest = (-float(len(joined) - 1), float(len(joined) - 1))
    found = concatenations_joined(folder / entry.path, ranges | {"elsewhere": (2.0, 3.0)})
    assert {found[name] for name in joined} == {widest}
    assert found["elsewhere"] == (2.0, 3.0)


@pytest.mark.e2e
def test_a_mixed_model_leaves_the_recipes_layers_in_fp16(export_stages: Export, golden: GoldenArrays) -> None:
    class Recipe:
        def kept(self, stage: Stage) -> frozenset[str]:
            return frozenset({"features.0", "shares"})

    _, (whole, mixed) = export_stages(UP, precisions=(Precision.W8A8, Precision.MIXED), recipe=Recipe())
    stored = {layer.name: layer.stored for layer in mixed.layers}
    assert stored["features.0"] == stored["shares"] == "fp16"
    assert stored["features.2"] == "int8"
    assert mixed.kept_float == ("features.0", "shares")
    assert mixed.operators["quantize"] < whole.operators["quantize"]


@pytest.mark.e2e
def test_w8a8_quantises_the_inputs_of_convolutions(export_stages: Export, golden: GoldenArrays) -> None:
    folder, (entry,) = export_stages(UP, precisions=(Precision.W8A8,))
    assert entry.operators["quantize"] >= 4
    assert entry.operators["dequantize"] >= entry.operators["quantize"]
    output = MilSession(UP, folder / entry.path).run(golden.inputs(UP))
    assert math.inf > metrics.psnr(golden.output(UP), output) > 30


@pytest.mark.e2e
def test_a_mixed_model_rounds_no_activation_of_the_layers_it_leaves(export_stages: Export) -> None:
    class EveryLayer:
        def kept(self, stage: Stage) -> frozenset[str]:
            network = LensBlurNet()
            arranged = ARCHITECTURES.contract_of(network).arrange(network, Target.COREML)
            names = {name.rpartition(".")[0] for name in arranged.state_dict()}
            return frozenset(names - {"source.out"})  # computed in parts

    _, (entry,) = export_stages(BLUR, precisions=(Precision.MIXED,), recipe=EveryLayer())
    assert entry.operators.get("quantize", 0) == 0

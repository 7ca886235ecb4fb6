"""What a manifest declares is held against the file before anything is computed or allocated."""

from __future__ import annotations

from pathlib import Path

import pytest

from dofkit.runtime_ref.backends import InProcess, open_session
from dofkit.runtime_ref.backends.file_tensors import DescribedSession, FileTensors
from dofkit.runtime_ref.bundle import Bundle, ModelEntry
from dofkit.runtime_ref.parity.check import (
    PIPELINE,
    CheckOptions,
    Verdict,
    run_parity,
)
from dofkit.runtime_ref.parity.declared import declared_problems
from dofkit.runtime_ref.parity.verdict import STEPS
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Precision, Target

from ...bundled import BUNDLED
from .rows import rows_of


def _declared(bundle: Bundle, target: Target) -> tuple[ModelEntry, FileTensors]:
    model = next(m for m in bundle.models(target, Precision.FP32) if m.stage is Stage.LENS_BLUR)
    session = open_session(bundle, model)
    assert isinstance(session, DescribedSession)
    found = session.tensors()
    assert found is not None
    return model, found


def test_a_package_that_is_not_what_the_manifest_says_is_named(bundle_path: Path) -> None:
    model, found = _declared(Bundle.open(bundle_path), Target.COREML)
    assert declared_problems(model, found) == []
    renamed = model.model_copy(
        update={
            "inputs": (model.inputs[0].model_copy(update={"name": "picture"}), *model.inputs[1:]),
            "operators": {"conv": 1},
        }
    )
    problems = declared_problems(renamed, found)
    assert any("input" in problem for problem in problems)
    assert any("operations" in problem for problem in problems)


@pytest.mark.parametrize("target", BUNDLED)
@pytest.mark.parametrize(
    "change", [{"shape": (1, 3, 10**6, 10**6)}, {"name": "picture"}, {"dtype": "uint8"}, {"shape": (1, 3)}]
)
def test_a_manifest_that_declares_another_tensor_than_the_file_has_is_found(
    bundle_path: Path, target: Target, change: dict[str, object]
) -> None:
    model, found = _declared(Bundle.open(bundle_path), target)
    assert declared_problems(model, found) == []
    for kind in ("inputs", "outputs"):
        first, *others = getattr(model, kind)
        other = model.model_copy(update={kind: (first.model_copy(update=change), *others)})
        problem = declared_problems(other, found)
        assert len(problem) == 1
        assert problem[0].startswith(f"{model.path}: {kind} are ")
        assert "the manifest says" in problem[0]


def test_a_manifest_that_declares_other_shapes_fails_before_anything_is_computed(unsealed: Bundle) -> None:
    models = tuple(
        model.model_copy(
            update={"inputs": tuple(t.model_copy(update={"shape": (1, 3, 10**6, 10**6)}) for t in model.inputs)}
        )
        for model in unsealed.manifest.models
    )
    bundle = Bundle(unsealed.root, unsealed.manifest.model_copy(update={"models": models}))
    report = run_parity(bundle, [(Target.TFLITE, Precision.FP32)], options=CheckOptions(transport=InProcess))
    rows = [row for row in report.results if row.key.scope != STEPS]
    assert [row.verdict for row in rows] == [Verdict.FAIL] * 4
    assert all("the manifest says" in row.reason for row in rows if row.key.scope != PIPELINE)
    assert not any(row.metrics for row in report.results)


def test_a_plan_whose_tiles_the_models_do_not_take_fails_before_it_is_allocated(unsealed: Bundle) -> None:
    plan = unsealed.manifest.plan
    huge = plan.model_copy(update={"lens_blur": plan.lens_blur.model_copy(update={"tile": 10**9})})
    bundle = Bundle(unsealed.root, unsealed.manifest.model_copy(update={"plan": huge}))
    report = run_parity(bundle, [(Target.ONNX, Precision.FP32)], options=CheckOptions(transport=InProcess))
    rows = rows_of(report, Target.ONNX, Precision.FP32)
    assert (rows[STEPS].verdict, rows[PIPELINE].verdict) == (Verdict.FAIL, Verdict.FAIL)
    assert "step 11, the plan's size of tile_blur.image differs" in rows[STEPS].reason
    row = rows[PIPELINE]
    assert "image takes 96×96 pixels, the plan gives 1000000000×1000000000" in row.reason

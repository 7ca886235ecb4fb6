"""Verdicts: what computes the same passes, what does not is named, what cannot run says why."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from dofkit.runtime_ref.backends import Backend, InProcess, Session, open_session
from dofkit.runtime_ref.backends import coreml as core_ml
from dofkit.runtime_ref.backends.coreml import ComputeUnit
from dofkit.runtime_ref.backends.file_tensors import DescribedSession, FileTensors
from dofkit.runtime_ref.backends.mil import MilSession
from dofkit.runtime_ref.backends.registry import backend
from dofkit.runtime_ref.bundle import Bundle, ModelEntry
from dofkit.runtime_ref.bundle.golden import GoldenArrays, read_golden, write_golden
from dofkit.runtime_ref.errors import DofkitError, MissingExtraError
from dofkit.runtime_ref.parity.cases import Picture, compute_case, golden_cases
from dofkit.runtime_ref.parity.check import (
    PIPELINE,
    CheckOptions,
    ParityReport,
    ParityResult,
    Verdict,
    graded,
    run_parity,
)
from dofkit.runtime_ref.parity.declared import declared_problems
from dofkit.runtime_ref.parity.grade import Grade
from dofkit.runtime_ref.parity.tolerance_file import TeamTolerance, TeamTolerances
from dofkit.runtime_ref.parity.tolerances import tolerance
from dofkit.runtime_ref.parity.verdict import RowKey
from dofkit.runtime_ref.pipeline.stage import INPUTS, Stage
from dofkit.runtime_ref.target import Precision, Target

BUNDLED = [target for target in Target if target is not Target.COREAI]  # of the suite's bundle


@pytest.fixture(scope="module")
def report(bundle_path: Path) -> ParityReport:
    return run_parity(Bundle.open(bundle_path))


def _rows(report: ParityReport, target: Target, precision: Precision) -> dict[str, ParityResult]:
    return {r.title: r for r in report.results if (r.target, r.precision) == (target, precision)}


def _decisive(report: ParityReport, target: Target, precision: Precision) -> dict[str, ParityResult]:
    return {scope: row for scope, row in _rows(report, target, precision).items() if row.decisive}


@pytest.mark.parametrize("target", BUNDLED)
def test_fp32_files_compute_what_pytorch_computes(report: ParityReport, target: Target) -> None:
    rows = _decisive(report, target, Precision.FP32)
    assert set(rows) == {*(stage.value for stage in Stage), PIPELINE}
    for row in rows.values():
        assert row.verdict is Verdict.PASS, row
        if row.key.scope != PIPELINE:
            assert row.metrics["max_abs"] <= 1e-4


@pytest.mark.parametrize("target", BUNDLED)
def test_fp16_files_stay_within_55_db(report: ParityReport, target: Target) -> None:
    for row in _decisive(report, target, Precision.FP16).values():
        assert row.verdict is Verdict.PASS, row
        assert row.metrics["psnr"] >= 55


def test_core_ml_is_named_as_a_reference_evaluation_never_as_its_runtime(report: ParityReport) -> None:
    rows = _rows(report, Target.COREML, Precision.FP16)
    assert all("not Core ML" in row.runtime for row in rows.values() if row.decisive)
    assert report.verdict is Verdict.PASS


@pytest.mark.skipif(sys.platform == "darwin", reason="here Core ML itself runs")
def test_off_macos_apples_runtime_is_not_run_and_decides_nothing(report: ParityReport) -> None:
    row = _rows(report, Target.COREML, Precision.FP16)["runtime"]
    assert row.verdict is Verdict.NOT_RUN
    assert "macOS only" in row.reason
    assert not row.decisive


class _StandIn(MilSession):
    """No Mac here: the evaluator stands in for Core ML, one unit of it off by far too much."""

    def __init__(self, stage: Stage, package: Path, function: str | None, unit: ComputeUnit) -> None:
        super().__init__(stage, package, function)
        self.runtime, self._gain = f"stand-in ({unit.title})", 1 / 255 if unit is ComputeUnit.GPU else 1.0

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        return super().run(inputs) * np.float32(self._gain)


@pytest.fixture
def on_a_mac(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_ml, "has_runtime", lambda: True)
    monkeypatch.setattr(core_ml, "CoreMLSession", _StandIn)


@pytest.mark.e2e
@pytest.mark.usefixtures("on_a_mac")
def test_on_a_mac_every_stage_is_compared_on_every_compute_unit(bundle_path: Path) -> None:
    options = CheckOptions(transport=InProcess)
    report = run_parity(Bundle.open(bundle_path), [(Target.COREML, Precision.FP16)], options=options)
    rows = [row for row in report.results if row.key.backend != "mil"]
    assert {row.title for row in rows} == {f"{stage} on {unit.title}" for stage in Stage for unit in ComputeUnit}
    assert {row.key.device for row in rows} == {"cpu", "gpu", "neural engine"}
    for row in rows:
        on_gpu = row.key.device == "gpu"
        assert row.decisive
        assert row.verdict is (Verdict.FAIL if on_gpu else Verdict.PASS), row
        assert (row.metrics["evaluator_psnr"] > 100) is not on_gpu


@pytest.mark.usefixtures("on_a_mac")
def test_on_a_mac_core_ml_obeys_a_teams_tolerances_and_its_failures_are_explained(bundle_path: Path) -> None:
    whole = Bundle.open(bundle_path)
    blur = tuple(model for model in whole.models(Target.COREML, Precision.FP16) if model.stage is Stage.LENS_BLUR)
    bundle = Bundle(whole.root, whole.manifest.model_copy(update={"models": blur}))
    entry = TeamTolerance(backend="coreml-cpu", psnr=199.0, reason="never enough")
    options = CheckOptions(
        transport=InProcess,
        tolerances=TeamTolerances("team.toml", (entry,)),
        backends=(backend("coreml-cpu"), backend("coreml-gpu")),
    )
    report = run_parity(bundle, cases=golden_cases(bundle)[:1], options=options)
    on_cpu, on_gpu = report.results
    assert (on_cpu.title, on_gpu.title) == ("lens_blur on CPU", "lens_blur on GPU")
    assert on_cpu.limits is not None
    assert (on_cpu.limits.psnr, on_cpu.limits.reason) == (199.0, "team.toml: never enough")
    assert on_gpu.limits == tolerance("lens_blur", Precision.FP16, Target.COREML)
    assert on_cpu.verdict is Verdict.FAIL
    assert on_gpu.causes, "a division by 255 is a mistake that can be named"


def test_on_a_mac_core_ml_runs_in_a_process_of_its_own_like_all_others(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core_ml, "has_runtime", lambda: True)
    opened: list[str] = []

    class Recorder(InProcess):
        def open(self, backend: Backend, bundle: Bundle, model: ModelEntry) -> Session:
            opened.append(backend.facts.id)
            raise DofkitError("not here")

    run_parity(Bundle.open(bundle_path), [(Target.COREML, Precision.FP16)], options=CheckOptions(transport=Recorder))
    assert {"coreml-cpu", "coreml-gpu", "coreml-neural-engine", "mil"} == set(opened)


def test_backends_that_are_asked_for_compute_and_no_others(bundle_path: Path) -> None:
    chosen = (backend("onnx-reference"), backend("onnxruntime-unoptimised"))
    options = CheckOptions(backends=chosen, transport=InProcess)
    bundle = Bundle.open(bundle_path)
    report = run_parity(bundle, [(Target.ONNX, Precision.FP32)], golden_cases(bundle)[:1], options)
    titles = ("onnx reference", "graph unoptimised")
    assert [row.title for row in report.results] == [f"{stage}, {title}" for title in titles for stage in Stage]
    assert report.verdict is Verdict.PASS, report
    assert {row.key for row in report.results} == {
        RowKey(stage.value, Target.ONNX, Precision.FP32, one.facts.id, "cpu") for stage in Stage for one in chosen
    }


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
    assert [row.verdict for row in report.results] == [Verdict.FAIL] * 4
    assert all("the manifest says" in row.reason for row in report.results if row.key.scope != PIPELINE)
    assert not any(row.metrics for row in report.results)


def test_a_plan_whose_tiles_the_models_do_not_take_fails_before_it_is_allocated(unsealed: Bundle) -> None:
    plan = unsealed.manifest.plan
    huge = plan.model_copy(update={"lens_blur": plan.lens_blur.model_copy(update={"tile": 10**9})})
    bundle = Bundle(unsealed.root, unsealed.manifest.model_copy(update={"plan": huge}))
    report = run_parity(bundle, [(Target.ONNX, Precision.FP32)], options=CheckOptions(transport=InProcess))
    row = _rows(report, Target.ONNX, Precision.FP32)[PIPELINE]
    assert row.verdict is Verdict.FAIL
    assert "image takes 96×96 pixels, the plan gives 1000000000×1000000000" in row.reason


@pytest.fixture
def unsealed(bundle_path: Path, tmp_path: Path) -> Bundle:
    """A copy whose files a test may exchange; its hashes are not verified again."""
    root = shutil.copytree(bundle_path, tmp_path / "copy.dofbundle")
    return Bundle(root, Bundle.open(root).manifest)


def _change_golden(bundle: Bundle, key: str, change: float) -> None:
    path = bundle.path(bundle.manifest.golden[0].path)
    arrays = read_golden(path)
    write_golden(path, GoldenArrays({**arrays.tensors, key: arrays.tensors[key] + np.float32(change)}))


def test_a_difference_beyond_the_tolerance_fails_and_says_where(unsealed: Bundle) -> None:
    _change_golden(unsealed, "lens_blur.blurred", 2e-4)
    rows = _rows(run_parity(unsealed, [(Target.ONNX, Precision.FP32)]), Target.ONNX, Precision.FP32)
    assert rows["lens_blur"].verdict is Verdict.FAIL
    assert "astronaut" in rows["lens_blur"].reason
    assert "max abs" in rows["lens_blur"].reason
    assert rows["guided_upsampling"].verdict is Verdict.PASS, "a check does not stop at the first failure"


def test_swapped_models_fail(unsealed: Bundle) -> None:
    for target in (Target.ONNX, Target.TFLITE):
        paths = {m.stage: unsealed.path(m.path) for m in unsealed.models(target, Precision.FP32)}
        shutil.copy(paths[Stage.GUIDED_UPSAMPLING], paths[Stage.LENS_BLUR])
        rows = _rows(run_parity(unsealed, [(target, Precision.FP32)]), target, Precision.FP32)
        assert rows["lens_blur"].verdict is Verdict.FAIL
        assert rows[PIPELINE].verdict is Verdict.FAIL
        assert rows["depth"].verdict is Verdict.PASS


def test_a_file_that_no_runtime_reads_fails(unsealed: Bundle) -> None:
    for target in (Target.ONNX, Target.TFLITE):
        model = unsealed.models(target, Precision.FP32)[0]
        unsealed.path(model.path).write_bytes(b"not a model")
        rows = _rows(run_parity(unsealed, [(target, Precision.FP32)]), target, Precision.FP32)
        assert rows[model.stage.value].verdict is Verdict.FAIL
        assert "cannot open" in rows[model.stage.value].reason


def _with(open_it: Callable[[ModelEntry], Session]) -> CheckOptions:
    """Options whose sessions are these, in this process."""

    class Opener(InProcess):
        def open(self, backend: Backend, bundle: Bundle, model: ModelEntry) -> Session:
            del backend, bundle
            return open_it(model)

    return CheckOptions(transport=Opener)


def test_a_missing_runtime_is_not_run_and_names_the_remedy(bundle_path: Path) -> None:
    def missing(_: ModelEntry) -> Session:
        raise MissingExtraError("running needs it; run: pip install 'dofkit[onnx]'")

    report = run_parity(Bundle.open(bundle_path), [(Target.ONNX, Precision.FP32)], options=_with(missing))
    assert report.verdict is Verdict.NOT_RUN
    assert all("pip install" in result.reason for result in report.results)


class _Stub:
    """A session that changes what the file computes."""

    runtime = "stub"

    def __init__(self, session: Session, change: Callable[[np.ndarray], np.ndarray]) -> None:
        self._session, self._change = session, change

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        return self._change(self._session.run(inputs))


def _rows_with(bundle_path: Path, change: Callable[[np.ndarray], np.ndarray]) -> dict[str, ParityResult]:
    bundle = Bundle.open(bundle_path)
    options = _with(lambda model: _Stub(open_session(bundle, model), change))
    return _rows(run_parity(bundle, [(Target.ONNX, Precision.FP32)], options=options), Target.ONNX, Precision.FP32)


def test_an_output_that_is_not_finite_fails(bundle_path: Path) -> None:
    rows = _rows_with(bundle_path, lambda output: np.full_like(output, np.nan))
    assert rows["depth"].verdict is Verdict.FAIL
    assert "NaN" in rows["depth"].reason


def test_an_output_that_depends_on_no_input_fails_even_if_it_is_right(bundle_path: Path) -> None:
    # A converter that folds a whole graph into a constant is right on the picture that it was traced with.
    bundle = Bundle.open(bundle_path)
    case = golden_cases(bundle)[0]

    class Constant:
        runtime = "constant"

        def __init__(self, model: ModelEntry) -> None:
            self._output = case.arrays().output(model.stage)

        def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
            return self._output

    report = run_parity(bundle, [(Target.ONNX, Precision.FP32)], [case], _with(Constant))
    rows = _rows(report, Target.ONNX, Precision.FP32)
    for stage in Stage:
        assert rows[stage].metrics["max_abs"] == 0
        assert rows[stage].verdict is Verdict.FAIL
        for signal in INPUTS[stage]:
            assert f"does not depend on {signal.name}" in rows[stage].reason


def test_a_tint_is_measured(bundle_path: Path) -> None:
    rows = _rows_with(bundle_path, lambda output: output + np.float32(0.01))
    assert rows["lens_blur"].metrics["colour_shift"] == pytest.approx(0.01, rel=0.01)


def test_a_team_may_ask_for_more_or_less(bundle_path: Path) -> None:
    bundle, variants = Bundle.open(bundle_path), [(Target.ONNX, Precision.FP16)]
    limits = run_parity(bundle, variants).results[0].limits
    assert limits is not None
    entry = TeamTolerance(precision=Precision.FP16, scope="depth", psnr=190.0, reason="never enough")
    strict = run_parity(bundle, variants, options=CheckOptions(tolerances=TeamTolerances("team.toml", (entry,))))
    rows = _rows(strict, *variants[0])
    assert rows["depth"].verdict is Verdict.FAIL
    assert rows["lens_blur"].verdict is Verdict.PASS
    assert rows["depth"].limits is not None
    assert "never enough" in rows["depth"].limits.reason


def test_cases_may_be_computed_by_any_sessions(bundle_path: Path, tmp_path: Path, photo: np.ndarray) -> None:
    # Here ONNX is the reference that TFLite is held against, on a picture that the bundle has never seen.
    bundle = Bundle.open(bundle_path)
    sessions = {m.stage: open_session(bundle, m) for m in bundle.models(Target.ONNX, Precision.FP32)}
    picture = Picture("mine", "photo", photo, "")
    case = compute_case(picture, sessions, bundle.manifest.plan, tmp_path / "0.safetensors")
    report = run_parity(bundle, [(Target.TFLITE, Precision.FP32)], [case], CheckOptions(renderings=tmp_path))
    assert report.verdict is Verdict.PASS, report
    assert [rendering.case for rendering in report.renderings] == ["mine"]
    assert report.renderings[0].output.shape == photo.shape


def test_a_pipeline_that_looks_worse_than_was_asked_for_fails_for_that(bundle_path: Path) -> None:
    bundle = Bundle.open(bundle_path)
    tinted = _with(lambda model: _Stub(open_session(bundle, model), lambda output: output + np.float32(0.004)))
    team = TeamTolerances("team.toml", (TeamTolerance(max_abs=1.0, psnr=1.0, reason="anything goes"),))
    options = dataclasses.replace(tinted, tolerances=team, least_grade=Grade.LOSSLESS)
    variant = (Target.ONNX, Precision.FP32)
    row = _rows(run_parity(bundle, [variant], golden_cases(bundle)[:1], options), *variant)[PIPELINE]
    assert row.grade is Grade.GOOD  # one to four times 0.004: 48 to 36 dB
    assert row.verdict is Verdict.FAIL
    assert row.reason == "its pictures are graded good, at least visually lossless was asked for"


def test_a_grade_decides_only_where_one_was_asked_for_and_is_not_reached() -> None:
    row = ParityResult(
        RowKey.by_default(PIPELINE, Target.ONNX, Precision.W4), Verdict.PASS, {"psnr": 40.0, "ssim": 0.98}
    )
    assert graded(row, None) is row
    assert graded(row, Grade.GOOD) is row
    assert graded(row, Grade.LOSSLESS).verdict is Verdict.FAIL
    stage = dataclasses.replace(row, key=RowKey.by_default("depth", Target.ONNX, Precision.W4))
    assert graded(stage, Grade.LOSSLESS) is stage
    failed = dataclasses.replace(row, verdict=Verdict.FAIL, reason="far", failing=("one",))
    assert graded(failed, Grade.LOSSLESS).reason.startswith("far; its pictures are graded good")
    assert graded(failed, Grade.LOSSLESS).failing == (), "no case is what was asked for"


@pytest.mark.parametrize(
    ("verdicts", "overall"),
    [
        ([], Verdict.NOT_RUN),
        ([Verdict.PASS], Verdict.PASS),
        ([Verdict.PASS, Verdict.NOT_RUN], Verdict.NOT_RUN),
        ([Verdict.NOT_RUN, Verdict.FAIL, Verdict.PASS], Verdict.FAIL),
    ],
)
def test_the_overall_verdict_is_the_worst(verdicts: list[Verdict], overall: Verdict) -> None:
    row = ParityResult(RowKey.by_default(PIPELINE, Target.ONNX, Precision.FP32), Verdict.PASS)
    assert ParityReport(tuple(dataclasses.replace(row, verdict=v) for v in verdicts)).verdict is overall


def test_a_damaged_golden_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "0.safetensors"
    path.write_bytes(b"\0" * 100)
    with pytest.raises(DofkitError, match="not a readable safetensors"):
        read_golden(path)

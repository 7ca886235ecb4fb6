"""Verdicts: what computes the same passes, what does not is named, what cannot run says why."""

from __future__ import annotations

import dataclasses
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from dofkit.runtime_ref.backends import Backend, InProcess, Session, backends_for, open_session
from dofkit.runtime_ref.backends.own_process import SessionTimeoutError
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
    run_parity,
)
from dofkit.runtime_ref.parity.grade import Grade
from dofkit.runtime_ref.parity.tolerance_file import TeamTolerance, TeamTolerances
from dofkit.runtime_ref.parity.verdict import STEPS, RowKey, graded
from dofkit.runtime_ref.pipeline.stage import INPUTS, PIPELINE_STAGES, Stage
from dofkit.runtime_ref.target import Precision, Target

from ...bundled import BUNDLED
from .rows import rows_of


@pytest.fixture(scope="module")
def report(bundle_path: Path) -> ParityReport:
    return run_parity(Bundle.open(bundle_path))


def _decisive(report: ParityReport, target: Target, precision: Precision) -> dict[str, ParityResult]:
    rows = rows_of(report, target, precision)
    return {scope: row for scope, row in rows.items() if row.decisive and scope != STEPS}


@pytest.mark.parametrize("target", BUNDLED)
def test_fp32_files_compute_what_pytorch_computes(report: ParityReport, target: Target) -> None:
    rows = _decisive(report, target, Precision.FP32)
    assert set(rows) == {*(stage.value for stage in PIPELINE_STAGES), PIPELINE}
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
    rows = rows_of(report, Target.COREML, Precision.FP16)
    assert all("not Core ML" in row.runtime for row in rows.values() if row.decisive)
    assert report.verdict is Verdict.PASS


@pytest.mark.skipif(sys.platform == "darwin", reason="here Core ML itself runs")
def test_off_macos_apples_runtime_is_not_run_and_decides_nothing(report: ParityReport) -> None:
    row = rows_of(report, Target.COREML, Precision.FP16)["runtime"]
    assert row.verdict is Verdict.NOT_RUN
    assert "macOS only" in row.reason
    assert not row.decisive


@pytest.mark.e2e
def test_backends_that_are_asked_for_compute_and_no_others(bundle_path: Path) -> None:
    chosen = (backend("onnx-reference"), backend("onnxruntime-unoptimised"))
    options = CheckOptions(backends=chosen, transport=InProcess)
    bundle = Bundle.open(bundle_path)
    report = run_parity(bundle, [(Target.ONNX, Precision.FP32)], golden_cases(bundle)[:1], options)
    titles = ("onnx reference", "graph unoptimised")
    assert [row.title for row in report.results] == [
        f"{stage}, {title}" for title in titles for stage in PIPELINE_STAGES
    ]
    assert report.verdict is Verdict.PASS, report
    assert {row.key for row in report.results} == {
        RowKey(stage.value, Target.ONNX, Precision.FP32, one.facts.id, "cpu")
        for stage in PIPELINE_STAGES
        for one in chosen
    }


def _change_golden(bundle: Bundle, key: str, change: float) -> None:
    path = bundle.path(bundle.manifest.golden[0].path)
    arrays = read_golden(path)
    write_golden(path, GoldenArrays({**arrays.tensors, key: arrays.tensors[key] + np.float32(change)}))


def test_a_difference_beyond_the_tolerance_fails_and_says_where(unsealed: Bundle) -> None:
    _change_golden(unsealed, "lens_blur.blurred", 2e-4)
    rows = rows_of(run_parity(unsealed, [(Target.ONNX, Precision.FP32)]), Target.ONNX, Precision.FP32)
    assert rows["lens_blur"].verdict is Verdict.FAIL
    assert "astronaut" in rows["lens_blur"].reason
    assert "max abs" in rows["lens_blur"].reason
    assert rows["guided_upsampling"].verdict is Verdict.PASS, "a check does not stop at the first failure"


def test_swapped_models_fail(unsealed: Bundle) -> None:
    for target in (Target.ONNX, Target.TFLITE):
        paths = {m.stage: unsealed.path(m.path) for m in unsealed.models(target, Precision.FP32)}
        shutil.copy(paths[Stage.GUIDED_UPSAMPLING], paths[Stage.LENS_BLUR])
        rows = rows_of(run_parity(unsealed, [(target, Precision.FP32)]), target, Precision.FP32)
        assert rows["lens_blur"].verdict is Verdict.FAIL
        assert rows[PIPELINE].verdict is Verdict.FAIL
        assert rows["depth"].verdict is Verdict.PASS


def test_a_file_that_no_runtime_reads_fails(unsealed: Bundle) -> None:
    for target in (Target.ONNX, Target.TFLITE):
        model = unsealed.models(target, Precision.FP32)[0]
        unsealed.path(model.path).write_bytes(b"not a model")
        rows = rows_of(run_parity(unsealed, [(target, Precision.FP32)]), target, Precision.FP32)
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
    assert all("pip install" in result.reason for result in report.results if result.key.scope != STEPS)


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
    return rows_of(run_parity(bundle, [(Target.ONNX, Precision.FP32)], options=options), Target.ONNX, Precision.FP32)


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
    rows = rows_of(report, Target.ONNX, Precision.FP32)
    for stage in PIPELINE_STAGES:
        assert rows[stage].metrics["max_abs"] == 0
        assert rows[stage].verdict is Verdict.FAIL
        for signal in INPUTS[stage]:
            assert f"does not depend on {signal.name}" in rows[stage].reason


def test_what_a_file_depends_on_is_asked_of_an_evaluator_where_the_runtime_keeps_to_one_core(bundle_path: Path) -> None:
    onnx = Bundle.open(bundle_path)
    models = [model for model in onnx.models(Target.ONNX, Precision.FP32) if model.stage is Stage.GUIDED_UPSAMPLING]
    of_coreai = tuple(model.model_copy(update={"target": Target.COREAI}) for model in models)
    ours = Bundle(onnx.root, onnx.manifest.model_copy(update={"models": of_coreai}))
    runs: list[str] = []

    class Counting(InProcess):
        def open(self, backend: Backend, bundle: Bundle, model: ModelEntry) -> Session:
            def noted(output: np.ndarray) -> np.ndarray:
                runs.append(backend.facts.id)
                return output

            return _Stub(open_session(onnx, models[0]), noted)

    def rows_asked(*ids: str, bundle: Bundle = ours, count: int = 1) -> list[str]:
        runs.clear()
        options = CheckOptions(backends=tuple(map(backend, ids)), transport=Counting)
        report = run_parity(bundle, [(Target.COREAI, Precision.FP32)], golden_cases(onnx)[:count], options)
        assert report.verdict is Verdict.PASS, report
        assert report.results[0].metrics["input_effect"] > 0
        return runs

    changed = len(INPUTS[Stage.GUIDED_UPSAMPLING])
    assert rows_asked("coreai", "coreai-reference") == ["coreai", *["coreai-reference"] * (1 + changed)]
    assert rows_asked("coreai") == ["coreai"] * (1 + changed)
    network = onnx.manifest.networks[Stage.GUIDED_UPSAMPLING].model_copy(update={"configuration": {"source": "theirs"}})
    brought = ours.manifest.model_copy(update={"networks": {Stage.GUIDED_UPSAMPLING: network}})
    both = rows_asked("coreai", "coreai-reference", bundle=Bundle(onnx.root, brought), count=2)
    assert (runs.count("coreai"), len(both)) == (1, 1 + 2 + changed), "one may be too large for it to be asked twice"


@pytest.mark.parametrize(
    ("target", "verdict", "remedy"),
    [(Target.COREAI, Verdict.NOT_RUN, "; .*=1800 gives it three times as long"), (Target.ONNX, Verdict.FAIL, "")],
)
def test_out_of_time_is_a_failure_of_what_apps_run_and_no_verdict_of_a_runtime_that_is_slow_by_nature(
    bundle_path: Path, target: Target, verdict: Verdict, remedy: str
) -> None:
    onnx = Bundle.open(bundle_path)
    model = onnx.models(Target.ONNX, Precision.FP32)[0].model_copy(update={"target": target})
    bundle = Bundle(onnx.root, onnx.manifest.model_copy(update={"models": (model,)}))

    class Endless(InProcess):
        def open(self, backend: Backend, bundle: Bundle, model: ModelEntry) -> Session:
            raise SessionTimeoutError("opening it took more than 600 s and was stopped")

    options = CheckOptions(backends=backends_for(target)[:1], transport=Endless)
    row = run_parity(bundle, [(target, Precision.FP32)], golden_cases(onnx)[:1], options).results[0]
    assert row.verdict is verdict
    assert row.decisive
    assert re.fullmatch(f"opening it took more than 600 s and was stopped{remedy}", row.reason)


@pytest.mark.e2e
def test_a_tint_is_measured(bundle_path: Path) -> None:
    rows = _rows_with(bundle_path, lambda output: output + np.float32(0.01))
    assert rows["lens_blur"].metrics["colour_shift"] == pytest.approx(0.01, rel=0.01)


def test_a_team_may_ask_for_more_or_less(bundle_path: Path) -> None:
    bundle, variants = Bundle.open(bundle_path), [(Target.ONNX, Precision.FP16)]
    entry = TeamTolerance(precision=Precision.FP16, scope="depth", psnr=190.0, reason="never enough")
    strict = run_parity(bundle, variants, options=CheckOptions(tolerances=TeamTolerances("team.toml", (entry,))))
    rows = rows_of(strict, *variants[0])
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
    tinted = _with(lambda model: _Stub(open_session(bundle, model), lambda output: output + np.float32(0.008)))
    team = TeamTolerances("team.toml", (TeamTolerance(max_abs=1.0, psnr=1.0, reason="anything goes"),))
    options = dataclasses.replace(tinted, tolerances=team, least_grade=Grade.LOSSLESS)
    variant = (Target.ONNX, Precision.FP32)
    row = rows_of(run_parity(bundle, [variant], golden_cases(bundle)[:1], options), *variant)[PIPELINE]
    assert row.grade is Grade.GOOD  # 0.008 is 42 dB
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

"""Verdicts: what computes the same passes, what does not is named, what cannot run says why."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from dofkit.runtime_ref.backends import Session, open_session
from dofkit.runtime_ref.backends.coreml import ComputeUnit
from dofkit.runtime_ref.backends.mil import MilSession
from dofkit.runtime_ref.backends.opinions import Opinion
from dofkit.runtime_ref.bundle import Bundle, ModelEntry
from dofkit.runtime_ref.bundle.golden import GoldenArrays, read_golden, write_golden
from dofkit.runtime_ref.errors import DofkitError, MissingExtraError
from dofkit.runtime_ref.parity import core_ml
from dofkit.runtime_ref.parity.cases import Picture, compute_case, golden_cases
from dofkit.runtime_ref.parity.check import PIPELINE, CheckOptions, ParityReport, ParityResult, Verdict, run_parity
from dofkit.runtime_ref.parity.tolerance_file import TeamTolerance, TeamTolerances
from dofkit.runtime_ref.pipeline.stage import INPUTS, Stage
from dofkit.runtime_ref.target import Precision, Target


@pytest.fixture(scope="module")
def report(bundle_path: Path) -> ParityReport:
    return run_parity(Bundle.open(bundle_path))


def _rows(report: ParityReport, target: Target, precision: Precision) -> dict[str, ParityResult]:
    return {r.scope: r for r in report.results if (r.target, r.precision) == (target, precision)}


def _decisive(report: ParityReport, target: Target, precision: Precision) -> dict[str, ParityResult]:
    return {scope: row for scope, row in _rows(report, target, precision).items() if row.decisive}


@pytest.mark.parametrize("target", list(Target))
def test_fp32_files_compute_what_pytorch_computes(report: ParityReport, target: Target) -> None:
    rows = _decisive(report, target, Precision.FP32)
    assert set(rows) == {*(stage.value for stage in Stage), PIPELINE}
    for row in rows.values():
        assert row.verdict is Verdict.PASS, row
        if row.scope != PIPELINE:
            assert row.metrics["max_abs"] <= 1e-4


@pytest.mark.parametrize("target", list(Target))
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


def test_on_a_mac_every_stage_is_compared_on_every_compute_unit(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No Mac here: the evaluator stands in for Core ML, one unit of it off by far too much.
    class StandIn(MilSession):
        def __init__(self, stage: Stage, package: Path, function: str | None, unit: ComputeUnit) -> None:
            super().__init__(stage, package, function)
            self.runtime, self._gain = f"stand-in ({unit.title})", 0.5 if unit is ComputeUnit.GPU else 1.0

        def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
            return super().run(inputs) * np.float32(self._gain)

    monkeypatch.setattr(core_ml, "has_runtime", lambda: True)
    monkeypatch.setattr(core_ml, "CoreMLSession", StandIn)
    bundle = Bundle.open(bundle_path)
    golden = [read_golden(bundle.path(case.path)) for case in bundle.manifest.golden]
    rows = core_ml.core_ml_rows(bundle, Precision.FP16, golden)
    assert {row.scope for row in rows} == {f"{stage} on {unit.title}" for stage in Stage for unit in ComputeUnit}
    for row in rows:
        on_gpu = row.scope.endswith("GPU")
        assert row.decisive
        assert row.verdict is (Verdict.FAIL if on_gpu else Verdict.PASS), row
        assert (row.metrics["evaluator_psnr"] > 100) is not on_gpu


def test_a_package_that_is_not_what_the_manifest_says_is_named(bundle_path: Path) -> None:
    bundle = Bundle.open(bundle_path)
    model = bundle.models(Target.COREML, Precision.FP32)[0]
    assert core_ml.core_ml_problems(bundle, model) == []
    renamed = model.model_copy(
        update={"inputs": (model.inputs[0].model_copy(update={"name": "picture"}),), "operators": {"conv": 1}}
    )
    problems = core_ml.core_ml_problems(bundle, renamed)
    assert any("input" in problem for problem in problems)
    assert any("operations" in problem for problem in problems)


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
    """A options whose sessions are these, in this process."""

    class Opener:
        def session(self, model: ModelEntry, opinion: Opinion | None = None) -> Session:
            del opinion
            return open_it(model)

    return CheckOptions(sessions=lambda _: nullcontext(Opener()))


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
    row = ParityResult(Target.ONNX, Precision.FP32, PIPELINE, Verdict.PASS)
    assert ParityReport(tuple(dataclasses.replace(row, verdict=v) for v in verdicts)).verdict is overall


def test_a_damaged_golden_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "0.safetensors"
    path.write_bytes(b"\0" * 100)
    with pytest.raises(DofkitError, match="not a readable safetensors"):
        read_golden(path)

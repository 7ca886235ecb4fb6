"""Core ML's own rows, where there is a Mac: they obey team tolerances, isolation and diagnosis like all others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from dofkit.runtime_ref.backends import Backend, InProcess, Session
from dofkit.runtime_ref.backends import coreml as core_ml
from dofkit.runtime_ref.backends.coreml import ComputeUnit
from dofkit.runtime_ref.backends.mil import MilSession
from dofkit.runtime_ref.backends.registry import backend
from dofkit.runtime_ref.bundle import Bundle, ModelEntry
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.parity.cases import golden_cases
from dofkit.runtime_ref.parity.check import (
    CheckOptions,
    Verdict,
    run_parity,
)
from dofkit.runtime_ref.parity.tolerance_file import TeamTolerance, TeamTolerances
from dofkit.runtime_ref.parity.tolerances import tolerance
from dofkit.runtime_ref.pipeline.stage import PIPELINE_STAGES, Stage
from dofkit.runtime_ref.target import Precision, Target


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
    rows = [row for row in report.results if row.key.backend not in ("mil", "")]
    assert {row.title for row in rows} == {
        f"{stage} on {unit.title}" for stage in PIPELINE_STAGES for unit in ComputeUnit
    }
    assert {row.key.device for row in rows} == {"cpu", "gpu", "neural engine"}
    for row in rows:
        on_gpu = row.key.device == "gpu"
        assert row.decisive
        assert row.verdict is (Verdict.FAIL if on_gpu else Verdict.PASS), row
        assert (row.metrics["evaluator_psnr"] > 100) is not on_gpu


@pytest.mark.e2e
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

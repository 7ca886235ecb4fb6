"""The emulator itself, where it is installed: results of ARM kernels, and what the stages cost in instructions.

Instructions do not depend on the machine or its load: a change of more than 3 % is one of the files or the runtime.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dofkit.devices.arm64 import guest, installation
from dofkit.devices.arm64.backend import Emulation, backend
from dofkit.devices.arm64.emulation import CORTEX_A76
from dofkit.runtime_ref.bundle import Bundle
from dofkit.runtime_ref.bundle.golden import GoldenArrays, read_golden
from dofkit.runtime_ref.cache import cache_folder
from dofkit.runtime_ref.parity.cases import golden_cases
from dofkit.runtime_ref.parity.check import CheckOptions, Verdict, run_parity
from dofkit.runtime_ref.pipeline.stage import PIPELINE_STAGES, Stage
from dofkit.runtime_ref.target import Precision, Target

pytestmark = pytest.mark.e2e
USERS = cache_folder()  # where the user's installation lies; tests have a cache of their own
RECORDED = Path(__file__).with_name("instructions.json")
CLOSE = 0.03  # totals repeat within 0.0003 %; the rest is for releases of compilers and of Python


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOFKIT_CACHE", str(USERS))
    if (absent := installation.missing_counter()) is not None:
        pytest.skip(str(absent))


@pytest.fixture
def emulation() -> Iterator[Emulation]:
    opened = Emulation(CORTEX_A76)
    yield opened
    opened.stop()


def _golden(bundle: Bundle) -> GoldenArrays:
    return read_golden(bundle.path(bundle.manifest.golden[0].path))


def _instructions(emulation: Emulation, bundle: Bundle, target: Target, runtime: str) -> dict[Stage, int]:
    golden, inside = _golden(bundle), guest.backend(runtime)
    return {
        model.stage: emulation.counted(inside, bundle, model).of(golden.inputs(model.stage))
        for model in bundle.models(target, Precision.FP32)
    }


@pytest.mark.slow
def test_arm_kernels_compute_what_pytorch_computed(installed: None, bundle_path: Path) -> None:
    bundle, asked = Bundle.open(bundle_path), (backend("litert-arm64"),)
    options = CheckOptions(backends=asked)
    report = run_parity(bundle, [(Target.TFLITE, Precision.FP32)], golden_cases(bundle)[:1], options)
    assert {row.key.scope for row in report.results} == {stage.value for stage in PIPELINE_STAGES}
    for row in report.results:
        assert row.verdict is Verdict.PASS, row.reason
        assert row.metrics["psnr"] >= 120
        assert row.runtime.endswith("for ARM, emulated Cortex-A76 by QEMU")


def test_litert_takes_the_recorded_instructions_for_every_stage(
    installed: None, bundle_path: Path, emulation: Emulation
) -> None:
    recorded = json.loads(RECORDED.read_text())
    found = _instructions(emulation, Bundle.open(bundle_path), Target.TFLITE, "litert")
    for stage, count in found.items():
        assert count == pytest.approx(recorded[stage.value], rel=CLOSE), (
            f"{stage} takes {count:,} instructions; if that is meant, write it into {RECORDED.name}"
        )


@pytest.mark.slow
def test_onnx_runtime_takes_no_fewer_instructions_for_any_stage(
    installed: None, bundle_path: Path, emulation: Emulation
) -> None:
    recorded = json.loads(RECORDED.read_text())
    found = _instructions(emulation, Bundle.open(bundle_path), Target.ONNX, "onnxruntime")
    assert {stage: count for stage, count in found.items() if count < recorded[stage.value]} == {}

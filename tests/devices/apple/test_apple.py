"""Core ML's plan and times as coremltools hands them over, and what a machine says that has no Core ML."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dofkit.devices.apple import backend as apple
from dofkit.devices.apple.backend import TEAM, AppleSession, backend, connected, iphone, mac
from dofkit.devices.apple.plan import places, summary
from dofkit.devices.bench import bench_bundle
from dofkit.runtime_ref.backends import BackendUnavailableError
from dofkit.runtime_ref.bundle import Bundle
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.parity.cases import golden_cases
from dofkit.runtime_ref.parity.check import CheckOptions, Verdict, run_parity
from dofkit.runtime_ref.pipeline.session import SelfTimedSession
from dofkit.runtime_ref.target import Precision, Target

from ...runtime_ref.bundle.small_bundle import model, write_bundle

compute_plan = pytest.importorskip("coremltools.models.compute_plan")
compute_device = pytest.importorskip("coremltools.models.compute_device")
elsewhere = pytest.mark.skipif(sys.platform == "darwin", reason="this machine has Core ML")


def unit(kind: str) -> Any:
    """A compute device of coremltools' own class, without a proxy of Core ML's."""
    return object.__new__(getattr(compute_device, f"ML{kind}ComputeDevice"))


CPU, ENGINE = unit("CPU"), unit("NeuralEngine")
# operator, unit, weight: how Core ML plans a small program; constants have no unit.
RECORDED: list[tuple[str, Any, float | None]] = [
    ("ios17.const", None, None),
    ("ios17.conv", ENGINE, 0.7),
    ("ios17.relu", ENGINE, 0.1),
    ("ios17.gather", CPU, 0.2),
]


@dataclass
class RecordedPlan:
    """What coremltools' MLComputePlan answers, of a program of coremltools' own structure classes."""

    rows: list[tuple[str, Any, float | None]] = field(default_factory=lambda: RECORDED)

    def __post_init__(self) -> None:
        operations = [
            compute_plan.MLModelStructureProgramOperation(
                inputs={}, operator_name=name, outputs=[], blocks=[], __proxy__=None
            )
            for name, _, _ in self.rows
        ]
        block = compute_plan.MLModelStructureProgramBlock(inputs=[], operations=operations, output_names=[])
        function = compute_plan.MLModelStructureProgramFunction(inputs=[], block=block)
        program = compute_plan.MLModelStructureProgram(functions={"main": function})
        self.model_structure = compute_plan.MLModelStructure(neuralnetwork=None, program=program, pipeline=None)
        self._rows = {id(one): row for one, row in zip(operations, self.rows, strict=True)}

    def get_compute_device_usage_for_mlprogram_operation(self, operation: Any) -> Any:
        _, device, _ = self._rows[id(operation)]
        return None if device is None else compute_plan.MLComputePlanDeviceUsage(device, [CPU, device])

    def get_estimated_cost_for_mlprogram_operation(self, operation: Any) -> Any:
        _, _, weight = self._rows[id(operation)]
        return None if weight is None else compute_plan.MLComputePlanCost(weight)


def test_a_plan_says_which_operations_run_on_which_unit() -> None:
    found = places(RecordedPlan())
    assert [(one.kind, one.preferred) for one in found] == [
        ("conv", "Neural Engine"), ("relu", "Neural Engine"), ("gather", "CPU")
    ]  # fmt: skip
    assert found[0].supported == ("CPU", "Neural Engine")
    assert summary(found) == "2 of 3 operations on the Neural Engine (80% of the cost), 1 on the CPU (gather)"


def test_a_plan_that_is_none_says_so() -> None:
    assert summary(places(RecordedPlan(), "another function")) == "no compute plan"
    assert summary(places(RecordedPlan([]))) == "no compute plan"


class Wrapper:
    """coremltools' asynchronous model: doubles its image, in 2.5 ms by its own clock."""

    last_predict_duration_in_nano_seconds: int | None = None

    async def predict(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.last_predict_duration_in_nano_seconds = 2_500_000
        return {"disparity": inputs["image"] * 2}

    async def retrieve_compute_plan(self) -> RecordedPlan:
        return RecordedPlan()


class Gone(Wrapper):
    async def predict(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        raise RuntimeError("The connection to the device was lost")

    async def retrieve_compute_plan(self) -> RecordedPlan:
        raise RuntimeError("needs iOS 17.4")


def session_over(wrapper: Wrapper) -> AppleSession:
    return AppleSession(wrapper, asyncio.new_event_loop(), model("depth", "coreml")["entry"], "Core ML on a phone")


def test_a_session_computes_and_takes_core_mls_own_time() -> None:
    session = session_over(Wrapper())
    assert isinstance(session, SelfTimedSession)
    output, elapsed = session.run_timed({"image": np.ones((1, 3, 8, 8), np.float32)})
    assert (float(output.max()), elapsed) == (2.0, 2.5)
    assert "2 of 3 operations on the Neural Engine" in session.runtime


def test_a_phone_that_goes_away_is_said_in_its_words() -> None:
    session = session_over(Gone())
    assert session.runtime.endswith("no compute plan (needs iOS 17.4)")
    with pytest.raises(DofkitError, match=r"The connection to the device was lost; check the phone"):
        session.run({"image": np.ones((1, 3, 8, 8), np.float32)})


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_bundle(tmp_path / "b.dofbundle", [model("depth", "coreml", package={"Data/a": b"x"})], [])


@elsewhere
@pytest.mark.parametrize(("device", "words"), [(mac(""), "exists on macOS only"), (iphone(""), "a Mac with Xcode")])
def test_elsewhere_it_is_not_run_with_the_remedy(bundle: Bundle, device: Any, words: str) -> None:
    for one in device.backends:
        reason = one.available()
        assert reason is not None
        assert words in str(reason)
        with pytest.raises(BackendUnavailableError, match=words):
            one.open(bundle, bundle.models()[0])


@elsewhere
@pytest.mark.e2e
def test_check_says_not_run_and_bench_says_why(bundle: Bundle) -> None:
    backends = mac("").backends[:1]
    report = run_parity(
        bundle, [(Target.COREML, Precision.FP32)], golden_cases(bundle), CheckOptions(backends=backends)
    )
    assert [one.verdict for one in report.results] == [Verdict.NOT_RUN]
    (row,) = bench_bundle(bundle.root, backends=backends).results
    assert "exists on macOS only" in row.error


@pytest.mark.parametrize("device", [mac(""), iphone(""), iphone("Anna’s iPhone")])
def test_a_backend_is_made_again_from_its_origin(device: Any) -> None:
    for one in device.backends:
        assert backend(one.origin.id, **one.origin.settings) == one


@dataclass
class FakePhone:
    name: str
    udid: str = "00008110"
    os_version: str = "26.1"


def test_of_several_phones_one_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    library = pytest.importorskip("coremltools.models.ml_program.experimental.remote_device")
    phones = [FakePhone("one"), FakePhone("two")]
    monkeypatch.setattr(library.Device, "get_connected_devices", staticmethod(lambda kind: phones))
    assert connected("two") is phones[1]
    with pytest.raises(BackendUnavailableError, match=r"connected \(one, two\); name one: iphone:NAME"):
        connected("*")
    assert iphone("two").backends[0].machine().system == "iOS 26.1"  # pyright: ignore[reportAttributeAccessIssue]


def test_an_app_is_not_signed_without_a_team(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TEAM, raising=False)
    with pytest.raises(BackendUnavailableError, match=TEAM):
        asyncio.run(apple._prepared("*"))


def test_this_mac_has_one_name() -> None:
    with pytest.raises(DofkitError, match="called mac, not mac:x"):
        mac("x")

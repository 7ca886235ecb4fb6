"""The emulated ARM device without its emulator: names, versions, command lines, marks, and what it says it lacks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dofkit
from dofkit.devices.arm64 import emulation, guest, installation
from dofkit.devices.arm64.backend import EmulatedSession, backend, last_run, pins
from dofkit.devices.device import Device
from dofkit.devices.registry import device
from dofkit.runtime_ref.backends import BACKENDS, Arithmetic, BackendUnavailableError
from dofkit.runtime_ref.backends.transport import InProcess
from dofkit.runtime_ref.bundle import Bundle
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.parity.check import CheckOptions, Verdict, run_parity
from dofkit.runtime_ref.parity.tolerances import tolerance
from dofkit.runtime_ref.pipeline.session import CountedSession, SelfTimedSession
from dofkit.runtime_ref.target import Precision, Target

CONSTRAINTS = Path(__file__).parents[3] / "constraints.txt"  # of the repository: what is installed has none


def test_the_emulated_system_gets_the_versions_that_this_one_is_tested_with() -> None:
    tested = dict(re.findall(r"^([\w.-]+)==([\w.]+)", CONSTRAINTS.read_text(), re.MULTILINE))
    pinned = pins()
    assert {"ai-edge-litert", "onnxruntime", "numpy"} <= pinned.keys()
    assert {name: tested[name] for name in pinned} == pinned


def test_every_device_s_backends_have_names_of_their_own_and_other_processes_make_them() -> None:
    every: list[Device] = [device(name) for name in ("arm64", "arm64:i8mm", "browser")]
    backends = [*BACKENDS, *(one for each in every for one in each.backends)]
    assert len({one.facts.id for one in backends}) == len(backends)
    for one in every[0].backends + every[1].backends:
        assert one.origin.module == "dofkit.devices.arm64.backend"
        assert backend(one.origin.id) is one


def test_forced_half_floats_are_held_to_their_own_limits() -> None:
    assert {one.facts.id: one.facts.arithmetic for one in device("arm64").backends} == {
        "onnx-arm64": Arithmetic.STORED,
        "litert-arm64": Arithmetic.STORED,
        "litert-arm64-fp16": Arithmetic.FP16,
    }


def test_an_arm_core_s_depth_in_half_floats_has_the_limit_that_was_measured_there_and_nothing_else_has() -> None:
    def least(scope: str, precision: Precision, **facts: Any) -> float | None:
        return tolerance(scope, precision, Target.TFLITE, **facts).psnr

    forced = {"arithmetic": Arithmetic.FP16, "half_sums": True}
    assert least("depth", Precision.FP32, **forced) == least("depth", Precision.FP16, half_sums=True) == 52
    assert least("depth", Precision.FP16) == least("lens_blur", Precision.FP16, half_sums=True) == 55
    assert least("depth", Precision.W8A8, half_sums=True) == least("depth", Precision.W8A8)
    assert all(one.facts.half_sums for name in ("arm64", "arm64:i8mm") for one in device(name).backends)
    assert not any(one.facts.half_sums for one in BACKENDS)


def test_a_core_that_is_not_emulated_is_refused() -> None:
    with pytest.raises(DofkitError, match="no ARM core is called 'm1'; there are arm64"):
        device("arm64:m1")
    with pytest.raises(DofkitError, match="there are onnx-arm64, litert-arm64"):
        backend("onnx")


def test_where_nothing_is_installed_check_says_not_run_with_the_command(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOFKIT_CACHE", str(tmp_path))
    bundle, chosen = Bundle.open(bundle_path), (backend("onnx-arm64"),)
    report = run_parity(bundle, [(Target.ONNX, Precision.FP32)], [], CheckOptions(backends=chosen, transport=InProcess))
    assert report.verdict is Verdict.NOT_RUN
    assert all(row.reason.endswith("run: dofkit doctor --install arm64") for row in report.results)
    assert "QEMU 10" in report.results[0].reason
    assert chosen[0].version() == ""


def test_instructions_are_those_between_the_last_two_marks() -> None:
    assert last_run("100\n1000\n1010\n1350\n") == 340


class _Emulated:
    runtime = "ONNX Runtime 9"

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        return inputs["image"]


def test_an_emulated_session_counts_and_does_not_pretend_to_know_the_time() -> None:
    def no_counter():
        raise BackendUnavailableError("instructions cannot be counted here yet")

    session = EmulatedSession(_Emulated(), emulation.CORTEX_A76, no_counter)  # pyright: ignore[reportArgumentType]
    assert session.runtime == "ONNX Runtime 9 for ARM, emulated Cortex-A76 by QEMU"
    assert isinstance(session, CountedSession)
    assert not isinstance(session, SelfTimedSession)
    with pytest.raises(BackendUnavailableError, match="cannot be counted"):
        session.instructions({})


def test_a_run_in_the_emulated_system_is_marked_on_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    class Inner(_Emulated):
        def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
            seen.append("run")
            return super().run(inputs)

    monkeypatch.setattr("os.getppid", lambda: seen.append("mark") or 1)
    picture = np.ones((1, 3, 2, 2), np.float32)
    assert guest.MarkedSession(Inner()).run({"image": picture}) is picture
    assert seen == ["mark", "run", "mark"]


def test_the_guest_finds_its_own_packages_and_dofkit_and_nothing_of_this_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOFKIT_CACHE", str(tmp_path))
    command = emulation.emulated(emulation.MATRIX)
    assert command[0] == str(tmp_path / "arm64" / "emulator" / "usr" / "bin" / "qemu-aarch64")
    assert command[command.index("-cpu") + 1] == "max,sme=off"
    assert command[-2:] == [str(installation.packages()), str(Path(dofkit.__file__).resolve().parent)]
    left_behind = {command[at + 1] for at, word in enumerate(command) if word == "-U"}
    assert {"LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONPATH"} <= left_behind
    counted = emulation.counted(emulation.CORTEX_A76, tmp_path / "marks")
    assert counted[counted.index("-plugin") + 1] == f"{installation.plugin()},out={tmp_path / 'marks'}"


@pytest.mark.parametrize(("system", "machine"), [("darwin", "arm64"), ("linux", "aarch64"), ("win32", "AMD64")])
def test_other_machines_are_refused_in_a_line(system: str, machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    with pytest.raises(DofkitError, match="on Linux x86-64 only"):
        installation.install_arm64(lambda line: None)


def test_a_linux_without_debian_s_tools_is_told_where_to_run_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("shutil.which", lambda tool: None)
    with pytest.raises(DofkitError, match="needs apt-get and dpkg-deb; run this on Debian"):
        installation.install_arm64(lambda line: None)

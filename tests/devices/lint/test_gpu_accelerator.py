"""LiteRT's GPU accelerator beside the rules: what it refuses or dies of is a finding, where it is absent is a line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from dofkit.devices.lint import gpu_accelerator
from dofkit.devices.lint.gpu_accelerator import GpuAccelerator
from dofkit.devices.software_vulkan import software_vulkan
from dofkit.runtime_ref.backends import Backend, BackendUnavailableError
from dofkit.runtime_ref.backends.own_process import OwnProcess, ProcessSession, SessionCrashError
from dofkit.runtime_ref.bundle import Bundle, ModelEntry
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.target import Target

from ...runtime_ref.bundle.small_bundle import model, write_bundle
from .small_files import Tflite


class Refusing(OwnProcess):
    """Opens nothing, and says why."""

    def __init__(
        self, error: DofkitError, asked: list[object], timeout: float, environment: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(timeout)
        self._error, self._asked, self._environment = error, asked, environment

    def open(self, backend: Backend, bundle: Bundle, model: ModelEntry) -> ProcessSession:
        self._asked.append(self._environment)
        raise self._error


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_bundle(tmp_path / "b.dofbundle", [model("depth", "tflite")], [])


def said(bundle: Bundle, error: DofkitError, asked: list[object]) -> tuple[list[str], str]:
    """The problems, twice asked, and why there are none."""
    accelerator = GpuAccelerator(lambda **more: Refusing(error, asked, **more))
    (entry,) = bundle.models()
    problems = [*accelerator.problems(bundle, entry), *accelerator.problems(bundle, entry)]
    return [one.message for one in problems], accelerator.absent


def test_what_it_refuses_is_named_without_the_files_path(bundle: Bundle) -> None:
    path = bundle.path(bundle.models()[0].path)
    error = DofkitError(f"LiteRT's GPU accelerator does not take {path}: GATHER_ND is not supported")
    messages, absent = said(bundle, error, [])
    assert messages == ["LiteRT's GPU accelerator does not take the file: GATHER_ND is not supported"] * 2
    assert absent == ""


def test_a_file_that_it_dies_of_is_a_finding(bundle: Bundle) -> None:
    messages, _ = said(bundle, SessionCrashError("the runtime's process died with SIGSEGV"), [])
    assert "does not survive the file" in messages[0]


def test_where_there_is_no_gpu_one_in_software_is_asked_and_then_nothing_more(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = BackendUnavailableError("no GPU adapter was found; install one")
    monkeypatch.setattr(gpu_accelerator, "software_vulkan", lambda: {"VK_DRIVER_FILES": "x.json"})
    asked: list[object] = []
    assert said(bundle, error, asked) == ([], "no GPU adapter was found; install one")
    assert asked == [None, {"VK_DRIVER_FILES": "x.json"}]
    monkeypatch.setattr(gpu_accelerator, "software_vulkan", lambda: None)
    asked.clear()
    assert said(bundle, error, asked)[1] == "no GPU adapter was found; install one"
    assert asked == [None]


def test_the_driver_beside_the_browser_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "chrome"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("DOFKIT_CHROMIUM", str(program))
    assert software_vulkan() is None
    (tmp_path / "vk_swiftshader_icd.json").write_text("{}")
    found = software_vulkan()
    assert found is not None
    assert found["VK_DRIVER_FILES"] == str(tmp_path / "vk_swiftshader_icd.json")
    assert found["LD_LIBRARY_PATH"].split(":")[0] == str(tmp_path)


@pytest.mark.e2e
def test_the_real_accelerator_refuses_a_file_with_an_operation_that_it_does_not_take(tmp_path: Path) -> None:
    import numpy as np

    made = Tflite().add("GATHER_ND", (1, 16, 16, 4), np.array([[0]], np.int32))
    content = made.write(tmp_path / "a.tflite").read_bytes()
    bundle = write_bundle(tmp_path / "b.dofbundle", [model("depth", "tflite", content=content)], [])
    accelerator = GpuAccelerator()
    try:
        problems = list(accelerator.problems(bundle, bundle.models(Target.TFLITE)[0]))
    finally:
        accelerator.stop()
    if accelerator.absent:
        pytest.skip(accelerator.absent)
    (problem,) = problems
    assert "does not take the file" in problem.message

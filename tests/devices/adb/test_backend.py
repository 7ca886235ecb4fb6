"""Stages on a device over the real adb server: results, times, fallbacks, and rows of bench and check."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dofkit.devices.adb.backend import PhoneBackend, PhoneSession, device
from dofkit.devices.adb.tools import Delegate
from dofkit.devices.bench import bench_bundle
from dofkit.devices.registry import DeviceSettings
from dofkit.devices.registry import device as registered
from dofkit.runtime_ref.backends.latency import TimeBudget
from dofkit.runtime_ref.bundle import Bundle, TensorEntry
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.parity.cases import golden_cases
from dofkit.runtime_ref.parity.check import CheckOptions, Verdict, run_parity
from dofkit.runtime_ref.pipeline.session import SelfTimedSession
from dofkit.runtime_ref.target import Precision, Target

from ...runtime_ref.bundle.small_bundle import model, write_bundle
from .fake_device import FakeDevice, Files, benchmark_model, program, run_model

Plugged = Callable[..., FakeDevice]


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """Depth for TFLite and ONNX, whose "disparity" has three channels, as its golden zeros have."""
    tflite = model("depth", "tflite")
    shape = {"shape": (1, 8, 8, 3), "layout": "NHWC"}

    def last(tensors: tuple[TensorEntry, ...]) -> tuple[TensorEntry, ...]:
        return tuple(tensor.model_copy(update=shape) for tensor in tensors)

    entry = tflite["entry"]
    tflite["entry"] = entry.model_copy(update={"inputs": last(entry.inputs), "outputs": last(entry.outputs)})
    return write_bundle(tmp_path / "b.dofbundle", [tflite, model("depth", "onnx")], [])


def opened(bundle: Bundle, serial: str, tool: Path, delegate: Delegate = Delegate.CPU, **more: bool) -> PhoneSession:
    (one,) = device(serial, [tool], [delegate], strict=more.get("strict", True)).backends
    assert isinstance(one, PhoneBackend)
    return one.open(bundle, bundle.models(Target.TFLITE)[0])


@pytest.mark.e2e
def test_a_stage_is_computed_there_in_the_files_own_layout(plugged: Plugged, bundle: Bundle, tool: Path) -> None:
    session = opened(bundle, plugged().serial, tool)
    image = np.random.default_rng(0).random((1, 3, 8, 8), np.float32)
    output = session.run({"image": image})
    np.testing.assert_array_equal(output, image * np.array([1, 2, 3], np.float32)[None, :, None, None])


@pytest.mark.e2e
def test_the_device_takes_the_time_and_its_first_inference_comes_first(
    plugged: Plugged, bundle: Bundle, tool: Path
) -> None:
    session = opened(bundle, plugged().serial, tool)
    assert isinstance(session, SelfTimedSession)
    inputs = {"image": np.zeros((1, 3, 8, 8), np.float32)}
    assert [session.run_timed(inputs)[1] for _ in range(3)] == [9.0, 2.0, 2.0]


@pytest.mark.e2e
def test_nothing_but_the_tool_and_the_model_stays_and_they_are_sent_once(
    plugged: Plugged, bundle: Bundle, tool: Path
) -> None:
    phone = plugged()
    opened(bundle, phone.serial, tool).run({"image": np.zeros((1, 3, 8, 8), np.float32)})
    assert sorted(path.rpartition("-")[2] for path in phone.files) == ["model.tflite", "tool"]
    phone.room = 800  # enough for an input, not for the tool
    opened(bundle, phone.serial, tool).run({"image": np.zeros((1, 3, 8, 8), np.float32)})


def _half(flags: dict[str, str], files: Files) -> tuple[int, str]:
    code, text = benchmark_model(flags, files)
    return code, "INFO: Replacing 30 out of 64 node(s) with delegate (TfLiteGpuDelegateV2) node, yielding 9\n" + text


def _declined(flags: dict[str, str], files: Files) -> tuple[int, str]:
    code, text = benchmark_model(flags, files)
    return (
        code,
        "Though GPU delegate is explicitly applied, the model graph will not be executed by the delegate.\n" + text,
    )


def _refused(flags: dict[str, str], files: Files) -> tuple[int, str]:
    assert flags["require_full_delegation"] == "true"
    return 1, "ERROR: Disallowed CPU fallback detected.\n"


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (_half, "it took 30 of 64 operations"),
        (_declined, "will not be executed"),
        (_refused, "ended with 1 .ERROR: Dis"),
    ],
)
def test_a_delegate_that_fell_back_is_refused(
    plugged: Plugged, bundle: Bundle, tool: Path, behaviour: Callable[..., tuple[int, str]], words: str
) -> None:
    session = opened(bundle, plugged(tool=behaviour).serial, tool, Delegate.GPU)
    with pytest.raises(DofkitError, match=words):
        session.run({"image": np.zeros((1, 3, 8, 8), np.float32)})


@pytest.mark.e2e
def test_a_fallback_that_is_allowed_computes(plugged: Plugged, bundle: Bundle, tool: Path) -> None:
    session = opened(bundle, plugged(tool=_half).serial, tool, Delegate.GPU, strict=False)
    assert session.run({"image": np.ones((1, 3, 8, 8), np.float32)}).max() == 3


def _without_output(flags: dict[str, str], files: Files) -> tuple[int, str]:
    code, text = benchmark_model(flags, files)
    files[flags["output_filepath"]] = b"short"
    return code, text


@pytest.mark.e2e
def test_an_output_of_another_size_is_refused(plugged: Plugged, bundle: Bundle, tool: Path) -> None:
    session = opened(bundle, plugged(tool=_without_output).serial, tool)
    with pytest.raises(DofkitError, match="wrote 5 bytes of output, disparity has 768"):
        session.run({"image": np.zeros((1, 3, 8, 8), np.float32)})


@pytest.mark.e2e
def test_a_bench_has_the_phones_times_results_and_state(plugged: Plugged, bundle: Bundle, tool: Path) -> None:
    phone = device(plugged().serial, [tool], [], strict=True)
    report = bench_bundle(bundle.root, backends=phone.backends, budget=TimeBudget(runs=5, seconds=0.1))
    (row,) = report.results
    assert row.error == ""
    assert row.machine is not None
    assert row.machine.processor == "Maker Model 9 (Chip)"
    assert (row.before.celsius, row.after.clock_mhz) == (36.5, 2400)
    (stage,) = row.stages
    assert (stage.first, stage.p50, stage.runs) == (9.0, 2.0, 5)
    assert stage.parity is not None
    assert stage.parity.max_abs == 0


@pytest.mark.e2e
def test_a_device_that_disappears_is_a_row_with_what_it_said_last(plugged: Plugged, bundle: Bundle, tool: Path) -> None:
    phone = device(plugged(vanishes="--graph").serial, [tool], [], strict=True)
    options = CheckOptions(backends=phone.backends)
    report = run_parity(bundle, [(Target.TFLITE, Precision.FP32)], golden_cases(bundle), options)
    (result,) = report.results
    assert result.verdict is Verdict.FAIL
    assert "went away while running" in result.reason
    assert "it said last: ERROR: out of memory" in result.reason
    (row,) = bench_bundle(bundle.root, backends=phone.backends).results
    assert "adb lists no device" in row.error or "is offline" in row.error


@pytest.mark.e2e
def test_a_tool_that_writes_no_outputs_is_not_run_by_check(plugged: Plugged, bundle: Bundle, tmp_path: Path) -> None:
    path = program(tmp_path / "onnxruntime_perf_test")
    phone = device(plugged().serial, [path], [], strict=True)
    options = CheckOptions(backends=phone.backends)
    report = run_parity(bundle, [(Target.ONNX, Precision.FP32)], golden_cases(bundle), options)
    (result,) = report.results
    assert result.verdict is Verdict.NOT_RUN
    assert "writes no outputs" in result.reason


@pytest.mark.e2e
def test_run_model_computes_from_and_to_folders_with_its_libraries_beside_it(
    plugged: Plugged, bundle: Bundle, tmp_path: Path
) -> None:
    tool = program(tmp_path / "run_model", "input_dir", "output_dir")
    library = program(tmp_path / "libLiteRtDispatch_Vendor.so")
    phone = plugged(tool=run_model)
    (one,) = device(phone.serial, [tool, library], [Delegate.NPU], strict=True).backends
    session = one.open(bundle, bundle.models(Target.TFLITE)[0])
    assert isinstance(session, PhoneSession)
    image = np.random.default_rng(0).random((1, 3, 8, 8), np.float32)
    output, first = session.run_timed({"image": image})
    np.testing.assert_array_equal(output, image * np.array([1, 2, 3], np.float32)[None, :, None, None])
    assert (first, session.run_timed({"image": image})[1]) == (9.0, pytest.approx(1.9995)), "without the first run"
    command = next(one for one in phone.commands if "--graph" in one)
    assert "--accelerator=npu " in command
    (folder,) = {path.rpartition("/")[0] for path in phone.files if path.endswith("/libLiteRtDispatch_Vendor.so")}
    assert f"LD_LIBRARY_PATH={folder} " in command
    assert f"--dispatch_library_dir={folder}" in command
    assert not any(path.endswith(".raw") for path in phone.files)


def test_two_tools_for_the_same_files_are_refused(tool: Path, tmp_path: Path) -> None:
    with pytest.raises(DofkitError, match="benchmark_model and run_model run the same files; give one of them"):
        registered("adb:x", DeviceSettings((tool, program(tmp_path / "run_model"))))


def test_a_device_without_a_tool_says_which_are_meant(tmp_path: Path) -> None:
    with pytest.raises(DofkitError, match="give --device-binary PATH"):
        registered("adb:x")
    with pytest.raises(DofkitError, match="no such file"):
        registered("adb:x", DeviceSettings((tmp_path / "benchmark_model",)))


def test_a_delegate_that_no_tool_has_is_refused(tmp_path: Path) -> None:
    path = program(tmp_path / "onnxruntime_perf_test")
    with pytest.raises(DofkitError, match="gpu: none of the tools computes on that; they do on cpu, nnapi, npu"):
        registered("adb:x", DeviceSettings((path,), ("gpu",)))


def test_a_phones_backend_is_made_again_from_its_origin(tool: Path) -> None:
    from dofkit.devices.adb.backend import backend

    (one,) = device("x", [tool], [Delegate.NNAPI], strict=False).backends
    assert backend(one.origin.id, **one.origin.settings) == one

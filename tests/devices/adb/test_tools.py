"""What the tools are told and what their words mean, from texts of the form that they print."""

from __future__ import annotations

import pytest

from dofkit.devices.adb.phone import parsed_state
from dofkit.devices.adb.tools import BenchmarkModel, Delegate, PerfTest, ToolJob, tool_named
from dofkit.runtime_ref.bundle import ModelEntry
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.target import Target

from ...runtime_ref.bundle.small_bundle import model

# Of the tools of 2021 (no median), and of later ones.
OLD = """INFO: Replacing 60 out of 64 node(s) with delegate (TfLiteGpuDelegateV2) node, yielding 3 partitions.
count=1 curr=3512391
count=50 first=2990275 curr=2913402 min=2727568 max=3189954 avg=2.95034e+06 std=109798
Inference timings in us: Init: 17187, First inference: 3512391, Warmup (avg): 3.51239e+06, Inference (avg): 2.95034e+06
"""
NEW = OLD.replace("std=109798", "std=109798 p5=2800000 median=2910000 p95=3100000")
PERF = """Session creation time cost: 0.0213 s
First inference time cost: 14 ms
Total inference time cost: 0.102 s
Total inference requests: 10
Average inference time cost: 10.2 ms
Min Latency: 0.0098 s
P50 Latency: 0.0101 s
P90 Latency: 0.0112 s
"""


def job(delegate: Delegate, strict: bool = True) -> ToolJob:
    entry: ModelEntry = model("lens_blur", "tflite")["entry"]
    inputs = {tensor.name: f"/d/{tensor.name}" for tensor in entry.inputs}
    return ToolJob("/d/tool", "/d/graph", inputs, "/d/out", entry, delegate, strict, threads=3)


def test_times_are_microseconds_and_the_median_is_taken_where_it_is_told() -> None:
    assert BenchmarkModel().times(OLD).typical == pytest.approx(2950.34)
    assert BenchmarkModel().times(NEW).typical == pytest.approx(2910)
    assert BenchmarkModel().times(NEW).first == pytest.approx(3512.391)
    assert BenchmarkModel().times(NEW).delegated == (60, 64)


def test_the_perf_test_tells_seconds_and_milliseconds() -> None:
    times = PerfTest().times(PERF)
    assert (times.first, times.typical) == (14, pytest.approx(10.1))
    assert PerfTest().times("Average inference time cost: 10.2 ms").typical == pytest.approx(10.2)


@pytest.mark.parametrize("tool", [BenchmarkModel(), PerfTest()])
def test_words_without_times_are_quoted(tool: BenchmarkModel | PerfTest) -> None:
    with pytest.raises(DofkitError, match=r"tells no times .Segmentation fault.; try the tool there by hand"):
        tool.times("INFO: STARTING!\nSegmentation fault\n\n")


def test_every_input_has_its_shape_and_its_file() -> None:
    command = BenchmarkModel().command(job(Delegate.CPU))
    assert "--input_layer=image,defocus" in command
    assert "--input_layer_shape=1,3,8,8:1,3,8,8" in command
    assert "--input_layer_value_files=image:/d/image,defocus:/d/defocus" in command
    assert "--num_threads=3" in command
    assert "--use_xnnpack=true" in command


@pytest.mark.parametrize(("delegate", "flag"), [(Delegate.GPU, "--use_gpu=true"), (Delegate.NNAPI, "--use_nnapi=true")])
def test_a_delegate_must_take_the_whole_model_unless_fallback_is_allowed(delegate: Delegate, flag: str) -> None:
    assert {flag, "--require_full_delegation=true"} <= set(BenchmarkModel().command(job(delegate)))
    assert "--require_full_delegation=true" not in BenchmarkModel().command(job(delegate, strict=False))
    assert "--require_full_delegation=true" not in BenchmarkModel().command(job(Delegate.CPU))


def test_the_perf_test_refuses_a_fallback_by_its_sessions_option() -> None:
    assert "session.disable_cpu_ep_fallback|1" in PerfTest().command(job(Delegate.NNAPI))
    assert "session.disable_cpu_ep_fallback|1" not in PerfTest().command(job(Delegate.NNAPI, strict=False))


def test_a_tool_is_known_by_its_files_name() -> None:
    assert tool_named("android_aarch64_benchmark_model_plus_flex").target is Target.TFLITE
    assert tool_named("onnxruntime_perf_test").target is Target.ONNX
    with pytest.raises(DofkitError, match="my_tool: is no tool that is known by its name"):
        tool_named("my_tool")


def test_the_skins_temperature_counts_as_the_hardware_says_it_now() -> None:
    text = (
        "Thermal Status: 0\nCached temperatures:\n Temperature{mValue=99.0, mType=3, mName=skin, mStatus=0}\n"
        "Current temperatures from HAL:\n Temperature{mValue=71.5, mType=0, mName=CPU0, mStatus=0}\n"
        " Temperature{mValue=33.4, mType=3, mName=skin, mStatus=0}\nCurrent cooling devices from HAL:\n"
    )
    assert parsed_state(text).celsius == 33.4
    assert parsed_state("nothing").celsius is None

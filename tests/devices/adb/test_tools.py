"""What the tools are told and what their words mean, from texts of the form that they print."""

from __future__ import annotations

from pathlib import Path

import pytest

from dofkit.devices.adb.known_tools import tool_at
from dofkit.devices.adb.litert_tools import BenchmarkModel, LiteRTBenchmark, RunModel
from dofkit.devices.adb.onnx_tools import PerfTest
from dofkit.devices.adb.phone import parsed_state
from dofkit.devices.adb.tools import Delegate, Tool, ToolJob
from dofkit.runtime_ref.bundle import ModelEntry
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.target import Target

from ...runtime_ref.bundle.small_bundle import model
from .fake_device import program

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

LITERT = """INFO: [litert/tools/benchmark_litert_model.h:75]
========== BENCHMARK RESULTS ==========
INFO: [litert/tools/benchmark_litert_model.h:76] Model initialization: 45.32 ms
INFO: [litert/tools/benchmark_litert_model.h:77] Warmup (first):       120.45 ms
INFO: [litert/tools/benchmark_litert_model.h:79] Warmup (avg):         98.76 ms (3 runs)
INFO: [litert/tools/benchmark_litert_model.h:81] Inference (avg):      85.23 ms (10 runs)
"""
RUN = """First run took 120450 microseconds
Slowest run took 120450 microseconds
Fastest run took 82100 microseconds
All runs took average 85230 microseconds
"""


def job(delegate: Delegate, strict: bool = True, libraries: str = "") -> ToolJob:
    entry: ModelEntry = model("lens_blur", "tflite")["entry"]
    return ToolJob("/d/tool", "/d/graph", "/d/run", entry, delegate, strict, threads=3, libraries=libraries)


def test_times_are_microseconds_and_the_median_is_taken_where_it_is_told() -> None:
    assert BenchmarkModel().times(OLD).typical == pytest.approx(2950.34)
    assert BenchmarkModel().times(NEW).typical == pytest.approx(2910)
    assert BenchmarkModel().times(NEW).first == pytest.approx(3512.391)
    assert BenchmarkModel().times(NEW).delegated == (60, 64)


def test_the_perf_test_tells_seconds_and_milliseconds() -> None:
    times = PerfTest().times(PERF)
    assert (times.first, times.typical) == (14, pytest.approx(10.1))
    assert PerfTest().times("Average inference time cost: 10.2 ms").typical == pytest.approx(10.2)
    assert PerfTest().times("Average inference time cost total: 98.96 ms").typical == pytest.approx(98.96)


def test_litert_tells_milliseconds_and_medians_in_microseconds() -> None:
    times = LiteRTBenchmark().times(LITERT)
    assert (times.first, times.typical) == (120.45, 85.23)
    runs = "count=3 first=120450 curr=1 median=99000\ncount=10 first=1 curr=1 median=84500 p95=1\n"
    assert LiteRTBenchmark().times(runs + LITERT).typical == 84.5


def test_run_models_mean_is_told_without_its_first_run() -> None:
    times = RunModel().times(RUN)
    assert times.first == 120.45
    assert times.typical == pytest.approx((13 * 85.230 - 120.450) / 12)


@pytest.mark.parametrize("tool", [BenchmarkModel(), LiteRTBenchmark(), RunModel(), PerfTest()])
def test_words_without_times_are_quoted(tool: Tool) -> None:
    with pytest.raises(DofkitError, match=r"tells no times .Segmentation fault.; try the tool there by hand"):
        tool.times("INFO: STARTING!\nSegmentation fault\n\n")


def test_every_input_has_its_shape_and_its_file() -> None:
    command = BenchmarkModel().command(job(Delegate.CPU))
    assert "--input_layer=image,defocus" in command
    assert "--input_layer_shape=1,3,8,8:1,3,8,8" in command
    assert "--input_layer_value_files=image:/d/run/in/image.raw,defocus:/d/run/in/defocus.raw" in command
    assert "--output_filepath=/d/run/out/blurred.raw" in command
    assert "--num_threads=3" in command
    assert "--use_xnnpack=true" in command


@pytest.mark.parametrize(("delegate", "flag"), [(Delegate.GPU, "--use_gpu=true"), (Delegate.NNAPI, "--use_nnapi=true")])
def test_a_delegate_must_take_the_whole_model_unless_fallback_is_allowed(delegate: Delegate, flag: str) -> None:
    assert {flag, "--require_full_delegation=true"} <= set(BenchmarkModel().command(job(delegate)))
    assert "--require_full_delegation=true" not in BenchmarkModel().command(job(delegate, strict=False))
    assert "--require_full_delegation=true" not in BenchmarkModel().command(job(Delegate.CPU))


def test_nnapi_may_not_compute_on_its_own_cpu_driver_unless_fallback_is_allowed() -> None:
    assert "--disable_nnapi_cpu=true" in BenchmarkModel().command(job(Delegate.NNAPI))
    assert "--disable_nnapi_cpu=false" in BenchmarkModel().command(job(Delegate.NNAPI, strict=False))
    assert "NNAPI_FLAG_CPU_DISABLED" in PerfTest().command(job(Delegate.NNAPI))
    assert "NNAPI_FLAG_CPU_DISABLED" not in PerfTest().command(job(Delegate.NNAPI, strict=False))


def test_litert_forbids_the_cpu_before_it_asks_a_delegate_for_all() -> None:
    strict = LiteRTBenchmark().command(job(Delegate.GPU))
    assert {"--use_gpu=true", "--use_cpu=false", "--require_full_delegation=true"} <= set(strict)
    assert "--require_full_delegation=true" not in LiteRTBenchmark().command(job(Delegate.CPU))
    assert "--use_cpu=true" in LiteRTBenchmark().command(job(Delegate.GPU, strict=False))
    assert "--dispatch_library_path=/d/lib" in LiteRTBenchmark().command(job(Delegate.NPU, libraries="/d/lib"))


def test_run_model_gets_one_accelerator_or_the_cpu_beside_it() -> None:
    assert "--accelerator=gpu" in RunModel().command(job(Delegate.GPU))
    assert "--accelerator=npu,cpu" in RunModel().command(job(Delegate.NPU, strict=False))
    assert "--accelerator=cpu" in RunModel().command(job(Delegate.CPU, strict=False))
    assert {"--input_dir=/d/run/in", "--output_dir=/d/run/out"} <= set(RunModel().command(job(Delegate.CPU)))
    assert not any("_dir" in word for word in RunModel(gives_outputs=False).command(job(Delegate.CPU)))


def test_the_perf_test_refuses_a_fallback_by_its_sessions_option() -> None:
    assert "session.disable_cpu_ep_fallback|1" in PerfTest().command(job(Delegate.NNAPI))
    assert "session.disable_cpu_ep_fallback|1" not in PerfTest().command(job(Delegate.NNAPI, strict=False))


def test_a_tool_is_known_by_its_name_and_by_the_flags_that_stand_in_it(tmp_path: Path) -> None:
    tflite = program(tmp_path / "android_aarch64_benchmark_model_plus_flex", "input_layer", "output_filepath")
    assert tool_at(tflite) == BenchmarkModel(gives_outputs=True)
    assert tool_at(program(tflite, "input_layer")) == BenchmarkModel(gives_outputs=False)
    assert tool_at(program(tflite, "compiler_plugin_library_path")) == LiteRTBenchmark()
    assert tool_at(program(tmp_path / "run_model", "input_dir", "output_dir")) == RunModel(gives_outputs=True)
    assert tool_at(program(tmp_path / "run_model", "input_dir")) == RunModel(gives_outputs=False)
    assert tool_at(program(tmp_path / "onnxruntime_perf_test")).target is Target.ONNX
    with pytest.raises(DofkitError, match="my_tool: is no tool that is known by its name"):
        tool_at(tmp_path / "my_tool")


def test_the_skins_temperature_counts_as_the_hardware_says_it_now() -> None:
    text = (
        "Thermal Status: 0\nCached temperatures:\n Temperature{mValue=99.0, mType=3, mName=skin, mStatus=0}\n"
        "Current temperatures from HAL:\n Temperature{mValue=71.5, mType=0, mName=CPU0, mStatus=0}\n"
        " Temperature{mValue=33.4, mType=3, mName=skin, mStatus=0}\nCurrent cooling devices from HAL:\n"
    )
    assert parsed_state(text).celsius == 33.4
    assert parsed_state("nothing").celsius is None

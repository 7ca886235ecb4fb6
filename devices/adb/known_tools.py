"""Which tool a file is: by its name, and by the flags that stand in it where two have the same name."""

from __future__ import annotations

from pathlib import Path

from ...runtime_ref.errors import DofkitError
from ...runtime_ref.files import read_file
from .litert_tools import BenchmarkModel, LiteRTBenchmark, RunModel
from .onnx_tools import PerfTest
from .tools import Tool

NAMES = ("benchmark_model", "run_model", "onnxruntime_perf_test")


def tool_at(path: Path) -> Tool:
    """The tool in a file: "android_aarch64_benchmark_model_plus_flex" is TFLite's, unless LiteRT's flags stand in it.

    Raises:
        DofkitError: the name says none, or the file cannot be read.
    """
    found = [name for name in NAMES if name in path.name]
    if len(found) != 1:
        raise DofkitError(f"{path.name}: is no tool that is known by its name; name the file {' or '.join(NAMES)}")
    data = read_file(path)
    match found[0]:
        case "run_model":
            return RunModel(gives_outputs=_has(data, "input_dir", "output_dir"))
        case "onnxruntime_perf_test":
            return PerfTest()
        case _ if _has(data, "compiler_plugin_library_path"):
            return LiteRTBenchmark()
        case _:
            return BenchmarkModel(gives_outputs=_has(data, "output_filepath"))


def _has(program: bytes, *flags: str) -> bool:
    return all(flag.encode() in program for flag in flags)

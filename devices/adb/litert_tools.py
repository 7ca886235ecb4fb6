"""Tools that run TFLite files: TFLite's `benchmark_model`, LiteRT's tool of the same name, and LiteRT's `run_model`.

Their flags and words are those of their sources: tflite/tools/benchmark/benchmark_tflite_model.cc and
benchmark_model.cc, litert/tools/benchmark_litert_model.h, litert/tools/run_model.cc in google-ai-edge/LiteRT.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...runtime_ref.target import Target
from .tools import RUNS, WARM_UP, Delegate, ToolJob, ToolTimes, inputs_of, no_times

_NUMBER = r"([\d.]+(?:e[+-]?\d+)?)"
_RUNS = (
    f"--warmup_runs={WARM_UP}",
    "--warmup_min_secs=0",
    f"--num_runs={RUNS}",
    "--min_secs=0",
)


@dataclass(frozen=True)
class BenchmarkModel:
    """TFLite's `benchmark_model`, of TensorFlow Lite and of LiteRT's folder tflite.

    Attributes:
        gives_outputs: it has the flag `--output_filepath`, which older ones lack.
    """

    gives_outputs: bool = True
    target = Target.TFLITE
    delegates = (Delegate.CPU, Delegate.GPU, Delegate.NNAPI)

    def command(self, job: ToolJob) -> list[str]:
        """See `Tool`."""
        shapes = (",".join(map(str, tensor.shape)) for tensor in job.entry.inputs)
        files = inputs_of(job)
        chosen = {
            Delegate.GPU: ["--use_gpu=true"],
            # Its reference driver computes on the CPU, and counts as a delegate that took everything.
            Delegate.NNAPI: ["--use_nnapi=true", f"--disable_nnapi_cpu={str(job.strict).lower()}"],
        }.get(job.delegate, ["--use_xnnpack=true"])
        strict = ["--require_full_delegation=true"] if job.strict and job.delegate is not Delegate.CPU else []
        values = f"--input_layer_value_files={','.join(f'{name}:{path}' for name, path in files.items())}"
        return [
            job.tool,
            f"--graph={job.graph}",
            f"--num_threads={job.threads}",
            *_RUNS,
            f"--input_layer={','.join(files)}",
            f"--input_layer_shape={':'.join(shapes)}",
            *([values, f"--output_filepath={job.output_path}"] if self.gives_outputs else []),
            *chosen,
            *strict,
        ]

    def times(self, text: str) -> ToolTimes:
        """See `Tool`; all figures are microseconds."""
        found = re.search(rf"First inference: {_NUMBER},.*Inference \(avg\): {_NUMBER}", text)
        if found is None:
            raise no_times("benchmark_model", text)
        taken = re.search(r"Replacing (\d+) out of (\d+) node", text)
        return ToolTimes(
            first=float(found.group(1)) / 1e3,
            typical=(_last_median(text) or float(found.group(2))) / 1e3,
            delegated=(int(taken.group(1)), int(taken.group(2))) if taken else None,
        )


@dataclass(frozen=True)
class LiteRTBenchmark:
    """LiteRT's own `benchmark_model`, by its CompiledModel; it makes inputs of its own and writes no outputs."""

    target = Target.TFLITE
    delegates = (Delegate.CPU, Delegate.GPU, Delegate.NPU)
    gives_outputs = False

    def command(self, job: ToolJob) -> list[str]:
        """See `Tool`."""
        unit = job.delegate.value
        on_cpu = job.delegate is Delegate.CPU
        # It ends at once where the whole model is asked of a delegate and the CPU is not forbidden.
        strict = ["--use_cpu=false", "--require_full_delegation=true"] if job.strict else ["--use_cpu=true"]
        where = [f"--dispatch_library_path={job.libraries}", f"--compiler_plugin_library_path={job.libraries}"]
        return [
            job.tool,
            f"--graph={job.graph}",
            f"--num_threads={job.threads}",
            *_RUNS,
            *(["--use_cpu=true"] if on_cpu else [f"--use_{unit}=true", *strict]),
            *(where if job.delegate is Delegate.NPU and job.libraries else []),
        ]

    def times(self, text: str) -> ToolTimes:
        """See `Tool`; its summary is in milliseconds, the medians before it in microseconds."""
        mean = re.search(rf"Inference \(avg\):\s+{_NUMBER} ms", text)
        if mean is None:
            raise no_times("benchmark_model", text)
        first = re.search(rf"(?:Warmup \(first\)|First inference):\s+{_NUMBER} ms", text)
        median = _last_median(text)
        typical = float(mean.group(1)) if median is None else median / 1e3
        return ToolTimes(first=float(first.group(1)) if first else typical, typical=typical)


@dataclass(frozen=True)
class RunModel:
    """LiteRT's `run_model`: a file on one accelerator, or on several of which each takes what it can.

    Attributes:
        gives_outputs: it has the flags `--input_dir` and `--output_dir`, which older ones lack.
    """

    gives_outputs: bool = True
    target = Target.TFLITE
    delegates = (Delegate.CPU, Delegate.GPU, Delegate.NPU)

    def command(self, job: ToolJob) -> list[str]:
        """See `Tool`. It takes no number of threads."""
        alone = job.strict or job.delegate is Delegate.CPU
        where = [f"--dispatch_library_dir={job.libraries}", f"--compiler_plugin_library_dir={job.libraries}"]
        return [
            job.tool,
            f"--graph={job.graph}",
            f"--accelerator={job.delegate.value}{'' if alone else ',cpu'}",
            f"--iterations={WARM_UP + RUNS}",
            *([f"--input_dir={job.input_folder}", f"--output_dir={job.output_folder}"] if self.gives_outputs else []),
            *(where if job.delegate is Delegate.NPU and job.libraries else []),
        ]

    def times(self, text: str) -> ToolTimes:
        """See `Tool`; all figures are microseconds. The typical run is the mean of all but the first."""
        number = r"(\d+) microseconds"
        first, mean = (re.search(rf"{words} {number}", text) for words in ("First run took", "All runs took average"))
        if first is None or mean is None:
            raise no_times("run_model", text)
        runs = WARM_UP + RUNS
        others = (float(mean.group(1)) * runs - float(first.group(1))) / (runs - 1)
        return ToolTimes(first=float(first.group(1)) / 1e3, typical=max(others, 0.0) / 1e3)


def _last_median(text: str) -> float | None:
    """In microseconds; that of the steady runs, of which the tool tells after those of its warm-up."""
    medians = re.findall(rf"median={_NUMBER}", text)
    return float(medians[-1]) if medians else None

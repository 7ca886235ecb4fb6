"""The benchmark tools that run on a device: their command lines, and what their words mean.

Both ship with their runtimes' sources; a team builds them or takes them from its vendor. TFLite's is described in
tensorflow/lite/tools/benchmark/README.md, ONNX Runtime's in onnxruntime/test/perftest/README.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ...runtime_ref.bundle import ModelEntry
from ...runtime_ref.enums import TitledEnum
from ...runtime_ref.errors import DofkitError
from ...runtime_ref.target import Target

RUNS, WARM_UP = 10, 3  # of one start of a tool, whose median is one sample


class Delegate(TitledEnum):
    """What computes on a phone."""

    CPU = "cpu", "CPU"
    GPU = "gpu", "GPU"
    NNAPI = "nnapi", "NNAPI"


@dataclass(frozen=True)
class ToolTimes:
    """What a tool measured, in milliseconds.

    Attributes:
        first: the first inference.
        typical: the median of the steady ones; their mean where the tool tells no median.
        delegated: how many of how many operations the delegate took; None where the tool does not tell.
    """

    first: float
    typical: float
    delegated: tuple[int, int] | None = None


class Tool(Protocol):
    """A benchmark tool."""

    @property
    def target(self) -> Target:
        """Whose files it runs."""
        ...

    @property
    def delegates(self) -> tuple[Delegate, ...]:
        """What it can compute on."""
        ...

    @property
    def gives_outputs(self) -> bool:
        """Whether it writes what it computes."""
        ...

    def command(self, job: ToolJob) -> list[str]:
        """Its arguments."""
        ...

    def times(self, text: str) -> ToolTimes:
        """What it measured.

        Raises:
            DofkitError: the text holds no times.
        """
        ...


@dataclass(frozen=True)
class ToolJob:
    """One start of a tool; all paths are the device's.

    Attributes:
        tool, graph: the tool and the model's file.
        inputs: name -> file of its numbers.
        output: file that the outputs are written to.
        entry: the model.
        delegate: what computes.
        strict: refuse to compute anything elsewhere.
        threads: CPU threads.
    """

    tool: str
    graph: str
    inputs: Mapping[str, str]
    output: str
    entry: ModelEntry
    delegate: Delegate
    strict: bool
    threads: int


class BenchmarkModel:
    """TFLite's and LiteRT's `benchmark_model`."""

    target = Target.TFLITE
    delegates = tuple(Delegate)
    gives_outputs = True

    def command(self, job: ToolJob) -> list[str]:
        """See `Tool`."""
        shapes = (",".join(map(str, tensor.shape)) for tensor in job.entry.inputs)
        names = [tensor.name for tensor in job.entry.inputs]
        chosen = {
            Delegate.CPU: ["--use_xnnpack=true"],
            Delegate.GPU: ["--use_gpu=true"],
            Delegate.NNAPI: ["--use_nnapi=true"],
        }[job.delegate]
        strict = ["--require_full_delegation=true"] if job.strict and job.delegate is not Delegate.CPU else []
        return [
            job.tool,
            f"--graph={job.graph}",
            f"--num_threads={job.threads}",
            f"--warmup_runs={WARM_UP}",
            "--warmup_min_secs=0",
            f"--num_runs={RUNS}",
            "--min_secs=0",
            f"--input_layer={','.join(names)}",
            f"--input_layer_shape={':'.join(shapes)}",
            f"--input_layer_value_files={','.join(f'{name}:{job.inputs[name]}' for name in names)}",
            f"--output_filepath={job.output}",
            *chosen,
            *strict,
        ]

    def times(self, text: str) -> ToolTimes:
        """See `Tool`; all figures are microseconds."""
        number = r"([\d.]+(?:e[+-]?\d+)?)"
        found = re.search(rf"First inference: {number},.*Inference \(avg\): {number}", text)
        if found is None:
            raise DofkitError(f"benchmark_model tells no times ({_last(text)}); try the tool there by hand")
        medians = re.findall(rf"median={number}", text)  # of the warm-up first, where there are two
        taken = re.search(r"Replacing (\d+) out of (\d+) node", text)
        return ToolTimes(
            first=float(found.group(1)) / 1e3,
            typical=float(medians[-1] if medians else found.group(2)) / 1e3,
            delegated=(int(taken.group(1)), int(taken.group(2))) if taken else None,
        )


class PerfTest:
    """ONNX Runtime's `onnxruntime_perf_test`; it writes no outputs."""

    target = Target.ONNX
    delegates = (Delegate.CPU, Delegate.NNAPI)
    gives_outputs = False

    def command(self, job: ToolJob) -> list[str]:
        """See `Tool`."""
        strict = job.strict and job.delegate is not Delegate.CPU
        return [
            job.tool,
            "-e",
            job.delegate.value,
            "-m",
            "times",
            "-r",
            str(RUNS),
            "-x",
            str(job.threads),
            "-I",  # inputs of its own making
            "-s",
            *(["-C", "session.disable_cpu_ep_fallback|1"] if strict else []),
            job.graph,
        ]

    def times(self, text: str) -> ToolTimes:
        """See `Tool`; medians are seconds, the first inference and the mean milliseconds."""
        first = re.search(r"First inference time cost: ([\d.]+) ms", text)
        median = re.search(r"P50 Latency: ([\d.e+-]+) s", text)
        mean = re.search(r"Average inference time cost: ([\d.]+) ms", text)
        if median is None and mean is None:
            raise DofkitError(f"onnxruntime_perf_test tells no times ({_last(text)}); try the tool there by hand")
        typical = float(median.group(1)) * 1e3 if median else float(mean.group(1)) if mean else 0.0
        return ToolTimes(first=float(first.group(1)) if first else typical, typical=typical)


TOOLS: Mapping[str, Tool] = {"benchmark_model": BenchmarkModel(), "onnxruntime_perf_test": PerfTest()}


def tool_named(name: str) -> Tool:
    """The tool that a file's name says: "android_aarch64_benchmark_model_plus_flex" is TFLite's.

    Raises:
        DofkitError: it says none.
    """
    found: Sequence[Tool] = [tool for word, tool in TOOLS.items() if word in name]
    if len(found) != 1:
        raise DofkitError(f"{name}: is no tool that is known by its name; name the file {' or '.join(TOOLS)}")
    return found[0]


def _last(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "it says nothing")

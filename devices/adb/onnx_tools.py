"""ONNX Runtime's `onnxruntime_perf_test`.

Its flags and words are those of its source: onnxruntime/test/perftest/command_args_parser.cc and
performance_runner.cc in microsoft/onnxruntime.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...runtime_ref.target import Target
from .tools import RUNS, Delegate, ToolJob, ToolTimes, no_times


@dataclass(frozen=True)
class PerfTest:
    """ONNX Runtime's `onnxruntime_perf_test`; it makes inputs of its own and writes no outputs."""

    target = Target.ONNX
    delegates = (Delegate.CPU, Delegate.NNAPI, Delegate.NPU)
    gives_outputs = False

    def command(self, job: ToolJob) -> list[str]:
        """See `Tool`."""
        strict = job.strict and job.delegate is not Delegate.CPU
        return [
            job.tool,
            *self._provider(job),
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

    @staticmethod
    def _provider(job: ToolJob) -> list[str]:
        match job.delegate:
            case Delegate.NNAPI:  # whose own reference driver computes on the CPU
                return ["-e", "nnapi", *(["-i", "NNAPI_FLAG_CPU_DISABLED"] if job.strict else [])]
            case Delegate.NPU:
                return ["-e", "qnn", "-i", "backend_type|htp"]
            case _:
                return ["-e", "cpu"]

    def times(self, text: str) -> ToolTimes:
        """See `Tool`; medians are seconds, the first inference and the mean milliseconds."""
        first = re.search(r"First inference time cost: ([\d.]+) ms", text)
        median = re.search(r"P50 Latency: ([\d.e+-]+) s", text)
        mean = re.search(r"Average inference time cost(?: total)?: ([\d.]+) ms", text)  # newer ones say "total"
        if median is None and mean is None:
            raise no_times("onnxruntime_perf_test", text)
        typical = float(median.group(1)) * 1e3 if median else float(mean.group(1)) if mean else 0.0
        return ToolTimes(first=float(first.group(1)) if first else typical, typical=typical)

"""Models in processes of their own, and runtimes that do what a test wants: for tests of transports."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from dofkit.runtime_ref.backends import default_backend
from dofkit.runtime_ref.backends.own_process import OwnProcess, ProcessSession
from dofkit.runtime_ref.bundle import Bundle, ModelEntry
from dofkit.runtime_ref.bundle.golden import read_golden
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Precision, Target

# ONNX Runtime as far as a session needs it.
_RUNTIME = """
import os, time
import numpy
__version__ = "0"
class SessionOptions:
    pass
class InferenceSession:
    def __init__(self, *arguments, **options):
        self.runs = 0
        {opening}
    def get_inputs(self):
        return []
    get_outputs = get_inputs
    def run(self, *arguments):
        self.runs += 1
        {run}
        return [numpy.zeros((1, 3, 8, 8), numpy.float32)]
"""


def fake_runtime(
    folder: Path, monkeypatch: pytest.MonkeyPatch, opening: str = "pass", run: str = "time.sleep(1000)"
) -> None:
    """Have sessions compute ONNX files by a runtime of two statements: when it is opened, and when it runs."""
    (folder / "onnxruntime.py").write_text(_RUNTIME.format(opening=opening, run=run))
    monkeypatch.syspath_prepend(folder)


def open_there(transport: OwnProcess, bundle: Bundle, model: ModelEntry) -> ProcessSession:
    """A model in a process of the default backend."""
    return transport.open(default_backend(model.target), bundle, model)


def assert_same(output: np.ndarray, expected: np.ndarray) -> None:
    """What is promised of two processes: threads and kernels may sum in another order, four units in the last place of
    values up to 1.
    """
    np.testing.assert_allclose(output, expected, rtol=0, atol=4 * float(np.finfo(np.float32).eps))
    assert output.dtype == expected.dtype


def model_of(bundle: Bundle, target: Target = Target.ONNX, stage: Stage = Stage.LENS_BLUR) -> ModelEntry:
    """The float32 model of a stage."""
    return next(model for model in bundle.models(target, Precision.FP32) if model.stage is stage)


def golden_inputs(bundle: Bundle, stage: Stage = Stage.LENS_BLUR) -> dict[str, np.ndarray]:
    """A stage's inputs in the first golden case."""
    return dict(read_golden(bundle.path(bundle.manifest.golden[0].path)).inputs(stage))


def gone(process: int | None, seconds: float = 10.0) -> bool:
    """Whether a process ends within that time."""
    assert process is not None
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        if (stat := Path(f"/proc/{process}/stat")).is_file() and stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True  # ended; whoever should ask for its end has not done so
        time.sleep(0.02)
    return False

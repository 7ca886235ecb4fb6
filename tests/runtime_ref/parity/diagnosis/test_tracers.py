"""A trace ends with what the session of the same file gives, in the same layout and range."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from dofkit.export.coreml.convert import TracedStage
from dofkit.export.coreml.options import CoreMLOptions
from dofkit.export.stages import StageGraph
from dofkit.runtime_ref.backends.coreai import CoreAISession
from dofkit.runtime_ref.backends.mil import MilSession
from dofkit.runtime_ref.backends.onnx import OnnxSession
from dofkit.runtime_ref.backends.tflite import TFLiteSession
from dofkit.runtime_ref.backends.tracers import open_tracer
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Precision, Target

from .conftest import SIDES, Exported, random_network, scene

STAGE = Stage.GUIDED_UPSAMPLING
SESSIONS = {
    Target.ONNX: OnnxSession,
    Target.TFLITE: TFLiteSession,
    Target.COREML: MilSession,
    Target.COREAI: lambda stage, path: CoreAISession(stage, path, None),
}


@pytest.mark.parametrize(
    "target",
    [
        Target.COREML,
        Target.ONNX,
        *(pytest.param(each, marks=pytest.mark.e2e) for each in (Target.TFLITE, Target.COREAI)),
    ],
)
def test_the_last_tensor_is_the_output(target: Target, exported: Exported) -> None:
    if target is Target.COREAI:
        pytest.importorskip("coreai_torch")
    path = exported(STAGE, target)
    *_, (_, last) = open_tracer(STAGE, target, path).trace(scene(STAGE))
    np.testing.assert_allclose(last, SESSIONS[target](STAGE, path).run(scene(STAGE)), atol=1e-6)


@pytest.mark.parametrize("target", [Target.ONNX, pytest.param(Target.TFLITE, marks=pytest.mark.e2e)])
def test_integers_of_a_quantised_file_come_as_what_they_stand_for(target: Target, exported: Exported) -> None:
    *_, (_, last) = open_tracer(STAGE, target, exported(STAGE, target, Precision.W8A8)).trace(scene(STAGE))
    expected = SESSIONS[target](STAGE, exported(STAGE, target)).run(scene(STAGE))
    assert float(np.abs(last - expected).max()) < 0.1


def test_a_package_that_takes_and_gives_camera_buffers_is_traced_in_the_networks_range(tmp_path: Path) -> None:
    graph = StageGraph(STAGE, random_network(STAGE), (SIDES[STAGE], SIDES[STAGE]))
    path = tmp_path / "buffers.mlpackage"
    TracedStage(graph, CoreMLOptions(image_inputs=True, image_outputs=True)).convert(Precision.FP32).save(str(path))
    *_, (_, last) = open_tracer(STAGE, Target.COREML, path).trace(scene(STAGE))
    output = MilSession(STAGE, path).run(scene(STAGE))
    assert 0.05 < output.max() <= 1
    np.testing.assert_allclose(last, output, atol=1e-6)


def test_a_trace_of_a_package_that_is_left_early_leaves_no_thread_behind(exported: Exported) -> None:
    before = threading.active_count()
    trace = open_tracer(STAGE, Target.COREML, exported(STAGE, Target.COREML)).trace(scene(STAGE))
    next(trace)
    trace.close()  # pyright: ignore[reportAttributeAccessIssue]  # a generator has it
    assert threading.active_count() == before

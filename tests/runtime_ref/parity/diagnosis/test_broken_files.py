"""Every kind of broken export is caught and named, the right cause first; a healthy file is not accused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dofkit.runtime_ref.backends import Session
from dofkit.runtime_ref.backends.coreai import CoreAISession
from dofkit.runtime_ref.backends.mil import MilSession
from dofkit.runtime_ref.backends.onnx import OnnxSession
from dofkit.runtime_ref.backends.tflite import TFLiteSession
from dofkit.runtime_ref.backends.tracers import open_tracer
from dofkit.runtime_ref.matching import Layer
from dofkit.runtime_ref.parity.diagnosis.diagnose import Evidence, diagnose, output_faults
from dofkit.runtime_ref.parity.diagnosis.localisation import Divergence, divergence_limit, first_divergence, layers_of
from dofkit.runtime_ref.parity.tolerances import Tolerance
from dofkit.runtime_ref.pipeline.stage import OUTPUTS, PIPELINE_STAGES, Stage
from dofkit.runtime_ref.target import Precision, Target
from dofkit.train.resampling import resampled_variants
from dofkit.train.session import TorchSession
from dofkit.train.tracing import trace_layers

from ....breakage import KINDS, ZEROED, broken_network, kinds_of, zeroed_layer
from .conftest import Exported, arranged_network, random_network, scene

UPSAMPLING = Stage.GUIDED_UPSAMPLING
LIMITS = {
    Precision.FP32: Tolerance(1e-4, None, "test"),
    Precision.FP16: Tolerance(None, 50.0, "test"),
    Precision.W8: Tolerance(None, 40.0, "test"),
    Precision.DYNAMIC: Tolerance(None, 40.0, "test"),
    Precision.W8A8: Tolerance(None, 36.0, "test"),
}
BOTH = [Target.ONNX, pytest.param(Target.TFLITE, marks=pytest.mark.e2e)]  # TFLite's converter takes seconds a file
QUANTISED = [
    pytest.param(target, precision, id=f"{target}-{precision}", marks=marks)
    for target, marks in ((Target.ONNX, ()), (Target.TFLITE, pytest.mark.e2e))
    for precision in (Precision.W8, Precision.DYNAMIC, Precision.W8A8)
]


def _session(stage: Stage, target: Target, path: Path) -> Session:
    match target:
        case Target.ONNX:
            return OnnxSession(stage, path)
        case Target.TFLITE:
            return TFLiteSession(stage, path)
        case Target.COREML:
            return MilSession(stage, path)
        case Target.COREAI:
            return CoreAISession(stage, path, None)


def _divergence(stage: Stage, target: Target, path: Path, precision: Precision) -> Divergence | None:
    layers, output = trace_layers(arranged_network(stage, target), stage, scene(stage))
    layers.append(Layer(OUTPUTS[stage].name, "output", output))
    return first_divergence(open_tracer(stage, target, path), scene(stage), layers, divergence_limit(precision))


def _causes(stage: Stage, target: Target, path: Path, precision: Precision) -> tuple[str, ...]:
    """As a parity check asks, PyTorch at hand."""
    network = random_network(stage)
    original = TorchSession(stage, network)
    divergence = partial(_divergence, stage, target, path, precision)
    evidence = Evidence(original, resampled_variants(network, stage), divergence)
    reference = original.run(scene(stage))
    return diagnose(_session(stage, target, path), stage, scene(stage), reference, LIMITS[precision], evidence)


@pytest.mark.e2e
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", BOTH)
def test_a_broken_file_is_named(target: Target, kind: str, exported: Exported) -> None:
    stage = UPSAMPLING if kind in kinds_of(UPSAMPLING) else Stage.LENS_BLUR
    causes = _causes(stage, target, exported(stage, target, Precision.FP32, kind), Precision.FP32)
    assert KINDS[kind] in causes[0]


@pytest.mark.parametrize("kind", ["swapped channels", "double normalisation", "depth for disparity", "ignored input"])
@pytest.mark.parametrize("target", BOTH)
def test_it_is_named_by_the_file_alone(target: Target, kind: str, exported: Exported) -> None:
    """In CI, against golden vectors, there is no PyTorch to ask."""
    session = _session(UPSAMPLING, target, exported(UPSAMPLING, target, Precision.FP32, kind))
    reference = TorchSession(UPSAMPLING, random_network(UPSAMPLING)).run(scene(UPSAMPLING))
    causes = diagnose(session, UPSAMPLING, scene(UPSAMPLING), reference, LIMITS[Precision.FP32])
    assert KINDS[kind] in causes[0]


@pytest.mark.parametrize(("target", "precision"), QUANTISED)
def test_a_healthy_quantised_file_is_not_accused(target: Target, precision: Precision, exported: Exported) -> None:
    path = exported(UPSAMPLING, target, precision)
    assert _divergence(UPSAMPLING, target, path, precision) is None
    float32 = open_tracer(UPSAMPLING, target, exported(UPSAMPLING, target))
    layers = layers_of(float32, scene(UPSAMPLING))
    assert len(layers) > 10
    tracer = open_tracer(UPSAMPLING, target, path)
    assert first_divergence(tracer, scene(UPSAMPLING), layers, divergence_limit(precision)) is None


@pytest.mark.parametrize(("target", "precision"), QUANTISED)
def test_a_zeroed_layer_of_a_quantised_file_is_named(target: Target, precision: Precision, exported: Exported) -> None:
    causes = _causes(UPSAMPLING, target, exported(UPSAMPLING, target, precision, "zeroed layer"), precision)
    layer = zeroed_layer(UPSAMPLING, arranged_network(UPSAMPLING, target))
    assert causes[0].startswith(f"first difference at {layer} (FixedConvolution): tensor ")


@pytest.mark.parametrize("target", BOTH)
@pytest.mark.parametrize("kind", ["swapped channels", "double normalisation"])
def test_a_mistake_is_named_through_quantisation(target: Target, kind: str, exported: Exported) -> None:
    path = exported(UPSAMPLING, target, Precision.W8A8, kind)
    assert KINDS[kind] in _causes(UPSAMPLING, target, path, Precision.W8A8)[0]


@pytest.mark.parametrize("target", [Target.ONNX, pytest.param(Target.TFLITE, marks=pytest.mark.e2e)])
def test_a_healthy_file_has_no_cause_and_no_divergence(target: Target, exported: Exported) -> None:
    path = exported(UPSAMPLING, target)
    assert _causes(UPSAMPLING, target, path, Precision.FP32) == ()
    assert _divergence(UPSAMPLING, target, path, Precision.FP32) is None


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.FP16])
def test_a_core_ml_package_is_traced_like_the_others(precision: Precision, exported: Exported) -> None:
    healthy = exported(UPSAMPLING, Target.COREML, precision)
    assert _causes(UPSAMPLING, Target.COREML, healthy, precision) == ()
    assert _divergence(UPSAMPLING, Target.COREML, healthy, precision) is None
    zeroed = exported(UPSAMPLING, Target.COREML, precision, "zeroed layer")
    found = _divergence(UPSAMPLING, Target.COREML, zeroed, precision)
    assert found is not None
    assert (found.layer, found.kind) == (ZEROED[UPSAMPLING], "FixedConvolution")


@pytest.mark.e2e
@pytest.mark.parametrize("precision", [Precision.FP32, Precision.W8, Precision.W8A8])
def test_a_core_ai_model_is_traced_like_the_others(precision: Precision, exported: Exported) -> None:
    pytest.importorskip("coreai_torch")
    healthy = exported(UPSAMPLING, Target.COREAI, precision)
    assert _causes(UPSAMPLING, Target.COREAI, healthy, precision) == ()
    assert _divergence(UPSAMPLING, Target.COREAI, healthy, precision) is None
    causes = _causes(
        UPSAMPLING, Target.COREAI, exported(UPSAMPLING, Target.COREAI, precision, "zeroed layer"), precision
    )
    assert causes[0].startswith(f"first difference at {ZEROED[UPSAMPLING]} (FixedConvolution): tensor conv2d_")


@pytest.mark.e2e
@pytest.mark.parametrize("kind", ["swapped channels", "depth for disparity", "ignored input"])
def test_a_mistake_in_a_core_ai_model_is_named(kind: str, exported: Exported) -> None:
    pytest.importorskip("coreai_torch")
    path = exported(UPSAMPLING, Target.COREAI, Precision.FP32, kind)
    assert KINDS[kind] in _causes(UPSAMPLING, Target.COREAI, path, Precision.FP32)[0]


class _TorchTracer:
    """A network in place of a file, for what no converter is needed."""

    def __init__(self, network: Any, stage: Stage) -> None:
        self._network, self._stage = network, stage

    def trace(self, inputs: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
        layers, output = trace_layers(self._network, self._stage, inputs)
        yield from ((layer.name, layer.value) for layer in layers)
        yield OUTPUTS[self._stage].name, output


@pytest.mark.parametrize(("stage", "kind"), [(stage, kind) for stage in PIPELINE_STAGES for kind in kinds_of(stage)])
def test_every_kind_is_named_in_every_stage(stage: Stage, kind: str) -> None:
    network, inputs = random_network(stage), scene(stage)
    broken = broken_network(kind, stage, network)
    layers, reference = trace_layers(network, stage, inputs)

    def divergence() -> Divergence | None:
        return first_divergence(_TorchTracer(broken, stage), inputs, layers, divergence_limit(Precision.FP32))

    evidence = Evidence(TorchSession(stage, network), resampled_variants(network, stage), divergence)
    limits = Tolerance(1e-6, None, "the same runtime on both sides")
    causes = diagnose(TorchSession(stage, broken), stage, inputs, reference, limits, evidence)
    assert KINDS[kind] in causes[0]
    if kind == "zeroed layer":
        kind_of_layer = type(network.get_submodule(ZEROED[stage])).__name__
        assert f" {ZEROED[stage]} ({kind_of_layer})" in causes[0]


def test_outputs_that_are_wrong_at_first_sight_are_said_to_be() -> None:
    reference = np.random.default_rng(0).random((1, 1, 4, 4)).astype(np.float32)
    holed = reference.copy()
    holed[0, 0, 0, :2] = np.nan
    assert list(output_faults(reference, reference)) == []
    assert list(output_faults(holed, reference)) == ["the output holds NaN or infinity at 2 of 16 places"]
    assert list(output_faults(reference * 0 + 0.5, reference)) == ["the output is constant: 0.5 everywhere"]
    assert list(output_faults(reference * 0, reference * 0 + 1)) == []  # so is the reference
    (line,) = output_faults(reference[..., :2], reference)
    assert line == "the output's shape is [1, 1, 4, 2], PyTorch's is [1, 1, 4, 4]"

"""Small networks of random weights, and files of them, healthy and broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from dofkit.runtime_ref.pipeline.stage import INPUTS, Stage
from dofkit.runtime_ref.target import Precision, Target

from ....breakage import broken_network

SIDES = {Stage.DEPTH: 128, Stage.LENS_BLUR: 32, Stage.GUIDED_UPSAMPLING: 32}

Exported = Callable[..., Path]


@cache
def random_network(stage: Stage):
    """A stage's network in evaluation mode, its activations of ordinary size."""
    import torch

    from dofkit.train.networks import NETWORKS

    torch.manual_seed(3)
    network = NETWORKS[stage]()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # statistics of this one batch: untrained ones let the signal fade
    with torch.no_grad():
        network.train()(*(torch.from_numpy(value) for value in scene(stage).values()))
    return network.eval()


def scene(stage: Stage) -> dict[str, np.ndarray]:
    """Inputs of a stage: blocks of random colours under a ramp, without any symmetry."""
    rng = np.random.default_rng(5)
    found = {}
    for signal in INPUTS[stage]:
        side = SIDES[stage] * signal.scale
        blocks = rng.random((1, signal.channels, 16, 16)).repeat(side // 16, 2).repeat(side // 16, 3)
        mixed = 0.8 * blocks + 0.2 * np.linspace(0, 1, side)
        found[signal.name] = (signal.low + (signal.high - signal.low) * mixed).astype(np.float32)
    return found


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors: threads cost more than they save."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """`exported(stage, target, precision, kind)`: a file of the stage's random network, broken in a kind of `KINDS`."""
    folder = tmp_path_factory.mktemp("diagnosis")

    @cache
    def make(stage: Stage, target: Target, precision: Precision = Precision.FP32, kind: str | None = None) -> Path:
        path = folder / f"{stage}.{precision}.{kind}{target.suffix}"
        if precision is not Precision.FP32 and target is not Target.COREML:
            _quantise(stage, target, make(stage, target, Precision.FP32, kind), path, precision)
        else:
            _convert(stage, target, path, precision, kind)
        return path

    return make


def arranged_network(stage: Stage, target: Target):
    """The same network as files of a target compute it."""
    from dofkit.train.networks import ARCHITECTURES

    network = random_network(stage)
    return ARCHITECTURES.contract_of(network).arrange(network, target)


def _convert(stage: Stage, target: Target, path: Path, precision: Precision, kind: str | None) -> None:
    from dofkit.export.coreai.convert import convert as convert_coreai
    from dofkit.export.coreml.convert import TracedStage
    from dofkit.export.coreml.options import CoreMLOptions
    from dofkit.export.onnx.convert import convert as convert_onnx
    from dofkit.export.stages import StageGraph
    from dofkit.export.tflite.convert import convert as convert_tflite

    network = arranged_network(stage, target)
    graph = StageGraph(stage, broken_network(kind, stage, network) if kind else network, (SIDES[stage], SIDES[stage]))
    match target:
        case Target.ONNX:
            convert_onnx(graph, path)
        case Target.TFLITE:
            convert_tflite(graph, path)
        case Target.COREAI:
            convert_coreai(graph, path)
        case Target.COREML:
            TracedStage(graph, CoreMLOptions()).convert(precision).save(str(path))


def _quantise(stage: Stage, target: Target, float32: Path, path: Path, precision: Precision) -> None:
    from dofkit.export.coreai.quantise import quantise as quantise_coreai
    from dofkit.export.onnx.quantise import quantise as quantise_onnx
    from dofkit.export.ranges import measure_ranges
    from dofkit.export.tflite.quantise import quantise as quantise_tflite
    from dofkit.runtime_ref.backends.tracers import open_tracer

    ranges = None
    if precision.needs_ranges:
        ranges = measure_ranges(open_tracer(stage, target, float32), [scene(stage)])
    match target:
        case Target.ONNX:
            quantise_onnx(float32, path, precision, ranges)
        case Target.TFLITE:
            quantise_tflite(float32, path, precision, ranges)
        case Target.COREAI:
            quantise_coreai(float32, path, precision, ranges, ())
        case Target.COREML:
            raise ValueError("a package is converted in its precision")

"""Small networks as float32 ONNX files, to quantise."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dofkit.export.onnx.convert import convert, convert_half
from dofkit.export.onnx.quantise import quantise
from dofkit.export.ranges import Ranges, measure_ranges
from dofkit.export.stages import StageGraph
from dofkit.runtime_ref.backends.onnx import OnnxSession
from dofkit.runtime_ref.backends.tracers import open_tracer
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Precision, Target
from dofkit.train.networks import LensBlurNet

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Exported:
    """A graph, its float32 file, inputs, and the ranges of all that the file computes from them."""

    graph: StageGraph
    float32: Path
    inputs: Mapping[str, Values]
    ranges: Ranges

    def file(self, precision: Precision, ranges: Ranges | None = None, kept: Collection[str] = ()) -> Path:
        """The stage's file in a precision; integer ones are written anew."""
        goal = self.float32.with_name(f"{precision}.onnx")
        if precision is Precision.FP16 and not goal.exists():  # takes seconds
            convert_half(self.graph, self.float32, goal)
        if precision.weight_bits is not None:
            quantise(self.float32, goal, precision, self.ranges if ranges is None else ranges, kept)
        return goal

    def run(self, path: Path) -> Values:
        """A file's output on the inputs, `[1, C, H, W]`."""
        return np.asarray(OnnxSession(self.graph.stage, path).run(self.inputs))


Export = Callable[[torch.nn.Module], Exported]


def _exported(stage: Stage, network: torch.nn.Module, side: int, folder: Path) -> Exported:
    graph = StageGraph(stage, network.eval(), (side, side), exact=frozenset(getattr(network, "exact", ())))
    path = folder / "fp32.onnx"
    convert(graph, path)
    rng = np.random.default_rng(3)
    inputs = {signal.name: rng.random(graph.shape(signal), np.float32) for signal in graph.inputs}
    return Exported(graph, path, inputs, measure_ranges(open_tracer(stage, Target.ONNX, path), [inputs]))


@pytest.fixture(scope="session")
def blur(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The lens blur with random weights: fixed layers without a bias, and branches without an order."""
    torch.manual_seed(21)
    return _exported(Stage.LENS_BLUR, LensBlurNet(), 64, tmp_path_factory.mktemp("blur"))


@pytest.fixture(scope="session")
def single(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """One convolution, large enough to be worth quantising: 3 channels, 15 × 15 pixels, to 1."""
    torch.manual_seed(22)
    return _exported(Stage.DEPTH, torch.nn.Conv2d(3, 1, 15, padding=7), 24, tmp_path_factory.mktemp("single"))


@pytest.fixture
def export_network(tmp_path: Path) -> Export:
    """`export_network(network)`: from three channels to one, at 16 × 16 pixels, as if it were the depth network."""
    return lambda network: _exported(Stage.DEPTH, network, 16, tmp_path)

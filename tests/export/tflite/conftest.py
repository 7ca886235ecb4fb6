"""Small graphs converted to float32 TFLite files, to quantise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dofkit.export.ranges import Ranges, measure_ranges
from dofkit.export.stages import StageGraph
from dofkit.export.tflite.convert import convert
from dofkit.export.tflite.quantise import quantise
from dofkit.runtime_ref.backends.tflite import TFLiteSession
from dofkit.runtime_ref.backends.tracers import open_tracer
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Precision, Target
from dofkit.train.networks import LensBlurNet

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Converted:
    """A graph, its float32 file, and inputs with the ranges of all that the file computes from them."""

    graph: StageGraph
    path: Path
    inputs: Mapping[str, Values]
    ranges: Ranges

    def quantised(self, precision: Precision, ranges: Ranges | None = None, kept: frozenset[str] = frozenset()) -> Path:
        """The file in another precision."""
        goal = self.path.with_name(f"{precision}.tflite")
        quantise(self.path, goal, precision, self.ranges if ranges is None else ranges, kept)
        return goal

    def run(self, path: Path) -> Values:
        """The output of one of the graph's files on the inputs, `[1, C, H, W]`."""
        return TFLiteSession(self.graph.stage, path).run(self.inputs)


Convert = Callable[..., Converted]


def converted(stage: Stage, network: torch.nn.Module, side: int, folder: Path) -> Converted:
    """Convert a network that has a stage's inputs and output."""
    graph = StageGraph(stage, network.eval(), (side, side), exact=frozenset(getattr(network, "exact", ())))
    path = folder / "fp32.tflite"
    convert(graph, path)
    rng = np.random.default_rng(5)
    inputs = {signal.name: rng.random(graph.shape(signal), np.float32) for signal in graph.inputs}
    return Converted(graph, path, inputs, measure_ranges(open_tracer(stage, Target.TFLITE, path), [inputs]))


@pytest.fixture(scope="session")
def blur(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """The lens blur with random weights: fixed layers, depthwise ones, and concatenations of every kind."""
    torch.manual_seed(11)
    return converted(Stage.LENS_BLUR, LensBlurNet(), 64, tmp_path_factory.mktemp("blur"))


@pytest.fixture(scope="session")
def convolution(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """A single convolution of three channels to one."""
    torch.manual_seed(12)
    network = torch.nn.Conv2d(3, 1, 3, padding=1)
    return converted(Stage.DEPTH, network, 16, tmp_path_factory.mktemp("convolution"))


@pytest.fixture
def convert_network(tmp_path: Path) -> Convert:
    """`convert_network(network)`: a network from an image to one channel as the depth stage of 16 × 16 pixels."""
    return lambda network: converted(Stage.DEPTH, network, 16, tmp_path)

"""Small graphs converted to float32 TFLite files, to quantise."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import pytest
import torch

from dofkit.export.ranges import Ranges
from dofkit.export.tflite.convert import convert
from dofkit.export.tflite.quantise import quantise
from dofkit.runtime_ref.backends.tflite import TFLiteSession
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Precision, Target
from dofkit.train.networks import LensBlurNet

from ..stage_file import StageFile, Values

Convert = Callable[[torch.nn.Module], "TFLiteStage"]


class TFLiteStage(StageFile):
    """A stage as TFLite."""

    target, seed = Target.TFLITE, 5
    convert = staticmethod(convert)

    def file(self, precision: Precision, ranges: Ranges | None = None, kept: Collection[str] = ()) -> Path:
        goal = self.float32.with_name(f"{precision}.tflite")
        quantise(self.float32, goal, precision, self.ranges if ranges is None else ranges, kept)
        return goal

    def run(self, path: Path) -> Values:
        return TFLiteSession(self.graph.stage, path).run(self.inputs)


@pytest.fixture(scope="session")
def blur(tmp_path_factory: pytest.TempPathFactory) -> TFLiteStage:
    """The lens blur with random weights: fixed layers, depthwise ones, and concatenations of every kind."""
    torch.manual_seed(11)
    return TFLiteStage.of(Stage.LENS_BLUR, LensBlurNet(), 64, tmp_path_factory.mktemp("blur"))


@pytest.fixture(scope="session")
def convolution(tmp_path_factory: pytest.TempPathFactory) -> TFLiteStage:
    """A single convolution of three channels to one."""
    torch.manual_seed(12)
    network = torch.nn.Conv2d(3, 1, 3, padding=1)
    return TFLiteStage.of(Stage.DEPTH, network, 16, tmp_path_factory.mktemp("convolution"))


@pytest.fixture
def convert_network(tmp_path: Path) -> Convert:
    """`convert_network(network)`: a network from an image to one channel as the depth stage of 16 × 16 pixels."""
    return lambda network: TFLiteStage.of(Stage.DEPTH, network, 16, tmp_path)

"""Small networks as float32 ONNX files, to quantise."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import pytest
import torch

from dofkit.export.onnx.convert import convert, convert_half
from dofkit.export.onnx.quantise import quantise
from dofkit.export.ranges import Ranges
from dofkit.runtime_ref.backends.onnx import OnnxSession
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Precision, Target
from dofkit.train.networks import LensBlurNet

from ..stage_file import StageFile, Values

Convert = Callable[[torch.nn.Module], "OnnxStage"]


class OnnxStage(StageFile):
    """A stage as ONNX."""

    target, seed = Target.ONNX, 3
    convert = staticmethod(convert)

    def file(self, precision: Precision, ranges: Ranges | None = None, kept: Collection[str] = ()) -> Path:
        goal = self.float32.with_name(f"{precision}.onnx")
        if precision is Precision.FP16 and not goal.exists():  # takes seconds
            convert_half(self.graph, self.float32, goal)
        if precision.weight_bits is not None:
            quantise(self.float32, goal, precision, self.ranges if ranges is None else ranges, kept)
        return goal

    def run(self, path: Path) -> Values:
        return np.asarray(OnnxSession(self.graph.stage, path).run(self.inputs))


@pytest.fixture(scope="session")
def blur(tmp_path_factory: pytest.TempPathFactory) -> OnnxStage:
    """The lens blur with random weights: fixed layers without a bias, and branches without an order."""
    torch.manual_seed(21)
    return OnnxStage.of(Stage.LENS_BLUR, LensBlurNet(), 64, tmp_path_factory.mktemp("blur"))


@pytest.fixture(scope="session")
def single(tmp_path_factory: pytest.TempPathFactory) -> OnnxStage:
    """One convolution, large enough to be worth quantising: 3 channels, 15 × 15 pixels, to 1."""
    torch.manual_seed(22)
    return OnnxStage.of(Stage.DEPTH, torch.nn.Conv2d(3, 1, 15, padding=7), 24, tmp_path_factory.mktemp("single"))


@pytest.fixture
def export_network(tmp_path: Path) -> Convert:
    """`export_network(network)`: from three channels to one, at 16 × 16 pixels, as if it were the depth network."""
    return lambda network: OnnxStage.of(Stage.DEPTH, network, 16, tmp_path)

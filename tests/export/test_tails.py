"""What fp16 files keep in float32 of a brought network: its tail, and sums of squares that would overflow."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import fx, nn
from torch.nn import functional as F

from dofkit.export.rewrites.halves import half_but_ends
from dofkit.export.stages import StageGraph
from dofkit.export.tails import tail
from dofkit.runtime_ref.parity.metrics import psnr
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Precision
from dofkit.train.networks.adapted import AdaptedDepth
from dofkit.train.networks.contract import Meaning, Preprocessing

SIZE = (32, 40)
# Farther from a layer's mean than the root of the greatest half: trained DINOv2 has such channels.
LARGE = 600.0


class Bins(nn.Module):
    """Metres as ZoeDepth and TIPSv2 give them: a sum over bins, weighed by what a layer says of a patch."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.patches = nn.Conv2d(3, 12, 4, stride=4)
        self.shift = nn.Parameter(torch.zeros(12))
        self.norm, self.weigh = nn.LayerNorm(12), nn.Linear(12, 16)
        self.metres = nn.Parameter(torch.linspace(1, 10, 16))
        with torch.no_grad():
            self.shift[5] = LARGE
            self.norm.weight.uniform_(0.2, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        maps = self.patches(image)
        tokens = maps.flatten(2).transpose(1, 2)
        weights = torch.softmax(2 * self.weigh(2 * tokens + 0.3 * self.norm(tokens + self.shift)), -1)
        metres = (weights * self.metres).sum(-1)
        grid = metres.reshape(1, 1, int(maps.shape[2]), int(maps.shape[3]))
        return F.interpolate(grid, (int(image.shape[2]), int(image.shape[3])), mode="bilinear")


@pytest.fixture(scope="module")
def graph() -> StageGraph:
    network = AdaptedDepth(Bins(), Preprocessing((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)), Meaning.DEPTH)
    return StageGraph(Stage.DEPTH, network.eval().requires_grad_(False), SIZE, rewritten=True)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(2).random((1, 3, *SIZE), np.float32)


@pytest.fixture(scope="module")
def expected(graph: StageGraph, image: np.ndarray) -> np.ndarray:
    return graph.network(torch.from_numpy(image)).numpy()


def test_a_tail_ends_at_every_layer_on_the_way_to_the_output() -> None:
    sources = {"out": ["mul", "max"], "mul": ["layer", "bins"], "max": ["mul"], "bins": ["other layer"], "layer": ["x"]}
    found = tail(["out"], lambda name: sources.get(name, []), lambda name: "layer" in name)
    assert set(found) == {"out", "mul", "max", "bins"}


def test_a_program_in_halves_keeps_its_tail_and_what_it_reads(
    graph: StageGraph, image: np.ndarray, expected: np.ndarray
) -> None:
    program = graph.computed
    assert isinstance(program, fx.GraphModule)
    x = torch.from_numpy(image)
    with torch.no_grad():
        everything = copy.deepcopy(program).half()(x.half()).float().numpy()
        spared = half_but_ends(copy.deepcopy(program))(x)
    assert spared.dtype == torch.float32
    assert psnr(expected, spared.numpy()) > psnr(expected, everything) + 6
    assert next(program.parameters()).dtype == torch.float32  # the copy was changed


def coreml(graph: StageGraph, folder: Path, image: np.ndarray) -> np.ndarray:
    pytest.importorskip("coremltools")
    from dofkit.export.coreml.convert import TracedStage
    from dofkit.export.coreml.options import CoreMLOptions
    from dofkit.runtime_ref.mil import MLProgram

    path = folder / "half.mlpackage"
    TracedStage(graph, CoreMLOptions()).convert(Precision.FP16).save(str(path))
    return MLProgram.open(path).predict({"image": image})["disparity"]


def coreai(graph: StageGraph, folder: Path, image: np.ndarray) -> np.ndarray:
    pytest.importorskip("coreai_torch")
    from dofkit.export.coreai.convert import convert
    from dofkit.export.coreai.quantise import quantise
    from dofkit.runtime_ref.coreai import open_program

    convert(graph, folder / "whole.aimodel")
    quantise(folder / "whole.aimodel", folder / "half.aimodel", Precision.FP16, None, (), careful=graph.rewritten)
    return open_program(folder / "half.aimodel").predict({"image": image})["disparity"]


def onnx(graph: StageGraph, folder: Path, image: np.ndarray) -> np.ndarray:
    runtime = pytest.importorskip("onnxruntime")
    from dofkit.export.onnx.convert import convert, convert_half

    convert(graph, folder / "whole.onnx")
    convert_half(graph, folder / "whole.onnx", folder / "half.onnx")
    return runtime.InferenceSession(str(folder / "half.onnx")).run(None, {"image": image})[0]


@pytest.mark.e2e
@pytest.mark.parametrize("computed", [coreml, coreai, onnx])
def test_metres_in_bins_and_values_far_from_their_mean_survive_fp16(
    computed: Callable[..., np.ndarray], graph: StageGraph, image: np.ndarray, expected: np.ndarray, tmp_path: Path
) -> None:
    assert psnr(expected, computed(graph, tmp_path, image)) > 60

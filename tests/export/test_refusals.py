"""A converter's failure is one line with the operation, the layer, and the way out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from dofkit.export.refusals import refusal, refusing
from dofkit.export.rewrites import rewritten
from dofkit.export.stages import StageGraph
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Target


class _Rolling(nn.Module):
    """A layer with an operation that few converters know."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.roll(x, 1, 2)


@pytest.fixture(scope="module")
def graph() -> StageGraph:
    network = nn.Sequential(nn.Conv2d(3, 1, 1), _Rolling()).eval()
    return StageGraph(Stage.DEPTH, network, (8, 8), rewritten=True)


@pytest.mark.parametrize(
    "words",
    [
        "PyTorch convert function for op 'roll' not implemented.",
        "Lowering not found: aten.roll.default",
        "unsupported: aten::roll (in graph)\nand more lines",
    ],
)
def test_the_operation_and_its_layer_are_named(graph: StageGraph, words: str) -> None:
    program = rewritten(graph.network, graph.example(), "depth")
    line = refusal("depth", program, Target.COREML, NotImplementedError(words))
    assert line.startswith("depth: Core ML's converter cannot take aten.roll.default in 1 (_Rolling) (")
    assert "a pass of dofkit.export.rewrites is missing for it" in line
    assert "\n" not in line


def test_an_error_that_names_no_operation_still_is_a_line(graph: StageGraph) -> None:
    program = rewritten(graph.network, graph.example(), "depth")
    with (
        pytest.raises(DofkitError, match=r"cannot take the network \(one thing\)"),
        refusing(graph, program, Target.ONNX),
    ):
        raise RuntimeError("\n  one thing\nanother")


def test_faults_of_our_own_networks_are_not_hidden(graph: StageGraph) -> None:
    ours = StageGraph(Stage.DEPTH, graph.network, (8, 8))
    with pytest.raises(RuntimeError, match="x"), refusing(ours, ours.network, Target.ONNX):
        raise RuntimeError("x")


def coreml(graph: StageGraph, folder: Path) -> None:
    pytest.importorskip("coremltools")
    from dofkit.export.coreml.convert import TracedStage
    from dofkit.export.coreml.options import CoreMLOptions
    from dofkit.runtime_ref.target import Precision

    TracedStage(graph, CoreMLOptions()).convert(Precision.FP32).save(str(folder / "it.mlpackage"))


def coreai(graph: StageGraph, folder: Path) -> None:
    pytest.importorskip("coreai_torch")
    from dofkit.export.coreai.convert import convert

    convert(graph, folder / "it.aimodel")


@pytest.mark.e2e
@pytest.mark.parametrize(("convert", "title"), [(coreml, "Core ML"), (coreai, "Core AI")])
def test_a_converter_that_lacks_an_operation_says_which_and_in_which_layer(
    convert: Callable[[StageGraph, Path], None], title: str, tmp_path: Path
) -> None:
    class Bessel(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.special.i0(x[:, :1])

    graph = StageGraph(Stage.DEPTH, nn.Sequential(Bessel()).eval(), (8, 8), rewritten=True)
    words = rf"^depth: {title}'s converter cannot take aten\.(special_)?i0\.default in 0 \(Bessel\)"
    with pytest.raises(DofkitError, match=words):
        convert(graph, tmp_path)

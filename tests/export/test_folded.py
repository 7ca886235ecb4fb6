"""What a graph computes with, as its program holds it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from dofkit.export.folded import graph_weights
from dofkit.export.onnx.convert import convert
from dofkit.export.onnx.stored import STORED
from dofkit.export.stages import StageGraph
from dofkit.runtime_ref.pipeline.stage import Stage

CROPS = 3


class Cropping(nn.Module):
    """One token before the patches of each of several crops, as Depth Pro's encoder has it."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 4, 4, stride=4)
        self.token = nn.Parameter(torch.tensor([[[0.5, -0.25, 2.0, 0.125]]]))
        self.mixed = nn.Linear(4, 16)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        crops = torch.cat([image * scale for scale in (1.0, 0.5, 0.25)])
        tokens = self.patches(crops).flatten(2).transpose(1, 2)
        tokens = self.mixed(torch.cat([self.token.expand(CROPS, -1, -1), tokens], 1))
        return (tokens[:, 1:] * tokens[:, :1]).mean(0, keepdim=True).reshape(1, 1, 8, 8)


def test_a_token_that_is_repeated_for_every_crop_is_found_as_files_store_it(tmp_path: Path) -> None:
    graph = StageGraph(Stage.DEPTH, Cropping().eval(), (8, 8), rewritten=True)
    weights = graph_weights(graph)
    (token,) = (layer for layer in weights.others if "token" in layer.parameters)
    np.testing.assert_array_equal(token.joined["token"], np.repeat(token.parameters["token"], CROPS, 0))
    (linear,) = (layer for layer in weights.others if layer.kind == "Linear")
    assert not linear.joined, "turned it is the same numbers"

    convert(graph, tmp_path / "crops.onnx")
    entries = STORED.compare(weights, tmp_path / "crops.onnx")
    assert [(e.name, e.problem, e.uncompared) for e in entries if e.problem or e.uncompared] == []

"""What a graph computes with, as its program holds it and as a converter may join it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dofkit.export.folded import graph_weights, network_weights
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


class Windowed(nn.Module):
    """A LayerNorm whose tokens, [1, 16, 4], are grouped into windows before a fully connected layer, as Swin does."""

    def __init__(self, padding: int) -> None:
        super().__init__()
        self.padding = padding
        self.norm, self.query = nn.LayerNorm(4), nn.Linear(4, 2)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        maps = nn.functional.pad(self.norm(tokens).view(1, 4, 4, 4), (0, 0, 0, self.padding, 0, 0))
        windows = maps.view(1, 2, 2, 4 + self.padding, 1, 4).transpose(2, 3).reshape(-1, 4)
        return self.query(windows)


@pytest.mark.parametrize("padding", [0, 2])
def test_a_norm_may_be_multiplied_into_what_sees_its_tokens_in_windows_but_not_among_zeros(padding: int) -> None:
    torch.manual_seed(0)
    network = Windowed(padding).eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    others = network_weights(network, (torch.rand(1, 16, 4),)).others
    (query,) = (layer for layer in others if layer.name == "query")
    if padding:
        assert not query.joined
        return
    tokens = torch.rand(5, 4, dtype=torch.float64)
    alone = nn.functional.layer_norm(tokens, (4,), eps=network.norm.eps)
    expected = network.double().query(network.norm(tokens)).detach().numpy()
    np.testing.assert_allclose(alone.numpy() @ query.joined["weight"].T + query.joined["bias"], expected, rtol=1e-12)


class Mixed(nn.Module):
    """A convolution with BatchNorm, a LayerNorm, a fully connected layer and a scale of its outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.before, self.mlp = nn.LayerNorm(4), nn.Linear(4, 6)
        self.scale = nn.Parameter(torch.zeros(6))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        tokens = self.stem(image).flatten(2).transpose(1, 2)
        return self.scale * self.mlp(self.before(tokens))


def test_an_exported_program_computes_with_what_its_modules_do() -> None:
    torch.manual_seed(0)
    network, example = Mixed().eval(), (torch.rand(1, 3, 8, 8),)
    for values in (*network.parameters(), *network.buffers()):
        if values.is_floating_point():
            nn.init.uniform_(values, 0.5, 1.5)
    expected = network_weights(network, example)
    found = network_weights(torch.export.export(network, example).module(), example)
    assert [layer.name for layer in found.convolutions] == ["stem.0"]
    assert [layer.name for layer in expected.others] == ["", "before", "mlp"]
    for one, other in zip(expected.convolutions, found.convolutions, strict=True):
        np.testing.assert_array_equal(one.weight, other.weight)
        np.testing.assert_array_equal(one.bias, other.bias)
    assert {layer.name: layer.joined_into for layer in found.others} == {"": ("mlp",), "before": ("mlp",), "mlp": ()}
    (mlp,), (same,) = ([layer for layer in each.others if layer.name == "mlp"] for each in (expected, found))
    for name in ("weight", "bias"):
        np.testing.assert_array_equal(mlp.joined[name], same.joined[name])
    with torch.no_grad():  # convolution and BatchNorm as one
        (stem,) = expected.convolutions
        folded = nn.functional.conv2d(example[0], torch.from_numpy(stem.weight), torch.from_numpy(stem.bias))
        torch.testing.assert_close(nn.functional.relu(folded), network.stem(example[0]))


def test_functions_may_be_called_with_names_and_without_a_bias() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernel, self.scale, self.matrix = (nn.Parameter(torch.rand(s)) for s in ((4, 3, 2, 2), (4,), (5, 4)))

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            maps = nn.functional.conv2d(image, self.kernel, stride=2)
            maps = nn.functional.batch_norm(maps, running_mean=torch.zeros(4), running_var=torch.ones(4), eps=3.0)
            tokens = nn.functional.layer_norm(maps.flatten(2).transpose(1, 2), [4], eps=1e-3, weight=self.scale)
            return nn.functional.linear(tokens, weight=self.matrix)

    network = Named().eval()
    weights = network_weights(network, (torch.rand(1, 3, 8, 8),))
    (convolution,), (layer,) = weights.convolutions, weights.others
    np.testing.assert_allclose(convolution.weight, network.kernel.detach().numpy() / 2, rtol=1e-6)  # 1 / √(1 + 3)
    joined = (network.matrix * network.scale).detach().numpy()
    np.testing.assert_allclose(layer.joined["matrix"], joined, rtol=1e-6)

"""The scale of what has no unit is moved into the range of 16-bit floats, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import fx, nn
from torch.nn import functional as F

from dofkit.export.rewrites.scales import centre_scale
from dofkit.export.stages import StageGraph
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.train.networks.adapted import AdaptedDepth
from dofkit.train.networks.contract import Meaning, Preprocessing

IMAGE = torch.rand(1, 3, 12, 16, generator=torch.Generator().manual_seed(0))


class Head(nn.Module):
    """Two maps of normalised features, added up and resized between convolutions, as decoders of depth do."""

    def __init__(self, size: float, unit: bool = False) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.features = nn.Conv2d(3, 6, 3, padding=1)
        self.left, self.right = nn.Conv2d(6, 4, 1), nn.Conv2d(6, 4, 3, padding=1, bias=False)
        self.inner, self.last = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 1, 1)
        self.unit = unit
        with torch.no_grad():
            for values in (self.left.weight, self.left.bias, self.right.weight, self.inner.bias, self.last.bias):
                assert values is not None
                values *= size

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = torch.tanh(self.features(image))
        maps = F.relu(self.left(features) + self.right(features))
        found = self.last(F.relu(self.inner(F.interpolate(maps, scale_factor=2.0, mode="bilinear"))))
        return 10 * torch.sigmoid(found) if self.unit else found.abs()


def program(head: Head) -> fx.GraphModule:
    network = AdaptedDepth(head, Preprocessing(), Meaning.DEPTH if head.unit else Meaning.INVERSE_DEPTH).eval()
    module = torch.export.export(network, (IMAGE,)).module()
    assert isinstance(module, fx.GraphModule)
    centre_scale(module)
    module.recompile()
    with torch.no_grad():
        torch.testing.assert_close(module(IMAGE), network(IMAGE), rtol=1e-5, atol=1e-6)
    return module


def scaled(module: fx.GraphModule) -> Iterator[Any]:
    return (name for name, _ in module.named_buffers() if "scaled" in name)


@pytest.mark.parametrize("size", [1e-4, 1e7])
def test_weights_that_meet_features_and_all_biases_behind_them_are_multiplied_by_a_power_of_two(size: float) -> None:
    module = program(Head(size))
    buffers, parameters = dict(module.named_buffers()), dict(module.named_parameters())
    factors = {}
    for node in module.graph.nodes:
        if node.target is torch.ops.aten.conv2d.default:
            used = [buffers.get(str(each.target)) for each in node.args[1:3] if each is not None]
            name = str(node.meta["nn_module_stack"].popitem()[1][0]).rpartition(".")[2]
            own = [values.detach() for key, values in parameters.items() if f".{name}." in key]
            ratios = [None if new is None else new / old for new, old in zip(used, own, strict=True)]
            factors[name] = [None if each is None else float(each.flatten()[0]) for each in ratios]
            assert all(each is None or (each == each.flatten()[0]).all() for each in ratios)
    power = factors["left"][0]
    assert torch.frexp(torch.tensor(power)).mantissa == 0.5
    assert (power > 2) is (size < 1)
    assert factors == {
        "features": [None, None], "left": [power, power], "right": [power], "inner": [None, power],
        "last": [None, power],
    }  # fmt: skip


def test_what_16_bits_hold_anyway_stays() -> None:
    assert not list(scaled(program(Head(1.0))))


def test_what_has_a_unit_stays_however_small_its_layers() -> None:
    assert not list(scaled(program(Head(1e-6, unit=True))))


@pytest.mark.parametrize("value", [0.0, float("nan")])
def test_layers_that_give_nothing_stay(value: float) -> None:
    class Nothing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Conv2d(3, 1, 1)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.last(image)

    network = Nothing().eval()
    with torch.no_grad():
        for values in network.parameters():
            values.fill_(value)
    module = torch.export.export(network, (IMAGE,)).module()
    assert isinstance(module, fx.GraphModule)
    centre_scale(module)
    assert not list(scaled(module))


@pytest.mark.e2e
def test_what_a_file_stores_of_moved_layers_is_found(tmp_path: Path) -> None:
    from dofkit.export.folded import graph_weights
    from dofkit.export.onnx.convert import convert
    from dofkit.export.onnx.stored import STORED

    head = Head(1e-4)
    network = AdaptedDepth(head, Preprocessing(), Meaning.INVERSE_DEPTH).eval()
    graph = StageGraph(Stage.DEPTH, network, (12, 16), rewritten=True)
    weights = graph_weights(graph)
    moved = {layer.name: layer for layer in weights.convolutions}
    unmoved = head.left.weight.detach().numpy()
    assert np.abs(moved["network.left"].weight).max() > 100 * np.abs(unmoved).max()
    convert(graph, tmp_path / "moved.onnx")
    entries = STORED.compare(weights, tmp_path / "moved.onnx")
    assert [(e.name, e.problem, e.uncompared) for e in entries if e.problem or e.uncompared] == []

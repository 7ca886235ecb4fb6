"""A conversion that travels to another process has the same program, and knows where its operations stand."""

from __future__ import annotations

import io
import pickle
from functools import partial

import torch
from torch import fx, nn

from dofkit.export.coreml.convert import TracedStage
from dofkit.export.coreml.options import CoreMLOptions
from dofkit.export.refusals import refusal
from dofkit.export.rewrites.halves import half_but_ends
from dofkit.export.sending import send
from dofkit.export.stages import StageGraph
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.target import Target


class Net(nn.Module):
    """Parameters used twice, a buffer, an operation of several results, numbers that are no tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.inner = nn.Sequential(self.first, nn.BatchNorm2d(4))
        self.gain: torch.Tensor
        self.register_buffer("gain", torch.tensor([0.5, 2.0]).view(1, 2, 1, 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        first, second = torch.split(self.inner(self.first.weight.mean() + image), 2, dim=1)
        both = torch.cat([first * self.gain, second / self.gain], dim=1).roll(1, 2)
        return both.mean(dim=1, keepdim=True).clamp(0.0, 1.0).to(torch.float32)


def sent(graph: StageGraph) -> StageGraph:
    """A graph as another process has it."""
    stream = io.BytesIO()
    send(partial(print, graph), stream)
    return pickle.loads(stream.getvalue()).args[0]


def test_a_graph_arrives_with_its_program_and_without_its_network() -> None:
    torch.manual_seed(0)
    graph = StageGraph(Stage.DEPTH, Net().eval(), (8, 16), architecture="mine", exact=frozenset({"a"}), rewritten=True)
    there = sent(graph)
    assert (there.stage, there.size, there.architecture, there.exact) == (Stage.DEPTH, (8, 16), "mine", {"a"})
    program, arrived = graph.computed, there.computed
    assert isinstance(program, fx.GraphModule)
    assert isinstance(arrived, fx.GraphModule)
    assert there.network is arrived
    assert [node.target for node in arrived.graph.nodes] == [node.target for node in program.graph.nodes]
    read = {str(node.target) for node in program.graph.nodes if node.op == "get_attr"}
    assert {*arrived.state_dict()} == read
    assert "gain" in read
    image = torch.rand(1, 3, 8, 16)
    torch.testing.assert_close(arrived(image), graph.network(image), rtol=0, atol=1e-6)


def test_it_knows_where_an_operation_stands_and_what_is_a_float() -> None:
    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.deep = Net()

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.deep(image)

    graph = StageGraph(Stage.DEPTH, Whole().eval(), (8, 8), rewritten=True)
    here, there = graph.computed, sent(graph).computed
    assert isinstance(here, fx.GraphModule)
    assert isinstance(there, fx.GraphModule)
    words = [refusal("depth", each, Target.COREML, ValueError("aten::roll is unknown")) for each in (here, there)]
    assert words[0] == words[1]
    assert "aten.roll.default in deep (Net)" in words[1]
    image = torch.rand(1, 3, 8, 8)
    with torch.inference_mode():
        halves = [half_but_ends(each)(image) for each in (here, there)]
    torch.testing.assert_close(halves[0], halves[1], rtol=0, atol=0)


def test_a_stage_for_core_ml_is_traced_where_it_arrives() -> None:
    graph = StageGraph(Stage.DEPTH, Net().eval(), (8, 8), rewritten=True)
    stream = io.BytesIO()
    send(partial(print, TracedStage(graph, CoreMLOptions())), stream)
    stage = pickle.loads(stream.getvalue()).args[0]
    assert isinstance(stage, TracedStage)
    image = torch.rand(1, 3, 8, 8)
    torch.testing.assert_close(stage._traced(image), graph.network(image), rtol=0, atol=1e-6)

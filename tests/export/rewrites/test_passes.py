"""Each pass changes what its docstring says, and the program computes the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import fx, nn
from torch.nn import functional as F

from dofkit.export.rewrites.constants import constant_value, fold_constants
from dofkit.export.rewrites.idle import drop_checks, drop_idle, reshape_views
from dofkit.export.rewrites.norms import name_batch_norms
from dofkit.export.rewrites.products import multiply_vectors
from dofkit.export.rewrites.rewriting import rewritten
from dofkit.export.rewrites.writes import join_writes, take_copies
from dofkit.runtime_ref.errors import DofkitError


def exported(network: nn.Module, *example: torch.Tensor) -> fx.GraphModule:
    module = torch.export.export(network.eval(), example, strict=False).module()
    assert isinstance(module, fx.GraphModule)
    return module


def after(network: nn.Module, example: torch.Tensor, *passes: Callable[[fx.GraphModule], None]) -> Counter[str]:
    """What a program calls after some passes, by name; that it computes the same is asserted."""
    module = exported(network, example)
    for each in passes:
        each(module)
        module.graph.eliminate_dead_code()
    module.recompile()
    with torch.no_grad():
        torch.testing.assert_close(module(example), network(example), rtol=1e-6, atol=1e-6)
    return Counter(str(node.target).partition(".")[2] for node in module.graph.nodes if node.op == "call_function")


class _Positions(nn.Module):
    """Embeddings of a square of positions, stretched to another one, as DINOv2 does."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.positions = nn.Parameter(torch.rand(1, 1, 8)), nn.Parameter(torch.rand(1, 16, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        square = self.positions.reshape(1, 4, 4, 8).permute(0, 3, 1, 2)
        stretched = F.interpolate(square, (6, 5), mode="bicubic").permute(0, 2, 3, 1).reshape(1, 30, 8)
        return x + torch.cat([self.first, stretched], 1)


class _Pairs(nn.Module):
    """A table spread over all pairs of tokens, as BEiT and Swin do: 16 times its size."""

    index: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.rand(16, 4))
        self.register_buffer("index", torch.arange(256) % 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + F.embedding(self.index, self.table)


class _Layers(nn.Module):
    """A layer of weights, with copies and a dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.drop = nn.Linear(8, 8), nn.Dropout(0.3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.drop(self.layer(x)).contiguous().to(torch.float32).clone()


class _Projected(nn.Module):
    """Numbers weighed by a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.rand(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.matmul(x, self.weights)


def test_the_resize_of_position_embeddings_is_computed_once() -> None:
    assert after(_Positions(), torch.rand(1, 31, 8), fold_constants) == Counter({"add.Tensor": 1})


def test_what_would_bloat_the_file_is_not_folded() -> None:
    assert after(_Pairs(), torch.rand(256, 4), fold_constants)["embedding.default"] == 1


def test_what_a_converter_may_store_of_a_table_is_the_table_spread_over_its_pairs() -> None:
    network = _Pairs()
    module = exported(network, torch.rand(256, 4))
    fold_constants(module)
    found = constant_value(module, "table")
    assert found is not None
    torch.testing.assert_close(found, network.table.detach()[network.index])
    assert constant_value(exported(_Layers(), torch.rand(2, 8)), "layer.weight") is None  # it meets the input at once


def test_assertions_of_an_exported_program_vanish_and_change_nothing() -> None:
    class Checked(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            torch.ops.aten._assert_async.msg(torch.tensor(True), "values are finite")
            return F.relu(x.to(torch.float32))

    module = torch.export.export(Checked().eval(), (torch.rand(2, 8),), strict=False).module()
    assert isinstance(module, fx.GraphModule)
    names = {str(node.target) for node in module.graph.nodes}
    assert names & {"aten._assert_async.msg", "_guards_fn", "aten._assert_tensor_metadata.default"}, names
    drop_checks(module)
    module.graph.eliminate_dead_code()
    module.recompile()
    left = {str(node.target) for node in module.graph.nodes}
    assert not any("assert" in name or "guards" in name for name in left)
    x = torch.rand(2, 8) - 0.5
    torch.testing.assert_close(module(x), x.relu())


def test_weights_of_layers_stay_where_they_are() -> None:
    module = exported(_Layers(), torch.rand(2, 8))
    before = [node.target for node in module.graph.nodes if node.op == "get_attr"]
    fold_constants(module)
    module.graph.eliminate_dead_code()
    assert [node.target for node in module.graph.nodes if node.op == "get_attr"] == before == [
        "layer.weight", "layer.bias",
    ]  # fmt: skip


def test_copies_and_dropout_vanish() -> None:
    assert after(_Layers(), torch.rand(2, 8), drop_checks, drop_idle) == Counter({"linear.default": 1})


def test_a_view_of_a_copy_survives_without_the_copy() -> None:
    class Turned(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.transpose(1, 2).contiguous().view(2, 24)

    found = after(Turned(), torch.rand(2, 4, 6), reshape_views, drop_idle)
    assert found == Counter({"transpose.int": 1, "reshape.default": 1})


def test_a_batch_norm_is_one_operation() -> None:
    norm = nn.BatchNorm2d(3)
    assert norm.running_mean is not None
    nn.init.uniform_(norm.running_mean)
    network = nn.Sequential(norm).eval()
    x = torch.rand(1, 3, 4, 4)
    program = torch.export.export(network, (x,), strict=False).run_decompositions({}).module()
    assert isinstance(program, fx.GraphModule)
    name_batch_norms(program)
    program.graph.eliminate_dead_code()
    program.recompile()
    torch.testing.assert_close(program(x), network(x))
    assert [str(node.target) for node in program.graph.nodes if node.op == "call_function"] == [
        "aten.batch_norm.default"
    ]


def test_a_product_with_a_vector_is_a_multiplication_and_a_sum() -> None:
    assert after(_Projected(), torch.rand(2, 3, 8), multiply_vectors) == Counter(
        {"mul.Tensor": 1, "sum.dim_IntList": 1}
    )


@pytest.mark.parametrize("source", [0, slice(0, 1)])
def test_what_is_copied_into_a_tensor_stands_in_its_place(source: int | slice) -> None:
    class Copied(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.ops.aten.copy(x[1:3], x[source]) + 1

    assert "copy.default" not in after(Copied(), torch.rand(4, 3), take_copies)


@pytest.mark.parametrize("place", [0, 3, -1])
def test_a_write_of_one_place_is_a_concatenation(place: int) -> None:
    class Written(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.select_scatter(x, x[:, 1] * 2, 1, place)

    found = after(Written(), torch.rand(2, 5, 3), join_writes)
    assert "select_scatter.default" not in found
    assert found["cat.default"] == 1


@pytest.mark.parametrize(("start", "end"), [(0, 2), (1, 3), (-2, None), (0, None)])
def test_a_write_of_a_slice_is_a_concatenation(start: int, end: int | None) -> None:
    class Written(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.slice_scatter(x, x[:, start:end] * 2, 1, start, end)

    assert "slice_scatter.default" not in after(Written(), torch.rand(2, 5, 3), join_writes)


def test_a_rewritten_network_has_its_parameters_under_their_paths() -> None:
    module = rewritten(nn.Sequential(_Layers()).eval(), (torch.rand(2, 8),), "depth")
    assert {name for name, _ in module.named_parameters()} == {"0.layer.weight", "0.layer.bias"}
    assert module.eval() is module  # exported programs refuse it


def test_a_network_that_branches_on_values_is_refused_with_a_remedy() -> None:
    class Branching(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + int(x.max())

    with pytest.raises(
        DofkitError, match=r"depth: torch\.export cannot take the network .*make what depends on values"
    ):
        rewritten(Branching(), (torch.rand(2, 8),), "depth")

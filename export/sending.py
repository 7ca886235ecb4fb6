"""A conversion as bytes, for a process of its own: what a converter is given, without the network that it came from.

A program of torch.export travels as the list of its operations and its tensors: PyTorch's own way traces it again,
which renames what it holds and forgets where its operations stood in the network.

Pickled as multiprocessing would, between two processes of one run, in a folder that only its user may open: nothing
that comes from elsewhere is ever unpickled.
"""

from __future__ import annotations

import dataclasses
import functools
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import torch
from torch import fx
from torch.fx.node import map_aggregate

from .rewrites.constants import attribute
from .stages import StageGraph


def send(work: Any, stream: BinaryIO) -> None:
    """Write a function: a module's own, or a partial of one whose arguments are graphs and data."""
    _Pickler(stream, protocol=pickle.HIGHEST_PROTOCOL).dump(work)


class _Pickler(pickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        """How programs and their graphs travel; all else in Python's way."""
        if isinstance(obj, fx.GraphModule):
            return _program, (_operations(obj), _tensors(obj))
        if isinstance(obj, StageGraph) and obj.rewritten:
            fields = {each.name: getattr(obj, each.name) for each in dataclasses.fields(obj) if each.name != "network"}
            return _graph, (fields, obj.computed)
        return NotImplemented


@dataclass(frozen=True)
class _Result:
    """Of an earlier operation, by its number."""

    number: int


@dataclass(frozen=True)
class _Operation:
    """A node of a program.

    Attributes:
        op, target, args, kwargs, name: the node's; an operator of PyTorch's by its name, nodes as `_Result`.
        stack: the layers that it stands in, by (path, class).
        value: shape and type of its result; None where it is no tensor.
    """

    op: str
    target: Any
    args: Any
    kwargs: Any
    name: str
    stack: Mapping[str, tuple[str, str]]
    value: tuple[tuple[int, ...], torch.dtype] | None


@dataclass(frozen=True)
class _Operator:
    """An operator of PyTorch's, by its name: "aten.add.Tensor"."""

    name: str


def _operations(module: fx.GraphModule) -> list[_Operation]:
    numbers = {node: number for number, node in enumerate(module.graph.nodes)}

    def numbered(argument: Any) -> Any:
        return _Result(numbers[argument]) if isinstance(argument, fx.Node) else argument

    def sent(argument: Any) -> Any:
        return map_aggregate(argument, numbered)

    return [
        _Operation(
            node.op,
            _Operator(str(node.target)) if isinstance(node.target, torch._ops.OpOverload) else node.target,
            sent(node.args),
            sent(node.kwargs),
            node.name,
            {key: (path, _named(kind)) for key, (path, kind) in (node.meta.get("nn_module_stack") or {}).items()},
            _value(node.meta.get("val")),
        )
        for node in module.graph.nodes
    ]


def _named(kind: Any) -> str:
    return kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"


def _value(result: Any) -> tuple[tuple[int, ...], torch.dtype] | None:
    return (tuple(map(int, result.shape)), result.dtype) if isinstance(result, torch.Tensor) else None


def _tensors(module: fx.GraphModule) -> dict[str, Any]:
    names = (str(node.target) for node in module.graph.nodes if node.op == "get_attr")
    return {name: attribute(module, name) for name in names}


def _graph(fields: Mapping[str, Any], computed: fx.GraphModule) -> StageGraph:
    """In the process: the graph, of the program alone."""
    graph = StageGraph(network=computed, **fields)
    graph.__dict__["computed"] = computed
    return graph


def _program(operations: Sequence[_Operation], tensors: Mapping[str, Any]) -> fx.GraphModule:
    """In the process: the program, which takes the inputs in their order and gives one tensor."""
    graph, made = fx.Graph(), []

    def received(argument: Any) -> Any:
        return map_aggregate(argument, lambda each: made[each.number] if isinstance(each, _Result) else each)

    for each in operations:
        target, args = each.target, received(each.args)
        if isinstance(target, _Operator):
            target = functools.reduce(getattr, target.name.split("."), cast(Any, torch.ops))
        if each.op == "output":
            args = (_only(args[0]),)
        node = graph.create_node(each.op, target, args, received(each.kwargs), each.name)
        node.meta["nn_module_stack"] = dict(each.stack)
        if each.value is not None:
            node.meta["val"] = torch.empty(each.value[0], dtype=each.value[1], device="meta")
        made.append(node)
    module = fx.GraphModule(dict(tensors), graph).eval()
    module.graph.lint()
    return module


def _only(output: Any) -> Any:
    """The output of a program, which torch.export has in tuples."""
    while isinstance(output, list | tuple):
        (output,) = output
    return output

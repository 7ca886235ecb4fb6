"""Writes into parts of tensors, in other words."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

_aten = torch.ops.aten
_END = 2**63 - 1


def take_copies(module: fx.GraphModule) -> None:
    """What is copied into a tensor of the same type in that tensor's place, spread to its shape: coremltools refuses
    copies.

    Given:   y = copy(x [2, 8], v [1, 8])
    Result:  y = expand(v, [2, 8])
    """
    for node in list(module.graph.nodes):
        if node.target is not _aten.copy.default:
            continue
        goal, source = (each.meta["val"] for each in node.args[:2])
        if goal.dtype != source.dtype:
            continue
        taken = node.args[1]
        if goal.shape != source.shape:
            with module.graph.inserting_before(node):
                taken = _call(module, _aten.expand.default, (taken, list(goal.shape)))
        node.replace_all_uses_with(taken)
        module.graph.erase_node(node)


def join_writes(module: fx.GraphModule) -> None:
    """A tensor with a part replaced as a concatenation of what is before it, the part, and what is after it:
    coremltools refuses the write, and others gather and scatter for it.

    Given:   y = select_scatter(x [n, 5], v [n], 1, 0)
    Result:  y = cat([unsqueeze(v, 1), slice(x, 1, 1, 5)], 1)
    """
    for node in list(module.graph.nodes):
        if node.target is _aten.select_scatter.default:
            x, part, axis, start = _arguments(node)
            with module.graph.inserting_before(node):
                part = _call(module, _aten.unsqueeze.default, (part, axis))
            _replace(module, node, x, part, axis, start, start + 1)
        elif node.target is _aten.slice_scatter.default:
            x, part, axis, start, end, step = _slice_arguments(node)
            if step == 1:
                _replace(module, node, x, part, axis, start, end)


def _arguments(node: fx.Node) -> tuple[fx.Node, fx.Node, int, int]:
    x, part, axis, place = node.args
    assert isinstance(x, fx.Node)
    assert isinstance(part, fx.Node)
    assert isinstance(axis, int)
    assert isinstance(place, int)
    sizes = x.meta["val"].shape
    axis %= len(sizes)
    return x, part, axis, place % int(sizes[axis])


def _slice_arguments(node: fx.Node) -> tuple[fx.Node, fx.Node, int, int, int, int]:
    given: dict[str, Any] = dict(zip(("x", "part", "dim", "start", "end", "step"), node.args, strict=False))
    given.update(node.kwargs)
    x, part = given["x"], given["part"]
    sizes = x.meta["val"].shape
    axis = given.get("dim", 0) % len(sizes)
    size = int(sizes[axis])
    start, end = given.get("start") or 0, given.get("end")
    start, end = (
        min(max(place + size if place < 0 else place, 0), size) for place in (start, _END if end is None else end)
    )
    return x, part, axis, start, end, given.get("step", 1)


def _replace(module: fx.GraphModule, node: fx.Node, x: fx.Node, part: fx.Node, axis: int, start: int, end: int) -> None:
    size = int(x.meta["val"].shape[axis])
    with module.graph.inserting_before(node):
        before = [_call(module, _aten.slice.Tensor, (x, axis, 0, start))] if start else []
        after = [_call(module, _aten.slice.Tensor, (x, axis, end, size))] if end < size else []
        whole = _call(module, _aten.cat.default, ([*before, part, *after], axis))
    whole.meta = dict(node.meta)
    node.replace_all_uses_with(whole)
    module.graph.erase_node(node)


def _call(module: fx.GraphModule, target: Any, args: tuple[Any, ...]) -> fx.Node:
    """A new operation, and what it gives of the example."""
    node = module.graph.call_function(target, args)
    node.meta["val"] = target(*fx.map_arg(args, lambda each: each.meta["val"]))
    return node

"""What a program computes from its parameters alone: computed once, where that makes it no larger.

Folding everything would bloat: a table of relative positions spread over all pairs of tokens takes 25 MB in a Swin
transformer and 900 in a large BEiT. What no converter can do in a graph is folded whatever its size: the bicubic resize
of position embeddings.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import torch
from torch import fx

_aten = torch.ops.aten
FOLDED = "folded_"
"""What the names of constants begin with that are computed from parameters."""
NUMBERS = "numbers_"
"""The same of others: converters fold them further, no weight is among them."""

# They only look at a parameter in another way; converters read the layouts that they want out of them, and stored
# weights are found in a file by their layers' names.
_VIEWS = (
    _aten.t.default, _aten.transpose.int, _aten.permute.default, _aten.view.default, _aten.reshape.default,
    _aten.unsqueeze.default, _aten.squeeze.dim, _aten.expand.default, _aten.slice.Tensor, _aten.select.int,
    _aten.flatten.using_ints,
)  # fmt: skip
_RESIZES = (
    _aten.upsample_bicubic2d.vec, _aten.upsample_bicubic2d.default, _aten._upsample_bicubic2d_aa.default,
    _aten._upsample_bicubic2d_aa.vec, _aten.upsample_bilinear2d.vec, _aten.upsample_bilinear2d.default,
    _aten._upsample_bilinear2d_aa.default, _aten._upsample_bilinear2d_aa.vec, _aten.upsample_linear1d.vec,
)  # fmt: skip

_RESIZED = 4
"""A chain with a resize is stored whole up to so many times the size of its parameters: twice their sides."""


def fold_constants(module: fx.GraphModule) -> None:
    """Compute what depends on parameters only.

    Given:   e = bicubic(permute(reshape(positions))); y = add(x, cat(first, e))
    Result:  y = add(x, folded_0)
    """
    constant: dict[fx.Node, Any] = {}  # values are computed when they are wanted
    for node in module.graph.nodes:
        if _depends_on_constants_only(node, constant):
            constant[node] = None
    left = [node for node in constant if any(user not in constant for user in node.users)]
    stored: set[fx.Node] = set()
    while left:  # down each chain until storing pays
        node = left.pop()
        if node in stored:
            continue
        if _pays(node):
            stored.add(node)
            of_parameters = any(each.op == "get_attr" for each in _chain(node))
            _store(module, node, constant, f"{FOLDED if of_parameters else NUMBERS}{len(stored) - 1}")
        else:
            left += node.all_input_nodes


def constant_value(module: fx.GraphModule, name: str) -> torch.Tensor | None:
    """What a program computes of a constant without the image, at the end of its chain: a converter may store that.

    Args:
        name: of the constant.

    Returns:
        None where nothing is computed of it, or more than one result.
    """
    constant: dict[fx.Node, Any] = {}
    for node in module.graph.nodes:
        if _depends_on_constants_only(node, constant):
            constant[node] = None
    ends, left = set(), [node for node in constant if node.op == "get_attr" and node.target == name]
    while left:
        node = left.pop()
        left += [user for user in node.users if user in constant]
        if any(user not in constant for user in node.users):
            ends.add(node)
    if len(ends) != 1 or (end := ends.pop()).op == "get_attr":
        return None
    return _value(module, end, constant)


def _store(module: fx.GraphModule, node: fx.Node, constant: dict[fx.Node, Any], name: str) -> None:
    """Let what uses a result read it from the program instead."""
    module.register_buffer(name, _value(module, node, constant).clone().contiguous())
    with module.graph.inserting_before(node):
        stored = module.graph.get_attr(name)
    stored.meta = dict(node.meta)
    node.replace_all_uses_with(stored)
    constant[stored] = _value(module, node, constant)


def _depends_on_constants_only(node: fx.Node, constant: dict[fx.Node, Any]) -> bool:
    if node.op == "get_attr":
        return isinstance(node.meta.get("val"), torch.Tensor)
    if node.op != "call_function" or not all(source in constant for source in node.all_input_nodes):
        return False
    if node.target is operator.getitem:  # of what gives several tensors
        return True
    return (
        isinstance(node.target, torch._ops.OpOverload)
        and isinstance(node.meta.get("val"), torch.Tensor | list | tuple)
        and torch.Tag.nondeterministic_seeded not in node.target.tags
    )


def _pays(node: fx.Node) -> bool:
    """Whether a result is to be stored instead of computed."""
    value, chain = node.meta["val"], list(_chain(node))
    operations = [each for each in chain if each.op == "call_function" and each.target not in _VIEWS]
    if not operations or not isinstance(value, torch.Tensor):
        return False
    if not value.is_floating_point():  # places in a table: converters cannot compute them, and they are small
        return True
    before = sum(each.meta["val"].numel() for each in chain if each.op == "get_attr")
    resized = any(each.target in _RESIZES for each in operations)
    return node.target in _RESIZES or not before or value.numel() <= (_RESIZED if resized else 1) * before


def _chain(node: fx.Node) -> Iterator[fx.Node]:
    """A node and all that it is computed from, each once."""
    seen, left = {node}, [node]
    while left:
        each = left.pop()
        yield each
        new = [source for source in each.all_input_nodes if source not in seen]
        seen.update(new)
        left += new


def _value(module: fx.GraphModule, node: fx.Node, constant: dict[fx.Node, Any]) -> Any:
    found = constant[node]
    if found is not None:
        return found
    if node.op == "get_attr":
        value = attribute(module, str(node.target))
    else:
        args, kwargs = fx.map_arg((node.args, node.kwargs), lambda each: _value(module, each, constant))
        with torch.no_grad():
            value = node.target(*args, **kwargs)  # pyright: ignore[reportCallIssue]
    constant[node] = value
    return value


def attribute(module: fx.GraphModule, path: str) -> torch.Tensor:
    """The parameter or buffer of a path."""
    value: object = module
    for name in path.split("."):
        value = getattr(value, name)
    assert isinstance(value, torch.Tensor)
    return value.detach()

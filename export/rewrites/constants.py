"""What a program computes from its parameters alone: computed once, where that makes it no larger.

Folding everything would bloat: a table of relative positions spread over all pairs of tokens takes 25 MB in a Swin
transformer and 900 in a large BEiT. What no converter can do in a graph is folded whatever its size: the bicubic resize
of position embeddings.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import fx

_aten = torch.ops.aten
FOLDED = "folded_"
"""What the names of computed constants begin with."""

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


def fold_constants(module: fx.GraphModule) -> None:
    """Compute what depends on parameters only.

    Given:   e = bicubic(permute(reshape(positions))); y = add(x, cat(first, e))
    Result:  y = add(x, folded_0)
    """
    constant: dict[fx.Node, torch.Tensor | None] = {}  # values are computed when they are wanted
    for node in module.graph.nodes:
        if _depends_on_constants_only(node, constant):
            constant[node] = None
    wanted = [node for node in constant if any(user not in constant for user in node.users)]
    number = 0
    for node in wanted:
        if _pays(node, constant):
            name = f"{FOLDED}{number}"
            number += 1
            module.register_buffer(name, _value(module, node, constant).clone().contiguous())
            with module.graph.inserting_before(node):
                stored = module.graph.get_attr(name)
            stored.meta = dict(node.meta)
            node.replace_all_uses_with(stored, lambda user: user not in constant)


def _depends_on_constants_only(node: fx.Node, constant: dict[fx.Node, torch.Tensor | None]) -> bool:
    if node.op == "get_attr":
        return isinstance(node.meta.get("val"), torch.Tensor)
    return (
        node.op == "call_function"
        and isinstance(node.meta.get("val"), torch.Tensor)
        and all(source in constant for source in node.all_input_nodes)
        and isinstance(node.target, torch._ops.OpOverload)
        and not node.target._schema.is_mutable
        and torch.Tag.nondeterministic_seeded not in node.target.tags
    )


def _pays(node: fx.Node, constant: dict[fx.Node, torch.Tensor | None]) -> bool:
    """Whether a result is to be stored instead of computed."""
    chain = list(_chain(node))
    operations = [each for each in chain if each.op == "call_function" and each.target not in _VIEWS]
    if not operations:
        return False
    stored = {each for each in chain if each.op == "get_attr"}
    before = sum(each.meta["val"].numel() for each in stored)
    resized = any(each.target in _RESIZES for each in operations)
    return resized or not stored or node.meta["val"].numel() <= before


def _chain(node: fx.Node) -> Iterator[fx.Node]:
    """A node and all that it is computed from, each once."""
    seen, left = {node}, [node]
    while left:
        each = left.pop()
        yield each
        new = [source for source in each.all_input_nodes if source not in seen]
        seen.update(new)
        left += new


def _value(module: fx.GraphModule, node: fx.Node, constant: dict[fx.Node, torch.Tensor | None]) -> torch.Tensor:
    found = constant[node]
    if found is not None:
        return found
    if node.op == "get_attr":
        value = _attribute(module, str(node.target))
    else:
        args, kwargs = fx.map_arg((node.args, node.kwargs), lambda each: _value(module, each, constant))
        with torch.no_grad():
            value = node.target(*args, **kwargs)  # pyright: ignore[reportCallIssue]
    constant[node] = value
    return value


def _attribute(module: fx.GraphModule, path: str) -> torch.Tensor:
    value: object = module
    for name in path.split("."):
        value = getattr(value, name)
    assert isinstance(value, torch.Tensor)
    return value.detach()

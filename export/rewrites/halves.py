"""A program in half precision, as far as it can be."""

from __future__ import annotations

import torch
from torch import fx

from ..tails import tail
from .constants import attribute

_aten = torch.ops.aten
# What ends a network's tail.
_LAYERS = {
    _aten.conv1d.default, _aten.conv2d.default, _aten.conv2d.padding, _aten.conv_transpose2d.input,
    _aten.convolution.default, _aten.linear.default, _aten.matmul.default, _aten.mm.default, _aten.bmm.default,
    _aten.addmm.default, _aten.baddbmm.default, _aten.einsum.default, _aten.scaled_dot_product_attention.default,
}  # fmt: skip


def half_but_tail(module: fx.GraphModule) -> fx.GraphModule:
    """The program in float16 but for its tail, see `tails`; changed in place, it takes float16 and gives float32.

    Given:   x = conv(i, w); y = mul(x, folded_0)
    Result:  x = conv(i, half(w)); y = mul(to(x, float32), folded_0)
    """
    (output,) = (node for node in module.graph.nodes if node.op == "output")
    exact = set(tail(_sources(output), _sources, lambda node: node.target in _LAYERS))
    _halve(module, exact)
    for node in list(module.graph.nodes):
        if node.op == "get_attr" or node in exact or not _is_float(node) or not exact.intersection(node.users):
            continue
        with module.graph.inserting_after(node):
            wide = module.graph.call_function(_aten.to.dtype, (node, torch.float32))
        node.replace_all_uses_with(wide, exact.__contains__)
    module.recompile()
    return module


def _halve(module: fx.GraphModule, exact: set[fx.Node]) -> None:
    """All parameters in float16, those of some operations as they are, under names of their own."""
    read = [node for node in module.graph.nodes if node.op == "get_attr" and exact.intersection(node.users)]
    values = [attribute(module, str(node.target)).clone() for node in read]
    module.half()
    for number, (node, value) in enumerate(zip(read, values, strict=True)):
        name = f"exact_{number}"
        module.register_buffer(name, value)
        with module.graph.inserting_after(node):
            wide = module.graph.get_attr(name)
        node.replace_all_uses_with(wide, exact.__contains__)


def _sources(node: fx.Node) -> list[fx.Node]:
    return [source for source in node.all_input_nodes if source.op == "call_function"]


def _is_float(node: fx.Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.is_floating_point()

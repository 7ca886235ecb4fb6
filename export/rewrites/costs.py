"""Layers of a program: the operations that multiply and add, and how often."""

from __future__ import annotations

import math

import torch
from torch import fx

_aten = torch.ops.aten
_CONVOLUTIONS = {_aten.conv1d.default, _aten.conv2d.default, _aten.conv2d.padding, _aten.convolution.default}
_TRANSPOSED = {_aten.conv_transpose2d.input}
_PRODUCTS = {
    _aten.linear.default, _aten.matmul.default, _aten.mm.default, _aten.bmm.default, _aten.addmm.default,
    _aten.baddbmm.default, _aten.einsum.default,
}  # fmt: skip
_ATTENTION = {_aten.scaled_dot_product_attention.default}
LAYERS = _CONVOLUTIONS | _TRANSPOSED | _PRODUCTS | _ATTENTION


def multiply_adds(node: fx.Node) -> int:
    """How many products an operation of a program sums up; 0 of what is no layer."""
    if node.target not in LAYERS:
        return 0
    # One tensor may be several operands; those of an einsum stand in a list.
    given = [each for each in node.args if isinstance(each, fx.Node)] or node.all_input_nodes
    operands = [each.meta["val"].shape for each in given]
    count = math.prod(node.meta["val"].shape)
    if node.target in _TRANSPOSED or (node.target is _aten.convolution.default and node.args[6]):
        return math.prod(operands[0]) * math.prod(operands[1][1:])
    if node.target in _CONVOLUTIONS:
        return count * math.prod(operands[1][1:])
    if node.target in _ATTENTION:  # queries with keys, and what comes of it with values
        keys = operands[1][-2]
        return math.prod(operands[0]) * keys + count * keys
    # Of a sum and a product the operands of the product come last.
    first = operands[1] if node.target in (_aten.addmm.default, _aten.baddbmm.default) else operands[0]
    return count * first[-1]


def sources(node: fx.Node) -> list[fx.Node]:
    """The operations that an operation's operands come from: no constants, no inputs."""
    return [source for source in node.all_input_nodes if source.op == "call_function"]

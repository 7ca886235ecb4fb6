"""Products that converters refuse or get wrong, in other words."""

from __future__ import annotations

import torch
from torch import fx

_aten = torch.ops.aten


def multiply_vectors(module: fx.GraphModule) -> None:
    """A matrix times a vector as a multiplication and a sum: coremltools takes no matmul of rank 1.

    Given:   y = matmul(x [..., k], v [k])
    Result:  y = sum(mul(x, v), [-1])
    """
    for node in list(module.graph.nodes):
        if node.op != "call_function" or node.target not in (_aten.matmul.default, _aten.mv.default):
            continue
        left, right = node.args
        if right.meta["val"].ndim != 1:
            continue
        with module.graph.inserting_before(node):
            product = module.graph.call_function(_aten.mul.Tensor, (left, right))
            total = module.graph.call_function(_aten.sum.dim_IntList, (product, [-1]))
        product.meta["val"] = left.meta["val"] * right.meta["val"]
        total.meta = dict(node.meta)
        node.replace_all_uses_with(total)
        module.graph.erase_node(node)

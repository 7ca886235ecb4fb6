"""Normalisations in the form that converters know as a whole."""

from __future__ import annotations

import operator

import torch
from torch import fx

_aten = torch.ops.aten


def name_batch_norms(module: fx.GraphModule) -> None:
    """BatchNorm with stored statistics as one operation of one result: exporting without writes in place makes it give
    three, of which two are nothing, and coremltools refuses that.

    Given:   t = _native_batch_norm_legit_no_training(x, w, b, mean, variance, 0.1, 1e-5); y = t[0]
    Result:  y = batch_norm(x, w, b, mean, variance, False, 0.1, 1e-5, False)
    """
    for node in list(module.graph.nodes):
        if node.target is not _aten._native_batch_norm_legit_no_training.default:
            continue
        *tensors, momentum, epsilon = node.args
        for user in list(node.users):
            assert user.target is operator.getitem, "a tuple's parts are taken one by one"
            if user.args[1] != 0:
                continue
            with module.graph.inserting_before(node):
                named = module.graph.call_function(
                    _aten.batch_norm.default, (*tensors, False, momentum, epsilon, False)
                )
            named.meta = dict(user.meta)
            user.replace_all_uses_with(named)
            module.graph.erase_node(user)

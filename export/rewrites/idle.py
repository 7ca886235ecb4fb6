"""Operations that compute nothing: checks of what an exported program was promised, and copies."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import fx

_aten = torch.ops.aten

_CHECKS = (_aten._assert_tensor_metadata.default, _aten._assert_async.msg, _aten._assert_scalar.default)


def drop_checks(module: fx.GraphModule) -> None:
    """Remove assertions: an exported graph has one size and one type.

    Given:   guards(x); assert_tensor_metadata(x, float32); y = relu(x)
    Result:  y = relu(x)
    """
    for node in list(module.graph.nodes):
        guards = node.op == "call_module" and str(node.target).startswith("_guards")
        if (guards or node.target in _CHECKS) and not node.users:
            module.graph.erase_node(node)


def _is_off(node: fx.Node) -> bool:
    """A dropout in evaluation mode."""
    return node.args[2] is False


def _keeps_type(node: fx.Node) -> bool:
    return node.meta["val"].dtype == _source(node).meta["val"].dtype


def _is_same_shape(node: fx.Node) -> bool:
    return node.meta["val"].shape == _source(node).meta["val"].shape


def _always(_: fx.Node) -> bool:
    return True


_IDLE: dict[object, Callable[[fx.Node], bool]] = {
    _aten.dropout.default: _is_off,
    _aten.contiguous.default: _always,
    _aten.clone.default: _always,
    _aten.alias.default: _always,
    _aten.detach.default: _always,
    _aten.detach_.default: _always,
    _aten.lift_fresh_copy.default: _always,
    _aten.to.dtype: _keeps_type,
    _aten.to.dtype_layout: _keeps_type,
    _aten.to.device: _keeps_type,
    _aten.type_as.default: _keeps_type,
    _aten._to_copy.default: _keeps_type,
    _aten.expand.default: _is_same_shape,
}


def drop_idle(module: fx.GraphModule) -> None:
    """Remove what changes no number: dropout out of training, copies, conversions to the same type.

    Given:   y = dropout(x, 0.1, train=False); z = contiguous(to(y, float32))
    Result:  z = x
    """
    for node in list(module.graph.nodes):
        if node.op == "call_function" and node.target in _IDLE and _IDLE[node.target](node):
            node.replace_all_uses_with(_source(node))
            module.graph.erase_node(node)


def reshape_views(module: fx.GraphModule) -> None:
    """Let every view be a reshape: a copy that made it possible may be gone.

    Given:   y = view(contiguous(transpose(x, 1, 2)), [8, 16])
    Result:  y = reshape(contiguous(transpose(x, 1, 2)), [8, 16])
    """
    for node in module.graph.nodes:
        if node.target in (_aten.view.default, _aten._unsafe_view.default):
            node.target = _aten.reshape.default


def _source(node: fx.Node) -> fx.Node:
    source = node.args[0]
    assert isinstance(source, fx.Node)
    return source

"""A program in half precision, as far as it can be."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import fx

from ..tails import tail
from .constants import attribute
from .costs import LAYERS, multiply_adds, sources

_aten = torch.ops.aten
_NORMS = {_aten.layer_norm.default, _aten.group_norm.default, _aten.native_layer_norm.default}
_FOLDED = {_aten.batch_norm.default}  # converters make one operation of it and the layer before it, of one type

_SHARE = 0.25
"""Of a network's products, those that may stay in float32. A runtime may keep sums in 16 bits (ONNX Runtime does on
ARM), and which layers' sums cost most was measured with copies of six networks that round after every product: the
first and the last ones, where nothing comes that evens errors out."""


def half_but_ends(module: fx.GraphModule) -> fx.GraphModule:
    """The program in float16 but for its tail, see `tails`, and the first and last layers, as many as `_SHARE` allows;
    changed in place, it takes and gives float32.

    Given:   x = conv(i, w); y = conv(x, v); z = conv(y, u); d = mul(z, folded_0)
    Result:  x = conv(i, w); y = conv(to(x, float16), half(v)); z = conv(to(y, float32), u); d = mul(z, folded_0)
    """
    exact = set(ends(module))
    _halve(module, exact)
    for node in list(module.graph.nodes):
        if node.op in ("get_attr", "output") or not _is_float(node):
            continue
        is_exact = node in exact or node.op == "placeholder"
        _cast(module, node, torch.float16 if is_exact else torch.float32, _other(node, exact, is_exact))
    module.recompile()
    return module


def ends(module: torch.nn.Module) -> list[fx.Node]:
    """The operations of a program that stay in float32, in its order."""
    assert isinstance(module, fx.GraphModule)
    (output,) = (node for node in module.graph.nodes if node.op == "output")
    order = {node: number for number, node in enumerate(module.graph.nodes)}
    left = _SHARE * sum(map(multiply_adds, order))
    exact = set(tail(sources(output), sources, _is_end))
    last = set(exact)
    for node in (each for each in order if _is_first(each)):
        if (cost := multiply_adds(node)) <= left:
            left -= cost
            exact |= {node, *_before(node, _is_layer), *(user for user in node.users if user.target in _FOLDED)}
    while waiting := {source for node in last for source in sources(node) if _is_layer(source)} - exact:
        node = max(waiting, key=order.__getitem__)
        if (left := left - multiply_adds(node)) < 0:
            break
        last |= {node, *_before(node, _is_end)}
        exact |= last
    return sorted(exact, key=order.__getitem__)


def _before(node: fx.Node, is_end: Callable[[fx.Node], bool]) -> list[fx.Node]:
    """What an operation is computed of, up to an end on the way."""
    return tail(sources(node), sources, is_end)


def _is_first(node: fx.Node) -> bool:
    """A layer that sees the image."""
    before = (node, *_before(node, _is_layer))
    return _is_layer(node) and not any(_is_layer(source) for each in before for source in sources(each))


def _is_layer(node: fx.Node) -> bool:
    return node.target in LAYERS


def _is_end(node: fx.Node) -> bool:
    """Behind it float32 ends: what a normalisation is made of goes back to the first layer."""
    return _is_layer(node) or node.target in _NORMS


def _other(node: fx.Node, exact: set[fx.Node], is_exact: bool) -> Iterable[fx.Node]:
    """The users of a result that compute in the other type; what the program gives is float32."""
    return (user for user in node.users if (user in exact or user.op == "output") is not is_exact)


def _cast(module: fx.GraphModule, node: fx.Node, dtype: torch.dtype, users: Iterable[fx.Node]) -> None:
    """Let some of the users of a result take it in another type."""
    taking = set(users)
    if not taking:
        return
    with module.graph.inserting_after(node):
        cast = module.graph.call_function(_aten.to.dtype, (node, dtype))
    node.replace_all_uses_with(cast, taking.__contains__)


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


def _is_float(node: fx.Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.is_floating_point()

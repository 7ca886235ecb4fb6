"""The last layers of a network whose output has no unit, in the range of 16-bit floats.

What comes after the last normalisation may have any scale: networks with random weights give 1e-5, MiDaS thousands.
Numbers below 6.1e-5 are subnormal in float16, and ARM cores take them for zero; above 65504 there are none. Where only
convolutions, ReLUs, sums and resizes lie between, a power of two moves all of them, and no number's digits change.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx

from ..tails import tail
from .constants import FOLDED, attribute
from .costs import LAYERS, sources

_aten = torch.ops.aten
_WEIGHTED = {_aten.conv2d.default, _aten.conv_transpose2d.input, _aten.linear.default}
# Of operands that are twice as large they give twice as much.
_HOMOGENEOUS = {
    _aten.relu.default, _aten.leaky_relu.default, _aten.neg.default, _aten.add.Tensor, _aten.sub.Tensor,
    _aten.upsample_bilinear2d.vec, _aten.upsample_nearest2d.vec, _aten.upsample_bicubic2d.vec, _aten.max_pool2d.default,
    _aten.avg_pool2d.default, _aten.cat.default, _aten.reshape.default, _aten.permute.default, _aten.transpose.int,
    _aten.squeeze.dim, _aten.squeeze.dims, _aten.unsqueeze.default, _aten.slice.Tensor, _aten.select.int,
}  # fmt: skip

_SUMS = {_aten.add.Tensor, _aten.sub.Tensor}
_SCALED = f"{FOLDED}scaled_"

_LEAST, _GREATEST = 2.0**-6, 2.0**13
"""Between them is the greatest number of a layer whose scale is left alone: a hundredth of it is still normal, and
pictures with greater ones than the one looked at have room."""
_GOAL = 2.0**12
"""The greatest number of all these layers once they are moved, if the smallest layer's does not come to 1 before."""


def centre_scale(module: fx.GraphModule) -> None:
    """Multiply the weights of the last layers by a power of two where float16 would lose what they give.

    Given:   x = conv(t, w, b); y = conv(relu(x), v, c); z = div(y, amax(y)), of 1e-5
    Result:  x = conv(t, folded_scaled_0, folded_scaled_1); y = conv(relu(x), v, folded_scaled_2); z = div(y, amax(y))
    """
    image = _example(module)
    region = _region(module)
    if image is None or region is None:
        return
    found = _Maxima(module, region)
    with torch.no_grad():
        before = found.run(*image)
        least, greatest = min(found.greatest), max(found.greatest)
        if not all(0 < each < math.inf for each in found.greatest):  # a layer that gives nothing has no scale
            return
        if least >= _LEAST and greatest <= _GREATEST:
            return
        old = {node: node.args for node in (*region.entries, *region.inner)}
        _scale(module, region, 2.0 ** math.floor(min(math.log2(_GOAL / greatest), -math.log2(least))))
        # The tail was not looked into: what has a unit, as metres have, comes out changed.
        if not torch.allclose(before, fx.Interpreter(module).run(*image), rtol=1e-4, atol=1e-5):
            _restore(module, old)


@dataclass
class _Region:
    """Layers whose outputs scale together.

    Attributes:
        entries: that see what has another scale; their weights and biases are multiplied.
        inner: that see what was multiplied; their biases are.
    """

    entries: list[fx.Node] = field(default_factory=list)
    inner: list[fx.Node] = field(default_factory=list)


class _Maxima(fx.Interpreter):
    """Computes a program and notes the greatest absolute number that each layer of a region gives."""

    def __init__(self, module: fx.GraphModule, region: _Region) -> None:
        super().__init__(module)
        self.greatest: list[float] = []
        self._layers = {*region.entries, *region.inner}

    def run_node(self, n: fx.Node) -> Any:
        """See `fx.Interpreter`."""
        result = super().run_node(n)
        if n in self._layers:
            self.greatest.append(float(result.abs().max()))
        return result


def _example(module: fx.GraphModule) -> tuple[torch.Tensor, ...] | None:
    """Inputs with something in them, the same every time: waves of several lengths; None where they are no pictures."""
    values = [node.meta.get("val") for node in module.graph.nodes if node.op == "placeholder"]
    if not values or not all(isinstance(value, torch.Tensor) and value.ndim == 4 for value in values):
        return None
    return tuple(_waves(tuple(map(int, value.shape))) for value in values)


def _waves(shape: tuple[int, ...]) -> torch.Tensor:
    count, channels, height, width = shape
    rows, columns = torch.arange(height).view(-1, 1) / height, torch.arange(width).view(1, -1) / width
    maps = [torch.sin((3 + 5 * c) * rows + 2) + torch.sin((20 + 3 * c) * columns * rows) for c in range(channels)]
    return (torch.stack(maps).expand(count, -1, -1, -1) / 4 + 0.5).contiguous()


def _region(module: fx.GraphModule) -> _Region | None:
    """The layers before the tail that scale together; None where there are none."""
    (output,) = (node for node in module.graph.nodes if node.op == "output")
    ends = {*tail(sources(output), sources, lambda node: node.target in LAYERS)}
    last = {source for node in (output, *ends) for source in sources(node) if source.target in LAYERS}
    if not last or not all(map(_is_weighted, last)):
        return None
    region, waiting, seen = _Region(), list(last), set()
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        if not _is_weighted(node):
            waiting += sources(node)
        elif _scales(_given(node)):
            region.inner.append(node)
            waiting.append(_given(node))
        else:
            region.entries.append(node)
    return region


def _scales(node: fx.Node) -> bool:
    """Whether what is given scales with the weights of layers before it, on every way to it."""
    if _is_weighted(node):
        return True
    given = sources(node)
    whole = len(given) == (2 if node.target in _SUMS else len(node.all_input_nodes))
    return node.target in _HOMOGENEOUS and whole and all(map(_scales, given))


def _scale(module: fx.GraphModule, region: _Region, factor: float) -> None:
    for node in list(module.graph.nodes):
        if node in region.entries:
            node.args = tuple(_multiplied(module, node, factor, (1, 2)))
        elif node in region.inner:
            node.args = tuple(_multiplied(module, node, factor, (2,)))


def _multiplied(module: fx.GraphModule, node: fx.Node, factor: float, places: tuple[int, ...]) -> Iterator[Any]:
    """The operands of a layer, some of its constants multiplied; zeros stay."""
    for place, operand in enumerate(node.args):
        constant = operand if place in places and isinstance(operand, fx.Node) else None
        values = None if constant is None else attribute(module, str(constant.target))
        if constant is None or values is None or not values.any():
            yield operand
            continue
        name = f"{_SCALED}{len([key for key, _ in module.named_buffers() if key.startswith(_SCALED)])}"
        module.register_buffer(name, values * factor)
        with module.graph.inserting_before(node):
            scaled = module.graph.get_attr(name)
        scaled.meta = dict(constant.meta)
        yield scaled


def _restore(module: fx.GraphModule, old: Mapping[fx.Node, tuple[Any, ...]]) -> None:
    for node, args in old.items():
        node.args = args
    module.graph.eliminate_dead_code()
    for name in [name for name, _ in module.named_buffers() if name.startswith(_SCALED)]:
        delattr(module, name)


def _is_weighted(node: fx.Node) -> bool:
    """A layer with weights of its own."""
    operands = [each for each in node.args[1:3] if isinstance(each, fx.Node)]
    return node.target in _WEIGHTED and bool(operands) and all(each.op == "get_attr" for each in operands)


def _given(node: fx.Node) -> fx.Node:
    given = node.args[0]
    assert isinstance(given, fx.Node)
    return given

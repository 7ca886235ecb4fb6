"""Which layers stand beside fully connected ones, so that a converter may multiply them in.

LiteRT's converter makes one layer of a LayerNorm's scale and shift and the fully connected layers after it, and of a
fully connected layer and a scale of its outputs (the LayerScale of vision transformers).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[Any]
Parameters = Mapping[str, torch.Tensor]
"""Of a layer, by their names in it."""

_GROUPING = frozenset(
    {"clone", "contiguous", "dropout", "flatten", "pad", "permute", "reshape", "roll", "transpose", "unsqueeze", "view"}
)
"""Functions that may leave every channel in its place: where the last axis stays as long, and no number is added."""
_SCALING = frozenset({"mul", "multiply"})


@dataclass(frozen=True, eq=False)
class Call:
    """A function that a network called.

    Attributes:
        function: its name: "linear", "layer_norm" …
        args, kwargs: its operands.
        output: its result.
    """

    function: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    output: Any

    def operand(self, place: int, name: str) -> Any:
        """An operand by its place in PyTorch's signature or by its name there; None where it is left out."""
        return self.args[place] if place < len(self.args) else self.kwargs.get(name)


@dataclass(frozen=True, eq=False)
class _Weighted:
    """What a layer multiplies with, and what it adds."""

    weight: torch.Tensor | None
    bias: torch.Tensor | None

    def uses(self, parameters: Parameters) -> bool:
        """Whether one of these is among its own."""
        return any(own is each for own in (self.weight, self.bias) for each in parameters.values())


@dataclass
class Neighbours:
    """Collects, while a network runs, what stands before and after its fully connected layers."""

    _norms: dict[int, tuple[_Weighted, torch.Tensor]] = field(default_factory=dict)  # by their results, kept alive
    _results: dict[int, tuple[_Weighted, torch.Tensor]] = field(default_factory=dict)  # of fully connected layers
    _linear: dict[int, _Weighted] = field(default_factory=dict)  # by the identity of their matrix
    _before: dict[int, _Weighted] = field(default_factory=dict)
    _after: dict[int, torch.Tensor] = field(default_factory=dict)

    def note(self, call: Call) -> None:
        """A function has computed."""
        if not isinstance(call.output, torch.Tensor):
            return
        if call.function == "linear":
            self._note_linear(call)
        elif call.function == "layer_norm":
            self._norms[id(call.output)] = _Weighted(call.operand(2, "weight"), call.operand(3, "bias")), call.output
        elif call.function in _SCALING:
            first, second = call.operand(0, "input"), call.operand(1, "other")
            self._note_scale(first, second)
            self._note_scale(second, first)
        elif call.function in _GROUPING:
            for made in (self._norms, self._results):
                before = made.get(id(call.operand(0, "input")))
                if before is not None and _keeps_channels(before[1], call.output):
                    made[id(call.output)] = before[0], call.output

    def _note_linear(self, call: Call) -> None:
        tokens, weight = call.operand(0, "input"), call.operand(1, "weight")
        self._linear[id(weight)] = _Weighted(weight, call.operand(2, "bias"))
        self._results[id(call.output)] = self._linear[id(weight)], call.output
        if id(tokens) in self._norms:
            self._before[id(weight)] = self._norms[id(tokens)][0]

    def _note_scale(self, result: Any, scale: Any) -> None:
        made = self._results.get(id(result))
        if made is not None and isinstance(scale, torch.nn.Parameter) and scale.numel() == made[1].shape[-1]:
            self._after[id(made[0].weight)] = scale

    def joined(self, parameters: Parameters) -> Mapping[str, Array]:
        """A layer's parameters with the neighbours of its fully connected ones multiplied in, float64; empty where it
        has none."""
        with_neighbours = [
            (name, self._linear[id(values)])
            for name, values in parameters.items()
            if id(values) in self._before or id(values) in self._after
        ]
        if not with_neighbours:
            return {}
        found = {name: _double(values) for name, values in parameters.items()}
        for name, linear in with_neighbours:
            shift = next((key for key, values in parameters.items() if values is linear.bias), "bias")
            found[name], found[shift] = self._multiplied(linear)
        return found

    def _multiplied(self, linear: _Weighted) -> tuple[Array, Array]:
        assert linear.weight is not None
        weight, key = _double(linear.weight), id(linear.weight)
        bias = np.zeros(len(weight)) if linear.bias is None else _double(linear.bias)
        if key in self._before:
            norm = self._before[key]
            if norm.bias is not None:
                bias = bias + weight @ _double(norm.bias)
            weight = weight * (1 if norm.weight is None else _double(norm.weight))
        if key in self._after:
            scale = _double(self._after[key]).reshape(-1)
            weight, bias = weight * scale[:, None], bias * scale
        return weight, bias

    def joined_into(self, parameters: Parameters) -> Collection[int]:
        """The identities of the matrices that a LayerNorm or a scale of these parameters is beside."""
        before = {key for key, norm in self._before.items() if norm.uses(parameters)}
        return before | {key for key, scale in self._after.items() if any(scale is p for p in parameters.values())}


def _keeps_channels(before: torch.Tensor, after: torch.Tensor) -> bool:
    return before.numel() == after.numel() and before.shape[-1] == after.shape[-1]


def _double(values: torch.Tensor) -> Array:
    return values.detach().double().numpy()

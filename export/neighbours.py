"""Which layers stand beside fully connected ones, so that a converter may multiply them in.

LiteRT's converter makes one layer of a LayerNorm's scale and shift and the fully connected layers after it, and of a
fully connected layer and a scale of its outputs (the LayerScale of vision transformers).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Array = NDArray[Any]

_GROUPING = frozenset(
    {"clone", "contiguous", "flatten", "pad", "permute", "reshape", "roll", "transpose", "unsqueeze", "view"}
)
"""Names of functions that may leave every channel in its place: where the last axis stays as long, and no number is
added."""


@dataclass
class Neighbours:
    """Collects, while a network runs, what stands before and after its fully connected layers."""

    _made_by: dict[int, tuple[str, nn.Module, torch.Tensor]] = field(default_factory=dict)  # results are kept alive
    _linear: dict[str, nn.Linear] = field(default_factory=dict)
    _before: dict[str, tuple[str, nn.LayerNorm]] = field(default_factory=dict)
    _after: dict[str, tuple[str, nn.Parameter]] = field(default_factory=dict)

    def note(self, name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        """A module has computed: for a forward hook."""
        source = self._made_by.get(id(inputs[0])) if inputs and isinstance(inputs[0], torch.Tensor) else None
        if isinstance(module, nn.Linear):
            self._linear[name] = module
            if source is not None and isinstance(source[1], nn.LayerNorm):
                self._before[name] = (source[0], source[1])
        elif source is not None and isinstance(source[1], nn.Linear) and (scale := _only_scale(module)) is not None:
            self._after[source[0]] = (name, scale)
        if isinstance(module, nn.Linear | nn.LayerNorm) and isinstance(output, torch.Tensor):
            self._made_by[id(output)] = (name, module, output)

    def note_function(self, function: Any, inputs: Sequence[Any], output: Any) -> None:
        """A function has computed: tokens that it only groups in another way, as into windows, were made by the same
        layer."""
        if getattr(function, "__name__", "") not in _GROUPING or not isinstance(output, torch.Tensor):
            return
        made = self._made_by.get(id(inputs[0]))
        if made is not None and output.numel() == made[2].numel() and output.shape[-1] == made[2].shape[-1]:
            self._made_by[id(output)] = (made[0], made[1], output)

    def joined(self, name: str) -> Mapping[str, Array]:
        """A fully connected layer's parameters with its neighbours multiplied in, float64; empty where it has none."""
        if name not in self._before and name not in self._after:
            return {}
        weight = _double(self._linear[name].weight)
        bias = _double(self._linear[name].bias) if self._linear[name].bias is not None else np.zeros(len(weight))
        if name in self._before:
            norm = self._before[name][1]
            if norm.bias is not None:
                bias = bias + weight @ _double(norm.bias)
            weight = weight * (1 if norm.weight is None else _double(norm.weight))
        if name in self._after:
            scale = _double(self._after[name][1])
            weight, bias = weight * scale[:, None], bias * scale
        return {"weight": weight, "bias": bias}

    def joined_into(self, name: str) -> tuple[str, ...]:
        """The fully connected layers that a LayerNorm or a scale is beside."""
        beside = [*self._before.items(), *self._after.items()]
        return tuple(linear for linear, (neighbour, _) in beside if neighbour == name)


def _only_scale(module: nn.Module) -> nn.Parameter | None:
    """The only parameter of a module that scales what it is given, channel by channel."""
    parameters = list(module.parameters())
    return parameters[0] if len(parameters) == 1 and parameters[0].ndim == 1 else None


def _double(values: torch.Tensor) -> Array:
    return values.detach().double().numpy()

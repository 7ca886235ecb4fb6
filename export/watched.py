"""What a network calls while it runs once: its convolutions, the BatchNorms after them, the parameters that take part.

Functions are watched, not modules: a network that was exported is one of functions, and attention computes with the
weights of a layer inside it that is never called itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from .neighbours import Neighbours

_CONVOLUTIONS = frozenset({"conv2d", "convolution"})
_NORMS = frozenset({"batch_norm", "_native_batch_norm_legit_no_training"})


@dataclass(frozen=True, eq=False)
class Norm:
    """A BatchNorm with stored statistics."""

    scale: torch.Tensor
    shift: torch.Tensor
    mean: torch.Tensor
    variance: torch.Tensor
    epsilon: float


@dataclass(eq=False)
class Convolution:
    """One call of a convolution.

    Attributes:
        module: the path of the module that called it.
        weight, bias: its numbers.
        output: its result.
        norm: the BatchNorm after it.
    """

    module: str
    weight: torch.Tensor
    bias: torch.Tensor | None
    output: torch.Tensor
    norm: Norm | None = None

    @property
    def tensors(self) -> list[torch.Tensor]:
        """All that it computes with."""
        own = [self.weight] if self.bias is None else [self.weight, self.bias]
        return own if self.norm is None else [*own, self.norm.scale, self.norm.shift]


class Watched(TorchFunctionMode):
    """Within it, what is called is noted.

    Attributes:
        used: identities of all parameters that a function was called with.
        convolutions: in the order of their calls.
        neighbours: of fully connected layers.
    """

    def __init__(self) -> None:
        super().__init__()
        self.used: set[int] = set()
        self.convolutions: list[Convolution] = []
        self.neighbours = Neighbours()
        self.modules: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        inputs = (*args, *(kwargs or {}).values())
        for value in inputs:
            for each in value if isinstance(value, list | tuple) else (value,):
                if isinstance(each, nn.Parameter):
                    self.used.add(id(each))
        output = func(*args, **(kwargs or {}))
        name = str(getattr(func, "__name__", "")).partition(".")[0]  # an operator's is "conv2d.default"
        if name in _CONVOLUTIONS:
            self._note_convolution(name, inputs, output)
        elif name in _NORMS:
            self._note_norm(func, inputs)
        self.neighbours.note(name, inputs, output)
        return output

    def _note_convolution(self, name: str, inputs: Sequence[Any], output: torch.Tensor) -> None:
        _, weight, bias = [*inputs, None][:3]
        transposed = name == "convolution" and inputs[6]
        if weight.ndim == 4 and not transposed:
            self.convolutions.append(Convolution(self.modules[-1], weight, bias, output))

    def _note_norm(self, func: Any, inputs: Sequence[Any]) -> None:
        before = next((call for call in self.convolutions if call.output is inputs[0]), None)
        if before is None:
            return
        if isinstance(func, torch._ops.OpOverload):
            scale, shift, mean, variance = inputs[1:5]
        else:
            mean, variance, scale, shift = inputs[1:5]
        epsilon = next(value for value in reversed(inputs) if isinstance(value, float))
        assert mean is not None
        assert variance is not None, "a BatchNorm without statistics cannot be folded"
        ones, zeros = torch.ones_like(mean), torch.zeros_like(mean)
        before.norm = Norm(ones if scale is None else scale, zeros if shift is None else shift, mean, variance, epsilon)


@contextmanager
def watching(network: nn.Module) -> Iterator[Watched]:
    """Within it, what the network calls is noted, and which of its modules calls it."""
    watched = Watched()
    names = {module: name for name, module in network.named_modules()}
    handles = []
    for module in names:
        handles.append(module.register_forward_pre_hook(lambda module, _: watched.modules.append(names[module])))
        handles.append(module.register_forward_hook(lambda *_: watched.modules.pop() and None, always_call=True))
    try:
        with watched:
            yield watched
    finally:
        for handle in handles:
            handle.remove()

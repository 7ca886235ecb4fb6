"""What a network calls while it runs once: its convolutions, the BatchNorms after them, the parameters that take part.

Functions are watched, not modules: a network that was exported is one of functions, and attention computes with the
weights of a layer inside it that is never called itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from .neighbours import Call, Neighbours

_CONVOLUTIONS = frozenset({"conv2d", "convolution"})
_LEGIT = "_native_batch_norm_legit_no_training"  # what an exported program may call it
_NORMS = frozenset({"batch_norm", _LEGIT})


@dataclass(frozen=True, eq=False)
class Norm:
    """A BatchNorm with stored statistics."""

    scale: torch.Tensor
    shift: torch.Tensor
    mean: torch.Tensor
    variance: torch.Tensor
    epsilon: float


@dataclass(eq=False)
class ConvolutionCall:
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
        self.convolutions: list[ConvolutionCall] = []
        self.neighbours = Neighbours()
        self.modules: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        kwargs = kwargs or {}
        for value in (*args, *kwargs.values()):
            for each in value if isinstance(value, list | tuple) else (value,):
                if isinstance(each, nn.Parameter):
                    self.used.add(id(each))
        output = func(*args, **kwargs)
        name = str(getattr(func, "__name__", "")).partition(".")[0]  # an operator's is "conv2d.default"
        call = Call(name, args, kwargs, output)
        if name in _CONVOLUTIONS:
            self._note_convolution(call)
        elif name in _NORMS:
            self._note_norm(call, is_operator=isinstance(func, torch._ops.OpOverload))
        self.neighbours.note(call)
        return output

    def _note_convolution(self, call: Call) -> None:
        weight = call.operand(1, "weight")
        transposed = call.function == "convolution" and call.operand(6, "transposed")
        if weight.ndim == 4 and not transposed:
            self.convolutions.append(ConvolutionCall(self.modules[-1], weight, call.operand(2, "bias"), call.output))

    def _note_norm(self, call: Call, is_operator: bool) -> None:
        given = call.operand(0, "input")
        before = next((each for each in self.convolutions if each.output is given), None)
        if before is None:
            return
        if is_operator:
            scale, shift, mean, variance = call.args[1:5]
        else:
            names = ("running_mean", "running_var", "weight", "bias")
            mean, variance, scale, shift = (call.operand(1 + n, name) for n, name in enumerate(names))
        epsilon = call.operand(6 if call.function == _LEGIT else 7, "eps")
        assert mean is not None
        assert variance is not None, "a BatchNorm without statistics cannot be folded"
        ones, zeros = torch.ones_like(mean), torch.zeros_like(mean)
        before.norm = Norm(
            ones if scale is None else scale,
            zeros if shift is None else shift,
            mean,
            variance,
            1e-5 if epsilon is None else epsilon,
        )


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

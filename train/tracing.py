"""What every layer of a network gives for one input, to find where an exported file parts from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..runtime_ref.matching import Layer
from ..runtime_ref.pipeline.stage import INPUTS, Stage
from .networks.filters import ChannelSum

Array = NDArray[np.floating[Any]]

# Converters merge these into the convolution before them, whose own output is then in no exported file.
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def trace_layers(network: nn.Module, stage: Stage, inputs: Mapping[str, Array]) -> tuple[list[Layer], Array]:
    """Run a stage's network and record the output of every layer that has no layers inside, in order of the calls.

    Sums of channels are left out: they are arithmetic, as what stands between layers, and as ill-conditioned.

    Args:
        network: of the stage; it is put into evaluation mode.
        inputs: by the stage's names, float32 `[1, C, H, W]`.

    Returns:
        The layers' outputs, and the network's.
    """
    recorder = _Recorder()
    leaves = [(name, module) for name, module in network.eval().named_modules() if _is_layer(module)]
    handles = [module.register_forward_hook(recorder.hook(name)) for name, module in leaves]
    try:
        with torch.inference_mode():
            output = network(*(torch.from_numpy(inputs[signal.name]) for signal in INPUTS[stage]))
    finally:
        for handle in handles:
            handle.remove()
    return recorder.layers(), output.numpy()


def _is_layer(module: nn.Module) -> bool:
    return not isinstance(module, ChannelSum) and not any(module.children())


class _Recorder:
    """Outputs as forward hooks see them; copied, for a later layer may work in place."""

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()
        self._names: list[tuple[str, str]] = []
        self._values: list[Array] = []
        self._kept: list[torch.Tensor] = []  # as long as they live, no other tensor has their identity
        self._absorbed: dict[int, str] = {}

    def hook(self, name: str) -> Any:
        """The forward hook of the layer of this name."""

        def record(module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
            if not isinstance(output, torch.Tensor):
                return
            self._calls[name] += 1
            call = self._calls[name]
            title = name if call == 1 else f"{name} ({call})"
            if isinstance(module, _NORMS):
                self._absorbed[id(arguments[0])] = title
            self._names.append((title, type(module).__name__))
            self._values.append(output.detach().to(torch.float32).numpy().copy())
            self._kept.append(output)

        return record

    def layers(self) -> list[Layer]:
        """What was recorded."""
        records = zip(self._names, self._values, self._kept, strict=True)
        return [Layer(name, kind, value, self._absorbed.get(id(kept))) for (name, kind), value, kept in records]

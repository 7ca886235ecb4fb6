"""A stage as a TFLite file in float32, through litert-torch: channel-last, with a signature named after the stage."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ...runtime_ref.errors import require
from ...runtime_ref.quiet import silence
from ...runtime_ref.target import Target
from ..refusals import refusing
from ..stages import StageGraph
from .editing import name_tensors


class _Clamps(TorchFunctionMode):
    """Cuts numbers to [0, 1] by a ReLU6, which is fused, and a minimum: the same values.

    The converter makes RELU_0_TO_1 of a clamp, and of a ReLU with a minimum, too. XNNPACK (LiteRT 2.1) leaves that to
    slower kernels and splits the graph around it.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        if func in (torch.clamp, torch.Tensor.clamp) and args[1:] == (0.0, 1.0):
            return torch.minimum(F.relu6(args[0]), torch.tensor(1.0))
        return func(*args, **(kwargs or {}))


class _ChannelLast(torch.nn.Module):
    """A network whose inputs and outputs are `[N, H, W, C]`, the output in a dict that names it."""

    def __init__(self, graph: StageGraph) -> None:
        super().__init__()
        self._graph = graph
        self.network = graph.computed

    def forward(self, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        with _Clamps():
            output = self.network(*(inputs[signal.name].permute(0, 3, 1, 2) for signal in self._graph.inputs))
            return {self._graph.output.name: output.permute(0, 2, 3, 1)}


def convert(graph: StageGraph, path: Path) -> None:
    """Write a stage as a .tflite file of float32 weights."""
    litert = _litert_torch()
    example = {
        signal.name: value.permute(0, 2, 3, 1).contiguous()
        for signal, value in zip(graph.inputs, graph.example(), strict=True)
    }
    wrapped = _ChannelLast(graph).eval()
    with refusing(graph, wrapped.network, Target.TFLITE), warnings.catch_warnings(), silence():
        warnings.simplefilter("ignore")
        converter = litert.Converter()
        converter.add_signature(graph.stage.value, wrapped, sample_kwargs=example)
        converter.convert().export(str(path))
    name_tensors(path, [signal.name for signal in graph.inputs])


def _litert_torch() -> ModuleType:
    """Import litert-torch with its progress lines and its dependencies' notices turned off."""
    os.environ.setdefault("LITERT_TORCH_SHOW_PROGRESS", "0")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    for name in ("torchao", "torch.utils._pytree", "jax"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings(), silence():
        warnings.simplefilter("ignore")
        return require("litert_torch", "tflite", "exporting to TFLite")

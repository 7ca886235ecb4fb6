"""A stage as a TFLite file in float32, through litert-torch: channel-last, with a signature named after the stage."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import torch

from ...runtime_ref.errors import require
from ...runtime_ref.quiet import silence
from ...train.networks import GuidedUpsamplingNet
from ..stages import StageGraph


class _ChannelLast(torch.nn.Module):
    """A network whose inputs and outputs are `[N, H, W, C]`, the output in a dict that names it."""

    def __init__(self, graph: StageGraph) -> None:
        super().__init__()
        self._graph = graph
        self.network = graph.network

    def forward(self, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        return {self._graph.output.name: self._compute(inputs).permute(0, 2, 3, 1)}

    def _compute(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        if isinstance(self.network, GuidedUpsamplingNet):
            # Joined while still channel-last; otherwise the converter transposes each of the three inputs.
            scene = torch.cat([inputs["image_low"], inputs["blurred_low"], inputs["defocus_low"]], dim=3)
            return self.network.blend(_channel_first(inputs["image_high"]), _channel_first(scene))
        return self.network(*(_channel_first(inputs[signal.name]) for signal in self._graph.inputs))


def _channel_first(picture: torch.Tensor) -> torch.Tensor:
    """`[N, H, W, C]` → `[N, C, H, W]`."""
    return picture.permute(0, 3, 1, 2)


def convert(graph: StageGraph, path: Path) -> None:
    """Write a stage as a .tflite file of float32 weights."""
    litert = _litert_torch()
    example = {
        signal.name: value.permute(0, 2, 3, 1).contiguous()
        for signal, value in zip(graph.inputs, graph.example(), strict=True)
    }
    with warnings.catch_warnings(), silence():
        warnings.simplefilter("ignore")
        converter = litert.Converter()
        converter.add_signature(graph.stage.value, _ChannelLast(graph).eval(), sample_kwargs=example)
        converter.convert().export(str(path))


def _litert_torch() -> ModuleType:
    """Import litert-torch with its progress lines and its dependencies' notices turned off."""
    os.environ.setdefault("LITERT_TORCH_SHOW_PROGRESS", "0")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    for name in ("torchao", "torch.utils._pytree", "jax"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings(), silence():
        warnings.simplefilter("ignore")
        return require("litert_torch", "tflite", "exporting to TFLite")

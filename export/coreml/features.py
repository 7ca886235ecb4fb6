"""A stage's inputs and outputs as Core ML declares them: float32 tensors, or images (camera buffers).

An RGB image's pixels are 0 … 255: the program divides inputs by 255, and multiplies outputs by 255. A map (defocus,
disparity) is a GRAYSCALE_FLOAT16 image of its own values.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import torch

from ...runtime_ref.bundle import TensorEntry
from ...runtime_ref.pipeline.stage import Signal
from ...runtime_ref.target import Target
from ..stages import StageGraph
from .options import CoreMLOptions

PIXEL_MAX = 255.0


class EightBit(torch.nn.Module):
    """A network whose output is a picture of 0 … 255."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.network(*inputs) * PIXEL_MAX


def network_to_export(graph: StageGraph, options: CoreMLOptions) -> torch.nn.Module:
    """The graph's network, its output scaled if the output is an RGB image."""
    if options.image_outputs and graph.output.channels == 3:
        return EightBit(graph.computed).eval()
    return graph.computed


def declared_inputs(ct: ModuleType, graph: StageGraph, options: CoreMLOptions) -> list[Any]:
    """coremltools' types of the inputs."""
    return [_declared_input(ct, graph, signal, options.image_inputs) for signal in graph.inputs]


def _declared_input(ct: ModuleType, graph: StageGraph, signal: Signal, image: bool) -> Any:
    shape = graph.shape(signal)
    if not image or not signal.scale:
        return ct.TensorType(signal.name, shape=shape, dtype=np.float32)
    if signal.channels == 3:
        return ct.ImageType(signal.name, shape=shape, scale=1 / PIXEL_MAX, color_layout=ct.colorlayout.RGB)
    return ct.ImageType(signal.name, shape=shape, color_layout=ct.colorlayout.GRAYSCALE_FLOAT16)


def declared_outputs(ct: ModuleType, graph: StageGraph, options: CoreMLOptions) -> list[Any]:
    """coremltools' types of the outputs."""
    signal = graph.output
    if not options.image_outputs:
        return [ct.TensorType(signal.name, dtype=np.float32)]
    layout = ct.colorlayout.RGB if signal.channels == 3 else ct.colorlayout.GRAYSCALE_FLOAT16
    return [ct.ImageType(signal.name, color_layout=layout)]


def tensor_entry(graph: StageGraph, signal: Signal, options: CoreMLOptions) -> TensorEntry:
    """An input or output as the manifest describes it."""
    entry = graph.entry(signal, Target.COREML)
    image = options.image_outputs if signal is graph.output else options.image_inputs
    if not image or not signal.scale:  # numbers stay tensors
        return entry
    if signal.channels == 3:
        pixels = {"image": "RGB", "dtype": "uint8", "low": 0.0, "high": PIXEL_MAX}
    else:
        pixels = {"image": "GRAYSCALE_FLOAT16", "dtype": "float16"}
    return entry.model_copy(update=pixels)

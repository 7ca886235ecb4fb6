"""Weight compression through coremltools, layer by layer: which layers, how, and which are left as they are."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from math import prod
from types import ModuleType
from typing import Any

from typing_extensions import assert_never

from ...runtime_ref.target import Precision
from ..precision import LEAST_WEIGHTS
from .palette import palettise
from .stored import CoreMLConvolution
from .tools import coremltools, quietly

# int4 takes the largest of these that divides a layer's input channels; without one the layer stays as it is.
BLOCKS = (32, 16, 8)


def compress(model: Any, layers: list[CoreMLConvolution], precision: Precision, kept: Collection[str] = ()) -> Any:
    """A coremltools model with the weights of its layers compressed.

    Args:
        model: an uncompressed model.
        layers: its convolutions and fully connected layers as they lie in its package.
        precision: one that stores weights in fewer than 16 bits.
        kept: names of the convolutions that stay as they are.
    """
    optimise = _optimise()
    configs = {
        layer.weight.name: None if layer.name in kept else _layer_config(optimise, layer, precision) for layer in layers
    }
    # No global rule: what is not a convolution's weight is not touched, and every choice stands in `configs`.
    config = optimise.OptimizationConfig(global_config=None, op_name_configs=configs)
    apply = optimise.linear_quantize_weights if precision.palette_bits is None else optimise.palettize_weights
    with quietly():
        return apply(model, config)


def _optimise() -> ModuleType:
    coremltools()
    with quietly():
        from coremltools.optimize import coreml
    return coreml


def _layer_config(optimise: ModuleType, layer: CoreMLConvolution, precision: Precision) -> Any:
    """coremltools' configuration of one layer; None leaves it as it is."""
    shape = layer.weight.shape
    if layer.weight.kind != "const" or prod(shape) < LEAST_WEIGHTS:
        return None
    match precision:
        case Precision.W8 | Precision.W8A8 | Precision.MIXED:
            return optimise.OpLinearQuantizerConfig(
                mode="linear_symmetric", dtype="int8", granularity="per_channel", weight_threshold=0
            )
        case Precision.W4:
            block = next((size for size in BLOCKS if shape[1] % size == 0), None)
            if block is None:
                return None
            return optimise.OpLinearQuantizerConfig(
                mode="linear_symmetric", dtype="int4", granularity="per_block", block_size=block, weight_threshold=0
            )
        case Precision.PALETTE4 | Precision.PALETTE6 | Precision.PALETTE8:
            # Never enable_per_channel_scale: coremltools 9.0 leaves layers that it then skips divided by their scale.
            lut = _PALETTES[precision]
            return optimise.OpPalettizerConfig(mode="custom", lut_function=lut, weight_threshold=0)
        case Precision.FP32 | Precision.FP16 | Precision.DYNAMIC:
            raise ValueError(f"{precision} does not compress weights of Core ML packages")
        case _:
            assert_never(precision)


_PALETTES = {kind: partial(palettise, bits=kind.palette_bits) for kind in Precision if kind.palette_bits is not None}

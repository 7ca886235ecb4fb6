"""The bundle's first golden case as a model takes it, whatever the size of its input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..runtime_ref.bundle import Bundle, ModelEntry
from ..runtime_ref.bundle.golden import GoldenArrays, read_golden
from ..runtime_ref.pipeline.stage import INPUTS, OUTPUTS, Stage

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class StageCase:
    """What a model is given, and what is right of its output.

    Attributes:
        inputs: by name, each `[1, C, H, W]`.
        wanted: PyTorch's output, `[1, C, h, w]`: the first h rows and w columns, which a tile's size does not change.
    """

    inputs: dict[str, Array]
    wanted: Array

    def comparable(self, output: Array) -> Array:
        """The part of an output that `wanted` speaks of."""
        return output[..., : self.wanted.shape[2], : self.wanted.shape[3]]


def first_case(bundle: Bundle, model: ModelEntry, golden: GoldenArrays | None = None) -> StageCase:
    """The case for a model.

    Args:
        bundle: that it belongs to.
        model: of the plan's size, or of another.
        golden: the bundle's first case, where it was read before.

    Raises:
        DofkitError: the case cannot be read, or lacks the tensors of the size.
    """
    arrays = golden or read_golden(bundle.path(bundle.manifest.golden[0].path))
    plan, stage = bundle.manifest.plan, model.stage
    if stage is Stage.DEPTH and plan.further_depth_sizes:
        arrays = arrays.at_depth(model.depth_size or plan.depth_shape)
    inputs, wanted = arrays.inputs(stage), arrays.output(stage)
    if model.tile is None:
        return StageCase(inputs, wanted)
    # From the same corner as the plan's tile: only what lies within the halo of the other two borders differs.
    spec = plan.lens_blur if stage is Stage.LENS_BLUR else plan.guided_upsampling
    kept = (min(spec.tile or model.tile, model.tile) - spec.halo) * OUTPUTS[stage].scale
    resized = {one.name: _resized(inputs[one.name], model.tile * one.scale) for one in INPUTS[stage]}
    return StageCase(resized, wanted[..., :kept, :kept])


def _resized(values: Array, side: int) -> Array:
    """Cut, or continued by what is at the edge, to `[1, C, side, side]`."""
    missing = max(side - values.shape[2], 0)
    filled = np.pad(values, [(0, 0), (0, 0), (0, missing), (0, missing)], mode="edge")
    return np.ascontiguousarray(filled[..., :side, :side])

"""A pipeline of networks that compute nothing, for claims about files and options."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dofkit.runtime_ref.pipeline.plan import PipelinePlan, TileSpec
from dofkit.runtime_ref.pipeline.portrait import PortraitPipeline
from dofkit.runtime_ref.pipeline.stage import PIPELINE_STAGES, Stage


class StandIn:
    """A network that gives back what it is given: the sharp tile, or, asked for depth, a ramp."""

    runtime = "stand-in"

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        if self._stage is Stage.DEPTH:
            size = inputs["image"].shape[-1]
            return np.tile(np.linspace(0, 1, size, dtype=np.float32), (1, 1, size, 1))
        return inputs["image" if self._stage is Stage.LENS_BLUR else "image_high"]


def stand_in_pipeline() -> PortraitPipeline:
    """All stages, tiles as large as the photo."""
    whole = TileSpec(tile=None, halo=8, align=1)
    plan = PipelinePlan(depth_height=128, depth_width=128, lens_blur=whole, guided_upsampling=whole)
    return PortraitPipeline({stage: StandIn(stage) for stage in PIPELINE_STAGES}, plan)

"""The stages beside the pipeline, of which golden cases hold tensors, too: focal stacks and previews."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..runtime_ref.backends import Session
from ..runtime_ref.bundle import Bundle
from ..runtime_ref.bundle.golden import StageArrays
from ..runtime_ref.parity.cases import Further
from ..runtime_ref.pipeline.aspects import Size
from ..runtime_ref.pipeline.plan import PipelinePlan
from ..runtime_ref.pipeline.portrait import Array
from ..runtime_ref.pipeline.stage import PIPELINE_STAGES, PREVIEWS, Stage
from .focal import GoldenStack
from .preview import GoldenPreview
from .stages import StackSize


@dataclass(frozen=True)
class FurtherSizes:
    """Of what stands beside the pipeline; None: it does not."""

    stack: StackSize | None
    preview: Size | None

    @classmethod
    def of(cls, bundle: Bundle) -> FurtherSizes:
        """What a bundle has."""
        models = {model.stage: model for model in bundle.models()}
        stack = models.get(Stage.FOCAL_DEPTH)
        preview = models.get(Stage.PREVIEW)
        height, width = (0, 0) if stack is None else stack.inputs[0].sides
        return cls(
            None if stack is None else StackSize(stack.inputs[0].shape[0], (height, width)),
            None if preview is None else (preview.outputs[0].sides[0], preview.outputs[0].sides[1]),
        )


def pipeline_and_further(
    sessions: Mapping[Stage, Session], plan: PipelinePlan, sizes: FurtherSizes
) -> tuple[dict[Stage, Session], Further | None]:
    """The sessions of the pipeline; and what `compute_case` asks of the others."""
    asked: list[Further] = []
    if sizes.stack is not None and Stage.FOCAL_DEPTH in sessions:
        asked.append(GoldenStack(sessions[Stage.FOCAL_DEPTH], sizes.stack))
    if sizes.preview is not None and set(PREVIEWS) <= set(sessions):
        asked.append(GoldenPreview(sessions, sizes.preview, plan.depth_shape_for(*sizes.preview)))

    def further(pixels: NDArray[np.uint8], disparity: Array) -> Mapping[Stage, StageArrays]:
        return {stage: arrays for each in asked for stage, arrays in each(pixels, disparity).items()}

    return {stage: sessions[stage] for stage in PIPELINE_STAGES}, further if asked else None

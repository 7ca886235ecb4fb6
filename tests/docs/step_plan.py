"""The plan under which tests compute the step cases: that of a bundle with three depth sizes."""

from __future__ import annotations

from dofkit.runtime_ref.pipeline.plan import PipelinePlan, TileSpec

PLAN = PipelinePlan(
    depth_height=384,
    depth_width=384,
    further_depth_sizes=((448, 320), (320, 448)),
    lens_blur=TileSpec(tile=168, halo=20, align=2),
    guided_upsampling=TileSpec(tile=140, halo=6, align=2),
)

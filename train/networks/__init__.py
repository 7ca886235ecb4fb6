"""The networks, and what the rest of dofkit knows of them (`contract`, `registry`): it knows none by name.

The stages' interface is fixed by `runtime_ref.pipeline.stage`; a bounded receptive field is the rendering networks'
promise.
"""

from ...runtime_ref.pipeline.stage import PIPELINE_STAGES
from .contract import Arrangement, Meaning, NetworkContract, Preprocessing, SizeRule
from .depth import DepthConfig, DepthNet
from .guided_upsampling import GuidedUpsamplingConfig, GuidedUpsamplingNet
from .lens_blur import LensBlurConfig, LensBlurNet
from .registry import ARCHITECTURES, Architecture, Architectures

NETWORKS = {stage: ARCHITECTURES.of_stage(stage)[0].network for stage in PIPELINE_STAGES}

__all__ = [
    "ARCHITECTURES",
    "NETWORKS",
    "Architecture",
    "Architectures",
    "Arrangement",
    "DepthConfig",
    "DepthNet",
    "GuidedUpsamplingConfig",
    "GuidedUpsamplingNet",
    "LensBlurConfig",
    "LensBlurNet",
    "Meaning",
    "NetworkContract",
    "Preprocessing",
    "SizeRule",
]

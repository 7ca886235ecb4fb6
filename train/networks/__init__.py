"""The three networks. Their interface is fixed by `runtime_ref.stage`; a bounded receptive field is their promise."""

from ...runtime_ref.pipeline.stage import Stage
from .depth import DepthConfig, DepthNet
from .guided_upsampling import GuidedUpsamplingConfig, GuidedUpsamplingNet
from .lens_blur import LensBlurConfig, LensBlurNet

NETWORKS = {Stage.DEPTH: DepthNet, Stage.LENS_BLUR: LensBlurNet, Stage.GUIDED_UPSAMPLING: GuidedUpsamplingNet}
CONFIGS = {Stage.DEPTH: DepthConfig, Stage.LENS_BLUR: LensBlurConfig, Stage.GUIDED_UPSAMPLING: GuidedUpsamplingConfig}

__all__ = [
    "CONFIGS",
    "NETWORKS",
    "DepthConfig",
    "DepthNet",
    "GuidedUpsamplingConfig",
    "GuidedUpsamplingNet",
    "LensBlurConfig",
    "LensBlurNet",
]

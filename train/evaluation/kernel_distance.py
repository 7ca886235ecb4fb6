"""How far generated pictures are from photos as a set: the kernel inception distance, on features that ship here.

The usual features are an ImageNet network's, a download. These are of the depth network's encoder, whose weights are
part of dofkit: figures compare runs made here with one another, never with a paper's.
"""

from __future__ import annotations

import warnings

import torch
from torch import nn
from torch.nn import functional as F
from torchmetrics.image.kid import KernelInceptionDistance

from ...runtime_ref.pipeline.stage import Stage
from ..networks.depth import DepthNet
from ..weights import load_weights

SUBSETS = 50
BATCH = 16
SIDE = 128


class EncoderFeatures(nn.Module):
    """[N, 3, H, W] in [0, 1] → [N, 2C]: mean and standard deviation of the shipped depth encoder's coarsest maps."""

    num_features: int

    def __init__(self) -> None:
        super().__init__()
        network = load_weights(Stage.DEPTH)
        assert isinstance(network, DepthNet)
        self.encoder = network.encoder
        self.num_features = 2 * self.encoder.channels

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """See the class; small pictures are enlarged to `SIDE`."""
        enlarged = F.interpolate(pictures, (SIDE, SIDE), mode="bilinear", align_corners=False)
        deviation, mean = torch.std_mean(self.encoder(enlarged)[0], dim=(2, 3))
        return torch.cat([mean, deviation], dim=1)


@torch.inference_mode()
def kernel_distance(photos: torch.Tensor, made: torch.Tensor, features: nn.Module | None = None) -> float:
    """KID (Bińkowski et al. 2018): the squared maximum mean discrepancy under a cubic kernel, unbiased. 0 is alike.

    Args:
        photos, made: [M, 3, H, W] in [0, 1]; at least two of each.
        features: by default `EncoderFeatures`.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*will save all extracted features.*")  # a few megabytes
        metric = KernelInceptionDistance(
            features or EncoderFeatures(), subsets=SUBSETS, subset_size=min(len(photos), len(made), 1000) // 2
        )
    for pictures, real in ((photos, True), (made, False)):
        for part in pictures.split(BATCH):
            metric.update(part, real=real)
    torch.manual_seed(0)  # of the subsets
    return float(metric.compute()[0])

"""The paper's encoder of the depth network, a ResNet-50: photo in, a coarse map and the finer maps for the decoder.

Like `efficientnet_lite`'s it has `stride` (of the coarse map), `channels` (of the coarse map) and `skips` (channels of
the finer maps, coarse to fine, each at half the stride of the one before).
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from ...runtime_ref.errors import DofkitError, first_line
from .rounding import RoundedConv2d

Features = tuple[torch.Tensor, list[torch.Tensor]]


class Bottleneck(nn.Module):
    """ResNet's 1×1, 3×3, 1×1 block (He et al. 2016); its names are torchvision's."""

    def __init__(self, inputs: int, width: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1 = RoundedConv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = RoundedConv2d(width, width, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = RoundedConv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                RoundedConv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, inputs, H, W] -> [N, 4·width, H/stride, W/stride]."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet50Encoder(nn.Module):
    """The paper's: ResNet-50 to Res4f whose last stage keeps its resolution and dilates instead (Wang et al. 2018).

    Parameter names are torchvision's, so an ImageNet state dict loads as it is. As there, the first block of the
    dilated stage keeps dilation 1. Expects an image in [0,1]; applies ImageNet's mean and deviation itself.
    """

    stride = 8
    channels = 1024
    skips = (256, 64)
    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1), persistent=False)
        self.conv1 = RoundedConv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = _stage(64, 64, blocks=3)
        self.layer2 = _stage(256, 128, blocks=4, stride=2)
        self.layer3 = _stage(512, 256, blocks=6, dilation=2)

    def forward(self, image: torch.Tensor) -> Features:
        """[N, 3, H, W] in [0,1] -> the map at H/8 and its finer ones at H/4 and H/2."""
        half = F.relu(self.bn1(self.conv1((image - self.mean) / self.deviation)))
        quarter = self.layer1(self.maxpool(half))
        return self.layer3(self.layer2(quarter)), [quarter, half]


def _stage(inputs: int, width: int, blocks: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    rest = (Bottleneck(4 * width, width, dilation=dilation) for _ in range(blocks - 1))
    return nn.Sequential(Bottleneck(inputs, width, stride), *rest)


def load_resnet(encoder: ResNet50Encoder, path: Path) -> None:
    """Load torchvision's ImageNet state dict of a ResNet-50 into the encoder; its `layer4` and `fc` are left out.

    Args:
        path: a local `.pth` file, read as data only (`weights_only=True`).

    Raises:
        DofkitError: when the file is missing, unreadable or no ResNet-50.
    """
    if not path.is_file():
        raise DofkitError(f"no ImageNet weights at {path}; give a local torchvision resnet50 .pth with --imagenet")
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
        kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(("layer4.", "fc."))}
        encoder.load_state_dict(kept)
    except Exception as error:  # torch.load raises many kinds: pickle, zip, end of file
        raise DofkitError(
            f"{path} is no torchvision ResNet-50 state dict ({first_line(error)}); download resnet50 again"
        ) from error

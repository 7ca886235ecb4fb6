"""The depth network's two encoders: photo in, a coarse map and the finer maps that the decoder takes in again.

Each has `stride` (of the coarse map), `channels` (of the coarse map) and `skips` (channels of the finer maps, coarse to
fine, 0 where the decoder goes without).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

Features = tuple[torch.Tensor, list[torch.Tensor | None]]


def conv_bn_relu(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution without bias, BatchNorm, ReLU: one fused convolution in every runtime."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class InvertedResidual(nn.Module):
    """Expand by 1×1, filter depthwise, project by 1×1 without activation (Sandler et al. 2018, "MobileNetV2")."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int = 1, kernel: int = 3) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expand = conv_bn_relu(inputs, inner, kernel=1)
        self.filter = conv_bn_relu(inner, inner, kernel, stride, groups=inner)
        self.project = nn.Sequential(nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, inputs, H, W] -> [N, outputs, H/stride, W/stride]."""
        y = self.project(self.filter(self.expand(x)))
        return x + y if self.residual else y


class MobileEncoder(nn.Module):
    """Ours: inverted residuals to output stride 16. 5×5 depthwise filters in the coarse half widen the view for little
    work. Expects an image in [0,1]; subtracts 0.5 itself."""

    stride = 16
    channels = 128
    skips = (40, 24, 16)

    def __init__(self) -> None:
        super().__init__()
        self.to_half = nn.Sequential(conv_bn_relu(3, 16, stride=2), conv_bn_relu(16, 16))
        self.to_quarter = nn.Sequential(InvertedResidual(16, 24, 3, stride=2), InvertedResidual(24, 24, 3))
        self.to_eighth = nn.Sequential(
            InvertedResidual(24, 40, 4, stride=2, kernel=5),
            InvertedResidual(40, 40, 4, kernel=5),
            InvertedResidual(40, 40, 4),
        )
        self.to_sixteenth = nn.Sequential(
            InvertedResidual(40, 96, 4, stride=2, kernel=5),
            *(InvertedResidual(96, 96, 4, kernel=5) for _ in range(4)),
            InvertedResidual(96, 128, 4, kernel=5),
            InvertedResidual(128, 128, 4, kernel=5),
        )

    def forward(self, image: torch.Tensor) -> Features:
        """[N, 3, H, W] in [0,1] -> the map at H/16 and its finer ones at H/8, H/4, H/2."""
        half = self.to_half(image - 0.5)
        quarter = self.to_quarter(half)
        eighth = self.to_eighth(quarter)
        return self.to_sixteenth(eighth), [eighth, quarter, half]


class Bottleneck(nn.Module):
    """ResNet's 1×1, 3×3, 1×1 block (He et al. 2016); its names are torchvision's."""

    def __init__(self, inputs: int, width: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

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
    skips = (256, 64, 0)
    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1), persistent=False)
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = _stage(64, 64, blocks=3)
        self.layer2 = _stage(256, 128, blocks=4, stride=2)
        self.layer3 = _stage(512, 256, blocks=6, dilation=2)

    def forward(self, image: torch.Tensor) -> Features:
        """[N, 3, H, W] in [0,1] -> the map at H/8 and its finer ones at H/4, H/2 and, absent, H."""
        half = F.relu(self.bn1(self.conv1((image - self.mean) / self.deviation)))
        quarter = self.layer1(self.maxpool(half))
        return self.layer3(self.layer2(quarter)), [quarter, half, None]


def _stage(inputs: int, width: int, blocks: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    rest = (Bottleneck(4 * width, width, dilation=dilation) for _ in range(blocks - 1))
    return nn.Sequential(Bottleneck(inputs, width, stride), *rest)

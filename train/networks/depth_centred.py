"""The depth network once more, with sums that half precision holds: around 0, where 16-bit floats are dense.

The same function of the same weights. ARM CPUs keep the sums of 16-bit networks in 16 bits, of which a sum of 100 has
no digit behind the point. Three layers made nearly all of the depth network's error there: a stem of small differences
between large products, a depthwise one behind it, whose weights of up to 30 cancel out, and a head that adds up
hundreds of products around 3. Here the stem sees each pixel's difference from the middle of its kernel, maps between -3
and 3 take the place of those between 0 and 6, and hidden channels come in the order that keeps sums small.

The order in which the depthwise layer adds up its nine pixels is the runtime's: row by row the shipped weights keep
sums small, column by column they do not. XNNPACK takes columns, so `TurnedDepth` gives it the picture turned around
its diagonal up to that layer.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional as F

from .depth import RANGE, DepthNet
from .efficientnet_lite import EfficientNetLite, Features, MBConv, SameConv2d, through
from .filters import twice

CENTRE = RANGE / 2
"""What ReLU6's results are measured from, and in: they become those of a clipping to [-1, 1], which every runtime
fuses, too."""

_MIDDLE = 4
"""Of the 9 pixels of a kernel, row by row."""

OUTSIDE = -2.0
"""Before that clipping, of pixels beyond the border, which are 0 behind a ReLU6."""


class CentredDepth(DepthNet):
    """What `network` computes, with sums around 0; see the module.

    Attributes:
        exact: layers that exports leave in floats at every precision: 8 bits of differences are fewer than of a photo.
    """

    exact: tuple[str, ...] = ("encoder.differences", "encoder._conv_stem")
    turned = False

    def __init__(self, network: DepthNet) -> None:
        super().__init__(network.config)
        self.load_state_dict(network.state_dict())
        if isinstance(self.encoder, EfficientNetLite):
            encoder = CentredEncoder(self.encoder, self.turned)
            self.encoder = encoder  # pyright: ignore[reportAttributeAccessIssue]  # called alike
        assert self.disparity.bias is not None
        with torch.no_grad():
            self.disparity.weight /= CENTRE
            self.disparity.bias.copy_((self.disparity.bias - CENTRE) / CENTRE)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """See `DepthNet.forward`."""
        return twice(F.hardtanh(self.disparity(self._decode(image))) * 0.5 + 0.5)


class TurnedDepth(CentredDepth):
    """The same for runtimes whose depthwise convolutions sum column by column."""

    turned = True


class CentredEncoder(nn.Module):
    """An EfficientNet-Lite whose stem computes differences and whose hidden channels are in a balanced order.

    Args:
        turned: whether rows are columns and columns rows up to the first depthwise convolution.
    """

    def __init__(self, encoder: EfficientNetLite, turned: bool = False) -> None:
        super().__init__()
        weight, bias = folded(encoder._conv_stem, encoder._bn0)
        self._turned = turned
        kernels, ones = _differences()
        self.differences = _convolution(_transposed(kernels) if turned else kernels, ones, stride=2)
        self._conv_stem = _convolution(*_of_differences(weight, bias), padding=1)  # a border of `OUTSIDE` around
        self._pad = encoder._conv_stem._padded
        self._ends = encoder._ends
        blocks = [copy.deepcopy(block) for block in encoder._blocks]
        self._blocks = nn.ModuleList([_Centred(blocks[0], turned), *(_balanced(block) for block in blocks[1:])])

    def forward(self, image: torch.Tensor) -> Features:
        """See `EfficientNetLite.forward`."""
        padded = self._pad(image * (255 / 128) - 127 / 128)
        x = F.hardtanh(self._conv_stem(self.differences(_transposed(padded) if self._turned else padded)))
        return through(self._blocks, self._ends, x)


class _Centred(nn.Module):
    """A block that does not expand, of maps in [-1, 1] that have their border around them.

    Args:
        turned: whether the maps that come are turned around their diagonal.
    """

    def __init__(self, block: nn.Module, turned: bool) -> None:
        super().__init__()
        assert isinstance(block, MBConv)
        self._turned = turned
        weight, bias = folded(block._depthwise_conv, block._bn1)
        total = weight.double().sum(dim=(1, 2, 3))
        middle = (bias.double() + CENTRE * total).float()
        kernels = weight * CENTRE
        self._depthwise_conv = _convolution(_transposed(kernels) if turned else kernels, middle, groups=len(weight))
        self._project_conv, self._bn2 = block._project_conv, block._bn2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, inputs, H + 2, W + 2], or W + 2, H + 2 where it is turned, -> [N, outputs, H, W]."""
        y = self._bn2(self._project_conv(F.relu6(self._depthwise_conv(x))))
        return _transposed(y) if self._turned else y


def _transposed(maps: torch.Tensor) -> torch.Tensor:
    """[..., H, W] -> [..., W, H]: of maps, or of kernels, in memory, too."""
    return maps.transpose(2, 3).contiguous()


def _convolution(
    weight: torch.Tensor, bias: torch.Tensor, stride: int = 1, padding: int = 0, groups: int = 1
) -> nn.Conv2d:
    outputs, inputs, size, _ = weight.shape
    layer = nn.Conv2d(inputs * groups, outputs, size, stride, padding, groups=groups)
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    return layer


def folded(convolution: SameConv2d, norm: nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of a convolution that `norm` follows."""
    assert norm.running_var is not None
    assert norm.running_mean is not None
    gain = (norm.weight.double() * torch.rsqrt(norm.running_var.double() + norm.eps)).detach()
    bias = norm.bias.double().detach() - norm.running_mean.double() * gain
    return (convolution.weight.double().detach() * gain.view(-1, 1, 1, 1)).float(), bias.float()


def _differences() -> tuple[torch.Tensor, torch.Tensor]:
    """[28, 3, 3, 3] and [28]: a map of ones (by its bias), the pixel in the middle, and the eight around it less that
    one; of each colour."""
    pixels = torch.eye(27).reshape(3, 9, 3, 3, 3)  # [colour, pixel, colour, row, column]
    middle = pixels[:, _MIDDLE]
    others = [pixels[:, k] - middle for k in range(9) if k != _MIDDLE]
    ones = torch.zeros(1, 3, 3, 3)
    return torch.cat([ones, middle, *others]), torch.eye(28)[0]


def _of_differences(weight: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """[outputs, 28, 1, 1] and [outputs]: what a stem computes, measured from `CENTRE` and in it, of `_differences`.

    Args:
        weight: [outputs, 3, 3, 3].
        bias: [outputs].
    """
    taps = weight.double().flatten(2) / CENTRE
    others = [taps[:, :, k] for k in range(9) if k != _MIDDLE]
    inside = (bias.double() - CENTRE) / CENTRE - OUTSIDE
    mixing = torch.cat([inside[:, None], taps.sum(dim=2), *others], dim=1).float()
    return mixing[:, :, None, None], torch.full_like(bias, OUTSIDE)


def _balanced(block: nn.Module) -> nn.Module:
    """The block with its hidden channels in an order that keeps the sums of its last convolution small.

    Each is the one that brings the sums nearest to 0, if all hidden channels were 1.
    """
    assert isinstance(block, MBConv)
    weight, bias = folded(block._project_conv, block._bn2)
    order = balanced_order(weight.flatten(1), bias)
    hidden = [block._expand_conv, block._depthwise_conv]
    for norm in (block._bn0, block._bn1):
        for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            assert values is not None
            values.data = values.data[order]
    for convolution in hidden:
        convolution.weight.data = convolution.weight.data[order]
    block._project_conv.weight.data = block._project_conv.weight.data[:, order]
    return block


def balanced_order(weight: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
    """The order in which columns of `weight` [outputs, K], added to `start` [outputs], leave sums nearest to 0."""
    columns = weight.double()
    products, towards = columns.T @ columns, columns.T @ start.double()
    lengths, order = products.diagonal().clone(), torch.empty(columns.shape[1], dtype=torch.long)
    for place in range(len(order)):
        nearest = int((2 * towards + lengths).argmin())
        order[place], lengths[nearest] = nearest, torch.inf
        towards += products[nearest]
    return order

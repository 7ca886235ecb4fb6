"""Guided upsampling once more, as ONNX Runtime computes it fastest: colour by colour, in dense convolutions.

The same function of the same weights, summed in another order. What is left of H = L̂ + M₁ · (A − A') + M₂ · (A' − Â) +
M₃ · (Â − Â') + M₄ · (Â' − L̂) when it is written from the sharp picture down,

    H = A − (1 − M₁) · (A − A') − (1 − M₂) · (A' − Â) − (1 − M₃) · (Â − Â') − (1 − M₄) · (Â' − L̂),

needs no L̂ by itself. All four bands of one colour are linear in its three pictures, and one convolution of the high
level plus one of the low level makes them: 16 maps, as many as there are shares, which ONNX Runtime packs into whole
blocks on x86. They are multiplied with the shares block by block, where `GuidedUpsamplingNet` computes 48 maps by
convolutions that fill no block, and subtracts, repeats, multiplies and adds them outside of blocks. With 1.45 times the
multiplications of convolutions it takes 0.66 of the time there. For TFLite see `guided_upsampling_blocks`.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from .filters import FixedConvolution
from .guided_upsampling import BANDS, LUMA, STRETCH, GuidedUpsamplingNet


class GuidedUpsamplingByColour(GuidedUpsamplingNet):
    """What `network` computes, arranged for ONNX Runtime; see the module.

    Attributes:
        exact: layers that exports leave in floats at every precision: they carry light, and are small.
    """

    exact: tuple[str, ...] = ("child_luma", "lost", "below", "above", "totals.0", "totals.1", "totals.2")

    def __init__(self, network: GuidedUpsamplingNet) -> None:
        super().__init__(network.config)
        self.load_state_dict(network.state_dict())
        sharp, soft = network.gather.weight[:4], network.soften.weight[:4]  # of the first colour, as of all
        low, broad = network.enlarge.weight[:4], network.enlarge_softly.weight[:4]
        nothing = torch.zeros_like(low)
        self.child_luma = FixedConvolution(torch.cat([weight * sharp for weight in LUMA], dim=1), stride=2)
        kernels = [F.pad(sharp, [1] * 4) - soft, soft, torch.zeros_like(soft), torch.zeros_like(soft)]
        self.above = FixedConvolution(torch.cat(kernels), stride=2)
        of_sharp, of_blurred = [nothing, -low, low - broad, broad], [nothing, nothing, nothing, -low]
        self.below = FixedConvolution(torch.cat([torch.cat(of_sharp), torch.cat(of_blurred)], dim=1))
        self.lost = FixedConvolution(-STRETCH * torch.eye(4 * BANDS)[..., None, None], bias=(1 + STRETCH) / 2)
        self.totals = nn.ModuleList(FixedConvolution(_total(colour)) for colour in range(3))

    def forward(
        self,
        image_high: torch.Tensor,
        image_low: torch.Tensor,
        blurred_low: torch.Tensor,
        defocus_low: torch.Tensor,
    ) -> torch.Tensor:
        """See `GuidedUpsamplingNet.forward`."""
        pictures, blurred = torch.cat([image_low, blurred_low], dim=1), torch.cat([blurred_low, defocus_low], dim=1)
        lost = self.lost(self.predicted(self.child_luma(image_high), pictures, blurred)).clamp(0.0, 1.0)
        taken = []
        for colour, total in enumerate(self.totals):
            high, low, soft = (picture[:, colour : colour + 1] for picture in (image_high, image_low, blurred_low))
            bands = self.below(torch.cat([low, soft], dim=1)) + self.above(high)
            taken.append(total(bands * lost))
        return (image_high - woven(taken[0] + taken[1] + taken[2])).clamp(0.0, 1.0)


def _total(colour: int) -> torch.Tensor:
    """[12, 16, 1, 1]: each child's sum over the bands, at its place among the children of all colours."""
    weight = torch.zeros(12, 4 * BANDS, 1, 1)
    weight[4 * colour : 4 * colour + 4, :, 0, 0] = torch.eye(4).repeat(1, BANDS)
    return weight


def woven(children: torch.Tensor) -> torch.Tensor:
    """`pixel_shuffle(children, 2)` of [N, 12, H, W] in two steps that each move one axis.

    ONNX Runtime has fast ways for these, and none for `DepthToSpace`: 0.17 in place of 0.52 ms.
    """
    batch, _, height, width = children.shape
    rows = children.reshape(6 * batch, 2, height * width).transpose(1, 2)
    pictures = rows.reshape(3 * batch, 2, height, 2 * width).transpose(1, 2)
    return pictures.reshape(batch, 3, 2 * height, 2 * width)

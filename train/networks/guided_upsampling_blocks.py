"""Guided upsampling once more, as XNNPACK computes it fastest: its pictures one behind the other, in blocks.

The same function of the same weights; see `blocks`. A block is 2 × 2 pixels of the low level, each with its four
children: 16 channels. Colours are the pictures of a batch, for which all filters and shares are the same. Nothing is
slower in XNNPACK than what `GuidedUpsamplingNet` has: depthwise convolutions that make several channels of each, means
of few channels, and parts of channels put together. The details are taken from the sharp picture down, as in
`guided_upsampling_by_colour`.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from .blocks import SIDE, dense_kernel, filtered, in_blocks, out_of_blocks
from .filters import FixedConvolution
from .guided_upsampling import AROUND, BANDS, FLAT, LUMA, STRETCH, GuidedUpsamplingNet

CHILDREN = 4


class GuidedUpsamplingBlocks(GuidedUpsamplingNet):
    """What `network` computes for one picture, arranged for XNNPACK; see the module.

    Attributes:
        multiple: H and W are multiples of this.
        exact: layers that exports leave in floats at every precision, those that carry light: `enlarge` alone would
            cost 4 dB in 8 bits, `squares` 1; the first and the grey picture are too small to gain by it.
    """

    multiple: int = SIDE
    exact: tuple[str, ...] = ("child_luma", "enlarge", "lumas", "squares")
    flat: torch.Tensor

    def __init__(self, network: GuidedUpsamplingNet) -> None:
        super().__init__(network.config)
        self.load_state_dict(network.state_dict())
        gather, soften = self.gather.weight.detach()[:CHILDREN], self.soften.weight.detach()[0, 0, :3, :3]
        self.child_luma = FixedConvolution(torch.cat([weight * gather for weight in LUMA], dim=1), stride=2)
        self.soften = FixedConvolution(dense_kernel(soften)[_FAMILIES][:, _FAMILIES])
        self.enlarge = FixedConvolution(_of_children(self.enlarge.weight.detach()))
        self.enlarge_softly = FixedConvolution(_of_children(self.enlarge_softly.weight.detach()))
        self.mean = FixedConvolution(dense_kernel(torch.full((AROUND, AROUND), 1 / AROUND**2)))
        windows = self.config.windows
        squares = [F.pad(torch.ones(side, side), [(max(windows) - side) // 2] * 4) for side in windows]
        self.squares = FixedConvolution(torch.cat([dense_kernel(square) for square in squares]))
        flat = torch.tensor([FLAT * side**2 for side in windows]).repeat_interleave(SIDE**2)
        self.register_buffer("flat", flat, persistent=False)

    def forward(
        self,
        image_high: torch.Tensor,
        image_low: torch.Tensor,
        blurred_low: torch.Tensor,
        defocus_low: torch.Tensor,
    ) -> torch.Tensor:
        """See `GuidedUpsamplingNet.forward`; N is 1."""
        pictures, blurred = torch.cat([image_low, blurred_low], dim=1), torch.cat([blurred_low, defocus_low], dim=1)
        shares = self.predicted(self.child_luma(image_high), pictures, blurred)
        lost = _bands(((1 + STRETCH) / 2 - STRETCH * shares).clamp(0.0, 1.0))
        sharp, low, below = _families(image_high), _grid(image_low, 2), _grid(blurred_low, 2)
        soft, enlarged = filtered(sharp, self.soften), filtered(low, self.enlarge)
        broad, blurred = filtered(low, self.enlarge_softly), filtered(below, self.enlarge)
        mixed = sharp
        for band, detail in enumerate((sharp - soft, soft - enlarged, enlarged - broad, broad - blurred)):
            mixed = mixed - lost[band : band + 1] * detail
        return _picture(mixed).clamp(0.0, 1.0)

    def predicted(self, luma: torch.Tensor, pictures: torch.Tensor, blurred: torch.Tensor) -> torch.Tensor:
        """See `GuidedUpsamplingNet.predicted`; N is 1."""
        height, width = (int(side) for side in pictures.shape[2:])
        grey = self.lumas(pictures).flatten(2)  # joined channel-last, each would be moved pixel by pixel
        below = blurred.flatten(2)
        near = torch.relu(1.0 - below[:, 3:].abs() * self.slopes.flatten(2))
        kept = self.kept(grey.reshape(1, 2, height, width))
        inputs = [luma.flatten(2), grey[:, :1], below, near, *(ratio.flatten(2) for ratio in kept)]
        features = self.features(torch.cat(inputs, dim=1).reshape(1, -1, height, width))
        return torch.sigmoid(self.shares(features))

    def kept(self, grey: torch.Tensor) -> list[torch.Tensor]:
        """See `GuidedUpsamplingNet.kept`; N is 1, and all windows are in one tensor."""
        height = int(grey.shape[2])
        maps = _grid(grey, SIDE)
        contrast = maps - filtered(maps, self.mean)
        sums = filtered(contrast * contrast[:1], self.squares)  # of sharp², blurred · sharp
        kept = (sums[1:] / (sums[:1] + self.flat)).clamp(-1.0, 2.0)
        ratios = kept.reshape(1, -1, len(self.config.windows), SIDE**2).transpose(1, 2)
        return [out_of_blocks(ratios, height)]


_FAMILIES = [4 * (2 * y + v) + 2 * x + u for y in (0, 1) for x in (0, 1) for v in (0, 1) for u in (0, 1)]
"""The pixels of a block of 4 × 4, those of the same parent one after the other."""


def _grid(maps: torch.Tensor, side: int) -> torch.Tensor:
    """[1, C, H, W] → [C, H / side, W / side, side²]."""
    _, channels, height, width = (int(size) for size in maps.shape)
    return in_blocks(maps, side).reshape(channels, height // side, width // side, side**2)


def _folded(pictures: torch.Tensor) -> torch.Tensor:
    """[1, H, W, C] → [1, H / 2, W / 2, 4 · C]: pixels of 2 × 2 one after the other."""
    _, height, width, channels = (int(size) for size in pictures.shape)
    lines = pictures.reshape(height // 2, 2, width // 2, 2 * channels).transpose(1, 2)
    return lines.reshape(1, height // 2, width // 2, 4 * channels)


def _families(picture: torch.Tensor) -> torch.Tensor:
    """[1, C, H, W] → [C, H / 4, W / 4, 16], in the order of `_FAMILIES`."""
    _, channels, height, width = (int(size) for size in picture.shape)
    folded = _folded(_folded(picture.permute(0, 2, 3, 1)))
    return folded.reshape(height // SIDE, width // SIDE, SIDE**2, channels).permute(3, 0, 1, 2)


def _picture(families: torch.Tensor) -> torch.Tensor:
    """The inverse of `_families`."""
    _, rows, columns, _ = (int(size) for size in families.shape)
    folded = families.permute(1, 2, 3, 0)
    for scale in (1, 2):
        lines = folded.reshape(scale * rows, scale * columns, 2, -1).transpose(1, 2)
        folded = lines.reshape(1, 2 * scale * rows, 2 * scale * columns, -1)
    return folded.permute(0, 3, 1, 2)


def _bands(shares: torch.Tensor) -> torch.Tensor:
    """[1, BANDS · CHILDREN, H, W] → [BANDS, H / 2, W / 2, 16], in the order of `_FAMILIES`."""
    folded = _folded(shares.permute(0, 2, 3, 1))
    parents = folded.reshape(-1, 4, BANDS, CHILDREN).permute(2, 0, 1, 3)
    return parents.reshape(BANDS, int(folded.shape[1]), int(folded.shape[2]), SIDE**2)


def _of_children(weight: torch.Tensor) -> torch.Tensor:
    """[16, 4, K, K]: the pixels of a block, in the order of `_FAMILIES`, from blocks of 2 × 2 of their parents.

    Args:
        weight: [CHILDREN · n, 1, k, k], of each child.
    """
    return torch.stack([dense_kernel(kernel, 2) for kernel in weight[:CHILDREN, 0]], dim=1).flatten(0, 1)

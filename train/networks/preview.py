"""The whole pipeline as one graph of a fixed size, for live sliders: no tiles, no host code, the same networks.

Photo levels, disparity at each level, defocus, lens blur and every upsampling are inside; so is the depth network in
the second form. It computes steps 3 to 12 of a bundle's README for a photo of exactly its size, always from the lowest
level on, and copies nothing: what a tile computes inside, this does everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import nn
from torch.nn import functional as F

from ...runtime_ref.pipeline.aspects import Size
from ...runtime_ref.pipeline.optics import LONG_SIDE_PER_RADIUS, NETWORK_RADIUS
from ...runtime_ref.pipeline.pyramid import Pyramid
from ...runtime_ref.pipeline.resampling import taps, whole_pitch


@dataclass(frozen=True)
class PreviewPart:
    """A rendering network as a part of the graph.

    Attributes:
        network: in the form that the target computes.
        halo: low-resolution pixels around an output pixel that it depends on.
        multiple: sides of its low-resolution inputs are multiples of this.
    """

    network: nn.Module
    halo: int
    multiple: int


class PreviewNet(nn.Module):
    """image [1, 3, H, W], disparity [1, 1, h, w], focus and aperture [1, 1, 1, 1] → portrait [1, 3, H, W].

    Args:
        size: H and W, multiples of 2^n; n is at least 1.
        map_size: h and w.
        blur, upsampling: the networks.
    """

    def __init__(self, size: Size, map_size: Size, blur: PreviewPart, upsampling: PreviewPart) -> None:
        super().__init__()
        self.levels = Pyramid.of(*size)
        self.blur, self.upsampling = blur.network, upsampling.network
        low = [self.levels.size(k) for k in range(self.levels.levels)]
        self._blur_frame = _Frame.around(low[0], blur)
        self._upsampling_frames = [_Frame.around(each, upsampling) for each in low]
        self.maps = nn.ModuleList(Resampled(map_size, each) for each in low)

    def forward(
        self, image: torch.Tensor, disparity: torch.Tensor, focus: torch.Tensor, aperture: torch.Tensor
    ) -> torch.Tensor:
        """See the class. All pictures are sRGB-encoded and in [0, 1]; disparity 1 is nearest, see step 5."""
        images = self._images(image)
        offset = (disparity - focus) * aperture
        low, frame = images[0], self._blur_frame
        blurred = frame.cut(self.blur(frame.pad(low), frame.pad(self._defocus(offset, 0)))).clamp(0.0, 1.0)
        for k, frame in enumerate(self._upsampling_frames):
            defocus = self._defocus(offset, k)
            high = self.upsampling(
                frame.doubled.pad(images[k + 1]), frame.pad(images[k]), frame.pad(blurred), frame.pad(defocus)
            )
            blurred = frame.doubled.cut(high).clamp(0.0, 1.0)
        return blurred

    def _images(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Step 3, level 0 first."""
        images = [image]
        for _ in range(self.levels.levels):
            images.append(F.avg_pool2d(images[-1] * images[-1], 2).sqrt())
        return images[::-1]

    def _defocus(self, offset: torch.Tensor, level: int) -> torch.Tensor:
        """Steps 9 and 10: what the networks get at a level."""
        widest = self.levels.long_side(level) / (LONG_SIDE_PER_RADIUS * NETWORK_RADIUS)
        return (self.maps[level](offset) * widest).clamp(-1.0, 1.0)


class PhotoPreviewNet(nn.Module):
    """image [1, 3, H, W], focus and aperture [1, 1, 1, 1] → portrait [1, 3, H, W], depth included.

    Args:
        depth: the depth network.
        preview: with maps of the depth network's size.
        depth_size: its input's, height and width.
        focus_range: disparities this close to the focus are held sharp, see step 7.
    """

    def __init__(self, depth: nn.Module, preview: PreviewNet, depth_size: Size, focus_range: float) -> None:
        super().__init__()
        size = preview.levels.size(preview.levels.levels)
        self.depth, self.preview, self.focus_range = depth, preview, focus_range
        self.reduced = Resampled(size, depth_size)

    def forward(self, image: torch.Tensor, focus: torch.Tensor, aperture: torch.Tensor) -> torch.Tensor:
        """See the class; `focus` is a disparity in [0, 1]."""
        offset = self.depth(self.reduced(image)) - focus
        held = offset - offset.clamp(-self.focus_range, self.focus_range)
        return self.preview(image, held + focus, focus, aperture)


class Resampled(nn.Module):
    """The pipeline's resampling from one size to another: means of whole blocks as a pooling, the rest as products with
    constant matrices, the vertical axis first. [1, C, h, w] → [1, C, H, W]."""

    down: torch.Tensor
    across: torch.Tensor

    def __init__(self, before: Size, after: Size) -> None:
        super().__init__()
        pitches = whole_pitch(before, after)
        self._pooled = tuple(int(pitch) if pitch.denominator == 1 else 1 for pitch in pitches)
        self._left = [pitch.denominator != 1 for pitch in pitches]
        for name, side, count, pitch in zip(("down", "across"), before, after, pitches, strict=True):
            matrix = matrix_of(side, count, pitch)
            self.register_buffer(name, matrix if name == "down" else matrix.T.contiguous(), persistent=False)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """See the class."""
        if max(self._pooled) > 1:
            values = F.avg_pool2d(values, self._pooled)
        if self._left[0]:
            values = torch.matmul(self.down, values)
        return torch.matmul(values, self.across) if self._left[1] else values


def matrix_of(side: int, count: int, pitch: Fraction) -> torch.Tensor:
    """The weights of `side` values in each of `count` results, [count, side]."""
    matrix = torch.zeros(count, side)
    for indices, weights in zip(*taps(side, count, pitch), strict=True):
        matrix[torch.arange(count), torch.from_numpy(indices)] += torch.from_numpy(weights)
    return matrix


@dataclass(frozen=True)
class _Frame:
    """A level in the size that a network is run at: its edge repeated by the halo, and up to a multiple.

    Attributes:
        size: the level's height and width.
        halo: on all sides.
        more: below and to the right beside it.
    """

    size: Size
    halo: int
    more: tuple[int, int]

    @classmethod
    def around(cls, size: Size, part: PreviewPart) -> _Frame:
        """The least that a network takes."""
        more = tuple(-(side + 2 * part.halo) % part.multiple for side in size)
        return cls(size, part.halo, (more[0], more[1]))

    @property
    def doubled(self) -> _Frame:
        """Of the level above."""
        return _Frame((2 * self.size[0], 2 * self.size[1]), 2 * self.halo, (2 * self.more[0], 2 * self.more[1]))

    def pad(self, picture: torch.Tensor) -> torch.Tensor:
        """[1, C, H, W] in the frame."""
        sides: Sequence[int] = (self.halo, self.halo + self.more[1], self.halo, self.halo + self.more[0])
        return F.pad(picture, list(sides), mode="replicate")

    def cut(self, result: torch.Tensor) -> torch.Tensor:
        """The level out of its frame."""
        height, width = self.size
        return result[:, :, self.halo : self.halo + height, self.halo : self.halo + width]

"""Pictures in blocks: a block's `SIDE` × `SIDE` pixels become the channels of one, in the order of `pixel_unshuffle`.

A wide kernel of single maps is a small dense one there. XNNPACK has a fast way for depthwise kernels of 25 taps at
most; a wider one takes up to 50 times what as many dense taps take. Whole maps lie one behind the other, the same
kernel for all: a dense convolution of maps as its batch reads and writes memory in one go, a grouped one in strides.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

SIDE = 4
"""16 channels: what AVX-512 computes at a time. A kernel of 17 taps a side then sees two blocks on either side, which
makes 400 taps of its 289; in blocks of 8 it would make 576, in blocks of 2, 324 on a quarter of a vector."""

PIXELS = SIDE**2


def in_blocks(maps: torch.Tensor, side: int = SIDE) -> torch.Tensor:
    """[1, C, H, W] → [1, C, blocks, side²], the blocks row by row.

    Channel-last and by steps that have four axes: where most runtimes move the longest pieces, and GPUs know no more.
    """
    _, channels, height, width = (int(size) for size in maps.shape)
    lines = maps.permute(0, 2, 3, 1).reshape(height // side, side, width // side, side * channels).transpose(1, 2)
    return lines.reshape(1, height * width // side**2, side**2, channels).permute(0, 3, 1, 2)


def out_of_blocks(maps: torch.Tensor, height: int) -> torch.Tensor:
    """[1, C, blocks, side²] → [1, C, H, W], H = `height`."""
    _, channels, blocks, pixels = (int(size) for size in maps.shape)
    side = math.isqrt(pixels)
    rows = height // side
    lines = maps.permute(0, 2, 3, 1).reshape(rows, blocks // rows, side, side * channels).transpose(1, 2)
    return lines.reshape(1, height, blocks // rows * side, channels).permute(0, 3, 1, 2)


def filtered(maps: torch.Tensor, convolution: nn.Conv2d) -> torch.Tensor:
    """Each of many maps by a convolution of its blocks: [N, rows, columns, inputs] → [N, rows, columns, outputs]."""
    return convolution(maps.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def dense_kernel(kernel: torch.Tensor, side: int = SIDE) -> torch.Tensor:
    """[side², side², K, K]: the weights that filter blocks as `kernel` [k, k], k odd, filters pixels, both padded with
    zeros.

    Pixel (y, x) of a block sees pixel (v, u) of the block that is (b, a) blocks away by the kernel's value at
    (side·b + v − y, side·a + u − x) from its middle.
    """
    reach = kernel.shape[0] // 2
    around = -(-reach // side)
    wide = F.pad(kernel, [side * around + side - 1 - reach] * 4)
    size = side * (2 * around + 1)
    starts = [(side - 1 - y, side - 1 - x) for y in range(side) for x in range(side)]
    taps = torch.stack([wide[top : top + size, left : left + size] for top, left in starts])
    return F.pixel_unshuffle(taps[:, None], side)

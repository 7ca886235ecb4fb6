"""Pictures in blocks are the same pictures, filtered alike."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from dofkit.train.networks.blocks import dense_kernel, filtered, in_blocks, out_of_blocks
from dofkit.train.networks.filters import FixedConvolution


def maps(count: int, height: int, width: int) -> torch.Tensor:
    return torch.rand(1, count, height, width, generator=torch.Generator().manual_seed(count))


@pytest.mark.parametrize("side", [2, 4])
def test_blocks_are_those_of_pixel_unshuffle_and_come_back(side: int) -> None:
    picture = maps(5, 16, 24)
    blocks = in_blocks(picture, side)
    children = F.pixel_unshuffle(picture[0, :, None], side).flatten(2)  # [C, side², blocks]
    assert torch.equal(blocks[0], children.transpose(1, 2))
    assert torch.equal(out_of_blocks(blocks, 16), picture)


@pytest.mark.parametrize("side", [2, 4])
@pytest.mark.parametrize("size", [1, 3, 5, 7, 9, 11, 15, 17])
def test_a_dense_kernel_filters_blocks_as_the_kernel_filters_pixels_up_to_the_borders(side: int, size: int) -> None:
    picture = maps(3, 24, 16)
    kernel = torch.randn(size, size, generator=torch.Generator().manual_seed(size)) / size
    expected = F.conv2d(picture.transpose(0, 1), kernel[None, None], padding=size // 2).transpose(0, 1)
    dense = FixedConvolution(dense_kernel(kernel, side))
    with torch.no_grad():
        blocks = in_blocks(picture, side).reshape(3, 24 // side, 16 // side, side**2)
        found = out_of_blocks(filtered(blocks, dense).reshape(1, 3, -1, side**2), 24)
    torch.testing.assert_close(found, expected, rtol=0, atol=3e-6)


def test_a_dense_kernel_holds_every_tap_once_for_each_pixel_and_nothing_else() -> None:
    kernel = torch.arange(1.0, 226.0).reshape(15, 15)
    dense = dense_kernel(kernel)
    assert dense.shape == (16, 16, 5, 5)
    for taps in dense:
        assert torch.equal(taps[taps > 0].sort().values, kernel.flatten())

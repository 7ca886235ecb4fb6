"""Pictures that tests of several forms of a network share."""

from __future__ import annotations

import torch


def sheet_over_squares(height: int, width: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Squares of colours, over half of which a near sheet lies: every plane is used, and much is hidden."""
    generator = torch.Generator().manual_seed(seed)
    colours = torch.rand(1, 3, height // 8, width // 8, generator=generator)
    image = colours.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)
    defocus = 0.6 * torch.rand(1, 1, height, width, generator=generator) - 1
    defocus[..., width // 2 :] += torch.linspace(0.8, 1.4, height)[:, None]
    return image, defocus

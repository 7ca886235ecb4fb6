"""Differentiable augmentation for GANs on small sets: photos and fakes alike are disturbed before they are judged."""

from __future__ import annotations

import torch

SHIFT = 0.125
"""Largest translation, as a share of the side."""
HOLE = 0.5
"""Side of the cut-out square, as a share of the picture's."""


def augmented(pictures: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Colour, translation and cut-out, each picture by itself (Zhao et al. 2020, "DiffAugment").

    Args:
        pictures: [N, 3, S, S] in [0, 1].
        rng: on the CPU; the order of draws does not depend on the device.

    Returns:
        [N, 3, S, S]; outside the moved picture and inside the hole 0.5.
    """

    def uniform(low: float, high: float) -> torch.Tensor:
        return (low + (high - low) * torch.rand(len(pictures), 1, 1, 1, generator=rng)).to(pictures.device)

    x = pictures + uniform(-0.25, 0.25)
    grey = x.mean(dim=1, keepdim=True)
    x = grey + (x - grey) * uniform(0, 2)
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    x = mean + (x - mean) * uniform(0.5, 1.5)
    side = pictures.shape[-1]
    x = _moved(x - 0.5, (uniform(-SHIFT, SHIFT) * side).round(), (uniform(-SHIFT, SHIFT) * side).round())
    axis = torch.arange(side, device=pictures.device)
    outside_y = (axis[:, None] - uniform(0, side)).abs() > HOLE * side / 2
    outside_x = (axis[None] - uniform(0, side)).abs() > HOLE * side / 2
    return x * (outside_y | outside_x) + 0.5


def _moved(x: torch.Tensor, down: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """[N, C, S, S] moved by whole pixels [N, 1, 1, 1], zero where nothing was."""
    side = x.shape[-1]
    axis = torch.arange(side, device=x.device)
    rows, columns = axis[:, None] - down.long(), axis[None] - right.long()
    inside = (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)
    batch = torch.arange(len(x), device=x.device)[:, None, None]
    rows, columns = rows.clamp(0, side - 1)[:, 0], columns.clamp(0, side - 1)[:, 0]
    return x[batch, :, rows, columns].permute(0, 3, 1, 2) * inside

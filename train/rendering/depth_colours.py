"""Signed depth as colours: what people look at while a generator trains and where its samples are listed."""

from __future__ import annotations

import torch


def depth_colours(share: torch.Tensor) -> torch.Tensor:
    """Signed maps [N, 1, H, W] in [-1, 1] → [N, 3, H, W]: white is 0, blue behind it, red before it."""
    front, behind = share.clamp(0, 1), (-share).clamp(0, 1)
    return torch.cat([1 - behind, 1 - behind - front, 1 - front], dim=1).clamp(0, 1)

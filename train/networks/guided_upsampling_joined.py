"""Guided upsampling once more, for runtimes whose tensors are channel-last: its low-resolution inputs joined there."""

from __future__ import annotations

import torch

from .guided_upsampling import GuidedUpsamplingNet


class GuidedUpsamplingJoined(GuidedUpsamplingNet):
    """What `network` computes. Joined channel-first, each of the three inputs would be transposed by the converter."""

    def __init__(self, network: GuidedUpsamplingNet) -> None:
        super().__init__(network.config)
        self.load_state_dict(network.state_dict())

    def forward(
        self,
        image_high: torch.Tensor,
        image_low: torch.Tensor,
        blurred_low: torch.Tensor,
        defocus_low: torch.Tensor,
    ) -> torch.Tensor:
        """See `GuidedUpsamplingNet.forward`."""
        channel_last = [picture.permute(0, 2, 3, 1) for picture in (image_low, blurred_low, defocus_low)]
        return self.blend(image_high, torch.cat(channel_last, dim=3).permute(0, 3, 1, 2))

"""A generator and its lens as one network, which is what ships: z and s → deep picture, defocus, shallow picture."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from ..argan_config import ArganConfig, Mixture
from ..rendering.light_field import ApertureRenderer
from .argan import GeneratorConfig
from .viewpoint import GENERATORS


class Photographed(NamedTuple):
    """A generated scene and the photo of it.

    Attributes:
        deep: [N, 3, S, S], all in focus, sRGB-encoded in [0, 1].
        shallow: [N, 3, S, S], through the lens.
        defocus: [N, 1, S, S] at full aperture, signed radius in pixels, > 0 nearer than the focus.
    """

    deep: torch.Tensor
    shallow: torch.Tensor
    defocus: torch.Tensor


class ApertureGenerator(nn.Module):
    """Attributes: config, generator, lens."""

    def __init__(self, config: ArganConfig | None = None) -> None:
        super().__init__()
        self.config = config or ArganConfig()
        shape = GeneratorConfig(self.config.size, self.config.width, reach=self.config.reach, norm=self.config.norm)
        self.generator = GENERATORS[self.config.viewpoint.kind](shape)
        self.lens = ApertureRenderer(self.config.views, self.config.expansion)

    def forward(self, z: torch.Tensor, scale: torch.Tensor, view: torch.Tensor | None = None) -> Photographed:
        """Generate and photograph.

        Args:
            z: [N, latent], standard normal.
            scale: [N, 1, 1, 1] in [0, 1], s of each picture: the aperture.
            view: [N, 2], azimuth and elevation in radians; None looks from the front. A generator without viewpoints
                always does.
        """
        made = self.generator(z, view)
        with torch.autocast(made.image.device.type, enabled=False):  # half a pixel is lost in bfloat16
            deep, defocus = made.image.float(), made.defocus.float()
            return Photographed(deep, self.lens(deep, scale * defocus), defocus)

    @property
    def latent(self) -> int:
        """Length of z."""
        return self.generator.config.latent

    @property
    def largest_defocus(self) -> float:
        """Pixels of radius that `defocus` cannot leave."""
        return self.generator.config.largest_defocus


def drawn_scales(count: int, mixture: Mixture, rng: torch.Generator) -> torch.Tensor:
    """s ~ p(s), [N, 1, 1, 1]."""
    if mixture == "none":
        return torch.ones(count, 1, 1, 1)
    scales = torch.rand(count, 1, 1, 1, generator=rng)
    return scales if mixture == "uniform" else scales.round()

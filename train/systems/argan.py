"""AR-GAN in training: a generator that can only make shallow photos through a lens, so it must learn their depth.

Kaneko 2021. The discriminator sees photos and R(I, s·c): the generated all-in-focus picture I through the lens, its
defocus c scaled by s ~ p(s) (depth-of-field mixture learning). The centre focus prior tells front from back, which
blur alone cannot. What the paper leaves open (p(s), the prior's form and schedule, weights) is ours; see
`ArganConfig`.
"""

from __future__ import annotations

from typing import Any

import lightning
import torch
from torch.nn import functional as F

from ..argan_config import ArganConfig, Mixture, PriorSettings
from ..networks.aperture_generator import ApertureGenerator
from ..networks.argan import Discriminator
from .augmentation import augmented
from .sheets import depth_colours

SHEET = 8
"""Samples shown in a sheet: deep, shallow and defocus, one above the other."""


class ArganSystem(lightning.LightningModule):
    """Batches are photos [N, 3, S, S] in [0, 1]. All that is drawn at a step is drawn from (seed, step) alone."""

    automatic_optimization = False

    def __init__(self, config: ArganConfig, steps: int, seed: int = 0) -> None:
        super().__init__()
        self.config, self.steps, self.seed = config, steps, seed
        self.network = ApertureGenerator(config)
        self.discriminator = Discriminator(config.size, config.discriminator_width)
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # a step takes 0.8 of the time

    def configure_optimizers(self) -> Any:
        """Adam with the momenta of the author's other GANs, (0, 0.99)."""
        betas, config = (0.0, 0.99), self.config
        return (
            torch.optim.Adam(self.network.parameters(), config.generator_rate, betas),
            torch.optim.Adam(self.discriminator.parameters(), config.discriminator_rate, betas),
        )

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        """One step of the generator and one of the discriminator, on the same samples."""
        rng = self._random()
        photos = batch.contiguous(memory_format=torch.channels_last)
        z = torch.randn(len(photos), self.network.latent, generator=rng).to(self.device)
        made = self.network(z, drawn_scales(len(photos), self.config.mixture, rng).to(self.device))
        generator, discriminator = self.optimizers()  # pyright: ignore[reportGeneralTypeIssues]
        self.discriminator.requires_grad_(False)
        adversarial = F.softplus(-self.discriminator(self._seen(made.shallow, rng))).mean()
        prior = prior_weight(self.global_step / self.steps, self.config.prior) * prior_distance(
            made.defocus / self.network.largest_defocus, self.config.prior
        )
        generator.zero_grad()
        self.manual_backward(adversarial + prior)
        generator.step()
        self.discriminator.requires_grad_(True)
        judged = F.softplus(self.discriminator(self._seen(made.shallow.detach(), rng))).mean()
        judged = judged + F.softplus(-self.discriminator(self._seen(photos, rng))).mean()
        discriminator.zero_grad()
        self.manual_backward(judged + self._penalty(photos))
        discriminator.optimizer.step()  # not counted: a step of the run is one of both
        self.log_dict({"generator": adversarial, "discriminator": judged, "prior": prior})
        self.log("blur", made.defocus.abs().mean())

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """The sheet of the same samples at every validation."""
        if self.logger is not None:
            self.logger.experiment.add_image("deep_shallow_defocus", self.sheet(), self.global_step)  # pyright: ignore

    @torch.no_grad()
    def sheet(self, count: int = SHEET) -> torch.Tensor:
        """[3, 3S, count · S]: deep pictures, shallow ones at full aperture, their defocus, one above the other."""
        z = torch.randn(count, self.network.latent, generator=torch.Generator().manual_seed(1)).to(self.device)
        made = self.network(z, torch.ones(count, 1, 1, 1, device=self.device))
        colours = depth_colours(made.defocus / self.network.largest_defocus)
        rows = [torch.cat(list(row), dim=2) for row in (made.deep, made.shallow, colours)]
        return torch.cat(rows, dim=1)

    def _seen(self, pictures: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        return augmented(pictures, rng) if self.config.augment else pictures

    def _penalty(self, photos: torch.Tensor) -> torch.Tensor:
        """R1 (Mescheder et al. 2018) at every `penalty_every`-th step."""
        every, gamma = self.config.penalty_every, self.config.penalty
        if gamma == 0 or self.global_step % every:
            return photos.new_zeros(())
        photos = photos.detach().requires_grad_()
        (slope,) = torch.autograd.grad(self.discriminator(photos).sum(), photos, create_graph=True)
        return gamma / 2 * every * slope.square().sum(dim=(1, 2, 3)).mean()

    def _random(self) -> torch.Generator:
        """On the CPU, whatever the device: a run is the same wherever it is gone on with."""
        return torch.Generator().manual_seed((self.seed * 1_000_003 + self.global_step) * 1009 + self.global_rank)


def drawn_scales(count: int, mixture: Mixture, rng: torch.Generator) -> torch.Tensor:
    """s ~ p(s), [N, 1, 1, 1]."""
    if mixture == "none":
        return torch.ones(count, 1, 1, 1)
    scales = torch.rand(count, 1, 1, 1, generator=rng)
    return scales if mixture == "uniform" else scales.round()


def centre_prior(size: int, settings: PriorSettings, device: torch.device | None = None) -> torch.Tensor:
    """Defocus [S, S] as a share of the largest: 0 inside the circle, −gain · (r − radius) outside, at least −1."""
    axis = (torch.arange(size, device=device) + 0.5) * (2 / size) - 1
    distance = torch.hypot(axis[None], axis[:, None])
    return -(settings.gain * (distance - settings.radius)).clamp(0, 1)


def prior_distance(defocus: torch.Tensor, settings: PriorSettings) -> torch.Tensor:
    """Mean squared distance of [N, 1, S, S], as shares of the largest defocus, from the centre focus prior."""
    return (defocus - centre_prior(defocus.shape[-1], settings, defocus.device)).square().mean()


def prior_weight(done: float, settings: PriorSettings) -> float:
    """Weight of the prior after a share `done` of the run."""
    fall = (done - settings.hold) / max(settings.release - settings.hold, 1e-9)
    kept = 1 - (1 - settings.floor) * min(max(fall, 0.0), 1.0)
    return settings.weight * kept

"""AR-GAN in training: a generator that can only make shallow photos through a lens, so it must learn their depth.

Kaneko 2021. The discriminator sees photos and R(I, s·c): the generated all-in-focus picture I through the lens, its
defocus c scaled by s ~ p(s) (depth-of-field mixture learning). The centre focus prior tells front from back, which
blur alone cannot. Where the generator can be looked at from other sides, poses are drawn too, and the viewpoint is a
second cue: AR-RGBD-GAN and AR-HoloGAN. What the paper leaves open (p(s), the prior's form and schedule, weights) is
ours; see `ArganConfig`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import nn
from torch.nn import functional as F

from ...runtime_ref.files import write_file
from ..argan_config import ArganConfig, PriorSettings
from ..data.picture_set import png
from ..networks.aperture_generator import ApertureGenerator, Photographed, drawn_scales
from ..networks.argan import Discriminated, Discriminator
from ..rendering.depth_colours import depth_colours
from ..rendering.viewpoints import Sight, disparity_of, drawn_views, inconsistency
from .augmentation import augmented

SHEET = 8
"""Samples shown in a sheet: deep, shallow and defocus, one above the other."""


class ArganSystem(lightning.LightningModule):
    """Batches are photos [N, 3, S, S] in [0, 1]. All that is drawn at a step is drawn from (seed, step) alone.

    Attributes:
        config: what is trained.
        steps: of the whole run, for the prior's schedule.
        seed: of everything drawn.
        sheets: folder of a PNG at every validation; None writes none.
    """

    def __init__(self, config: ArganConfig, steps: int, seed: int = 0, sheets: Path | None = None) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.config, self.steps, self.seed, self.sheets = config, steps, seed, sheets
        self.network = ApertureGenerator(config)
        reads_z = config.viewpoint.kind == "hologan" and config.viewpoint.identity > 0
        latent = self.network.latent if reads_z else 0
        self.discriminator = Discriminator(config.size, config.discriminator_width, latent=latent)
        _to_channels_last(self)

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
        scale = drawn_scales(len(photos), self.config.mixture, rng).to(self.device)
        view = self._views(len(photos), rng)
        made = self.network(z, scale, view)
        generator, discriminator = self.optimizers()  # pyright: ignore[reportGeneralTypeIssues]
        self.discriminator.requires_grad_(False)
        found = self.discriminator.judged(self._seen(made.shallow, rng))
        adversarial = F.softplus(-found.score).mean()
        prior = prior_weight(self.global_step / self.steps, self.config.prior) * prior_distance(
            made.defocus / self.network.largest_defocus, self.config.prior
        )
        losses = {"generator": adversarial, "prior": prior} | self._viewpoint_losses(z, view, made, found, rng)
        generator.zero_grad()
        self.manual_backward(torch.stack(list(losses.values())).sum())
        generator.step()
        self.discriminator.requires_grad_(True)
        found = self.discriminator.judged(self._seen(made.shallow.detach(), rng))
        judged = F.softplus(found.score).mean()
        judged = judged + F.softplus(-self.discriminator(self._seen(photos, rng))).mean()
        discriminator.zero_grad()
        self.manual_backward(judged + self._identity(found, z) + self._penalty(photos))
        discriminator.optimizer.step()  # not counted: a step of the run is one of both
        self.log_dict(losses | {"discriminator": judged, "blur": made.defocus.abs().mean()})

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """The sheet of the same samples at every validation, as a file too where there is a folder for it."""
        if self.sheets is not None and self.trainer.is_global_zero:
            self.write_sheet(self.sheets / f"{self.global_step:06d}.png")
        if self.logger is not None:
            self.logger.experiment.add_image("deep_shallow_defocus", self.sheet(), self.global_step)  # pyright: ignore
            if self.config.viewpoint.kind != "none":
                self.logger.experiment.add_image("viewpoints", self.turned_sheet(), self.global_step)  # pyright: ignore

    def write_sheet(self, path: Path) -> Path:
        """`sheet` as a PNG, each pixel twice as large."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, png(self.sheet().permute(1, 2, 0).cpu().numpy().repeat(2, axis=0).repeat(2, axis=1), 8))
        return path

    @torch.no_grad()
    def sheet(self, count: int = SHEET) -> torch.Tensor:
        """[3, 3S, count · S]: deep pictures, shallow ones at full aperture, their defocus, one above the other."""
        made = self._shown(count, 0.0)
        rows = [torch.cat(list(row), dim=2) for row in (made.deep, made.shallow, self._colours(made))]
        return torch.cat(rows, dim=1)

    @torch.no_grad()
    def turned_sheet(self, count: int = SHEET) -> torch.Tensor:
        """[3, 6S, count · S]: deep picture and defocus from the left, below them from the front and from the right."""
        reach = math.radians(self.config.viewpoint.azimuth)
        turns = [self._shown(count, azimuth) for azimuth in (-reach, 0.0, reach)]
        rows = [torch.cat(list(row), dim=2) for made in turns for row in (made.deep, self._colours(made))]
        return torch.cat(rows, dim=1)

    def _shown(self, count: int, azimuth: float) -> Photographed:
        """The same samples at full aperture, from `azimuth` in radians."""
        z = torch.randn(count, self.network.latent, generator=torch.Generator().manual_seed(1)).to(self.device)
        view = torch.tensor([[azimuth, 0.0]], device=self.device).expand(count, 2)
        return self.network(z, torch.ones(count, 1, 1, 1, device=self.device), view)

    def _colours(self, made: Photographed) -> torch.Tensor:
        return depth_colours(made.defocus / self.network.largest_defocus)

    def _views(self, count: int, rng: torch.Generator) -> torch.Tensor | None:
        """A pose for each picture; nothing is drawn for a generator that has one viewpoint."""
        settings = self.config.viewpoint
        return None if settings.kind == "none" else drawn_views(count, settings.reach, rng).to(self.device)

    def _viewpoint_losses(
        self, z: torch.Tensor, view: torch.Tensor | None, made: Photographed, found: Discriminated, rng: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """What the kind of viewpoint adds to the generator's loss, weighted."""
        if found.identity is not None:
            return {"identity": self._identity(found, z)}
        settings = self.config.viewpoint
        if view is not None and settings.kind == "rgbd" and settings.consistency > 0:
            return {"consistency": self._consistency(z, view, made, rng)}
        return {}

    def _identity(self, found: Discriminated, z: torch.Tensor) -> torch.Tensor:
        """Error of z as the discriminator reads it, 0 if it does not; generator and discriminator bring it down."""
        read = found.identity
        return z.new_zeros(()) if read is None else self.config.viewpoint.identity * F.mse_loss(read.float(), z)

    def _consistency(
        self, z: torch.Tensor, view: torch.Tensor, made: Photographed, rng: torch.Generator
    ) -> torch.Tensor:
        """Difference of the pictures from those of the same z at a second pose, warped (RGBD-GAN)."""
        settings = self.config.viewpoint
        other = drawn_views(len(z), settings.reach, rng).to(self.device)
        second = self.network.generator(z, other)
        with torch.autocast(z.device.type, enabled=False):
            first = self._sight(made.deep, made.defocus, view)
            return settings.consistency * inconsistency(
                first, self._sight(second.image.float(), second.defocus.float(), other)
            )

    def _sight(self, image: torch.Tensor, defocus: torch.Tensor, view: torch.Tensor) -> Sight:
        return Sight(image, disparity_of(defocus / self.network.largest_defocus), view)

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


def _to_channels_last(module: nn.Module) -> None:
    """In place, all that has a picture's four dimensions: a step takes 0.8 of the time."""
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


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

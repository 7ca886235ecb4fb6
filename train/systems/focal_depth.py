"""How the network of focal stacks is trained, without any depth or, for comparison, with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import lightning
import torch
from torchmetrics import MeanMetric

from ..data.focal_stacks import StackSample
from ..networks.focal_depth import FocalDepth, FocalDepthNet, radius_at
from ..rendering.focus_sweep import FocusSweep
from . import focal_losses as losses
from .one_cycle import log_means, one_cycle

Supervision = Literal["none", "depth"]
FIGURES = {
    "delta1": "share of pixels with depth within a factor 1.25",
    "abs_rel": "depth error |z' - z| / z",
    "rmse": "root mean square depth error in metres",
    "psnr": "all-in-focus picture, dB",
    "psnr_best_slice": "the slice that is nearest to it, dB",
}


@dataclass(frozen=True)
class FocalRecipe:
    """Weights of the losses and the optimiser's settings.

    Attributes:
        steps: of the run.
        supervision: "none": depths and sharp pictures are never looked at; "depth": both are what is asked for.
        rendered: slices a step that are rendered again; ever others.
        again: the stack comes out again, without the noise and compression that the network saw.
        picture_first: share of the run in which that teaches the picture alone. One that is not sharp yet would pull
            depths to the planes in focus: after 100 steps what is 7 to 10 m away came out a third nearer.
        cost: the likely depths are those that explain the stack without noise and compression.
        merged: the picture is near the slices' sharpest pixels, which moves the depth as well.
        sharp: these are sharp.
        rough, step: of the depth where the picture has no edges.
        place: with supervision, of the depth in units of the K depths.
        learning_rate: the peak of a one-cycle schedule.
    """

    steps: int
    supervision: Supervision = "none"
    rendered: int = 2
    again: float = 5.0
    picture_first: float = 0.6
    cost: float = 0.2
    merged: float = 0.5
    sharp: float = 0.02
    rough: float = 0.05
    step: float = 0.01
    place: float = 1.0
    learning_rate: float = 6e-4
    weight_decay: float = 1e-3


class FocalDepthSystem(lightning.LightningModule):
    """A FocalDepthNet in training; batches are `StackSample`s. Held-out figures are named in `FIGURES`."""

    def __init__(self, network: FocalDepthNet, recipe: FocalRecipe, sweep: FocusSweep) -> None:
        """`sweep` is that of the held-out stacks, which turns places into metres."""
        super().__init__()
        self.network, self.recipe, self.sweep = network, recipe, sweep
        self.figures = torch.nn.ModuleDict({name: MeanMetric(nan_strategy="ignore") for name in FIGURES})

    def training_step(self, batch: StackSample, index: int) -> torch.Tensor:
        """The weighted sum of the losses."""
        found = self.network(batch.stack, batch.radius)
        parts = self._self_supervised(found, batch) if self.recipe.supervision == "none" else self._told(found, batch)
        self.log_dict({f"loss/{name}": value.detach() for name, value in parts.items()})
        return torch.stack(list(parts.values())).sum()

    def _self_supervised(self, found: FocalDepth, batch: StackSample) -> dict[str, torch.Tensor]:
        recipe = self.recipe
        alone = self.global_step < recipe.picture_first * recipe.steps
        radius = radius_at(found.place.detach() if alone else found.place, batch.radius)
        slices = batch.stack.shape[1]
        generator = torch.Generator().manual_seed(self.global_step)
        chosen = torch.randperm(slices, generator=generator)[: recipe.rendered].tolist()
        again = torch.stack(
            [
                losses.difference(
                    losses.seen_through(found.picture, radius[:, one : one + 1], batch.linear), batch.clean[:, one]
                )
                for one in chosen
            ]
        )
        edges = found.picture.detach()
        costs, _ = self.network.optics(batch.clean, batch.radius)
        return {
            "again": recipe.again * again.mean(),
            "cost": recipe.cost * losses.disbelief(found.likely, costs),
            "merged": recipe.merged * losses.difference(found.picture, found.coarse),
            "sharp": recipe.sharp * losses.blurriness(found.coarse),
            "rough": recipe.rough * losses.roughness(found.place, edges),
            "step": recipe.step * losses.steps(found.place, edges),
        }

    def _told(self, found: FocalDepth, batch: StackSample) -> dict[str, torch.Tensor]:
        recipe, known = self.recipe, batch.place.isfinite()
        error = (found.place - batch.place.nan_to_num()).abs() * known
        return {
            "place": recipe.place * error.sum() / known.sum().clamp(min=1),
            "picture": recipe.again * losses.difference(found.picture, batch.picture),
        }

    def validation_step(self, batch: StackSample, _: int) -> None:
        """Add the figures of each stack."""
        found = self.network(batch.stack, batch.radius)
        for number in range(len(batch.stack)):
            for name, value in self._figures(found, batch, number).items():
                mean = self.figures[name]
                assert isinstance(mean, MeanMetric)
                mean.update(value)

    def _figures(self, found: FocalDepth, batch: StackSample, number: int) -> dict[str, torch.Tensor]:
        depths = self.network.config.depths
        known = batch.place[number].isfinite()
        guess = self.sweep.depth_at(found.place[number][known], depths)
        truth = self.sweep.depth_at(batch.place[number][known], depths)
        errors = (batch.stack[number] - batch.picture[number]).square().mean((1, 2, 3))
        own = (found.picture[number] - batch.picture[number]).square().mean()
        return {
            "delta1": (torch.maximum(guess / truth, truth / guess) < 1.25).float().mean(),
            "abs_rel": ((guess - truth).abs() / truth).mean(),
            "rmse": (guess - truth).square().mean().sqrt(),
            "psnr": -10 * own.log10(),
            "psnr_best_slice": -10 * errors.min().log10(),
        }

    def on_validation_epoch_end(self) -> None:
        """Log the means."""
        log_means(self, self.figures)

    def configure_optimizers(self):
        """AdamW under a one-cycle cosine schedule; BatchNorm and biases do not decay."""
        recipe = self.recipe
        groups = [
            {
                "params": [p for p in self.parameters() if (p.ndim > 1) == decays],
                "weight_decay": recipe.weight_decay if decays else 0.0,
            }
            for decays in (False, True)
        ]
        optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate)
        return one_cycle(optimizer, recipe.steps)

"""How the depth network is trained: which losses at what weight, the optimiser, the held-out figures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import lightning
import torch
from torchmetrics import MeanMetric

from ..data.depth import DepthSample
from ..networks.depth import DepthNet
from . import depth_losses as losses
from . import depth_metrics as metrics

FIGURES = {
    "abs_rel": "depth error after alignment, |z' - z| / z",
    "delta1": "share of pixels with depth within a factor 1.25",
    "ordinal": "subject nearer than background, probability",
    "in_focus_iou": "what a tap on the subject keeps sharp against its mask, IoU",
    "mask_iou": "foreground head against the mask, IoU",
}


@dataclass(frozen=True)
class DepthRecipe:
    """Weights of the losses and the optimiser's settings.

    Attributes:
        disparity, gradient: on samples with known disparity.
        foreground, order: on samples with a subject.
        learning_rate: the peak of a one-cycle schedule over `steps`.
    """

    steps: int
    disparity: float = 1.0
    gradient: float = 2.0  # MiDaS's 0.5 of a sum over four scales; ours is their mean
    foreground: float = 0.5
    order: float = 1.5
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2


class DepthSystem(lightning.LightningModule):
    """A DepthNet in training; batches are `DepthSample`s. Held-out figures are named in `FIGURES`."""

    def __init__(self, network: DepthNet, recipe: DepthRecipe) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.recipe = recipe
        self.figures = torch.nn.ModuleDict({name: MeanMetric(nan_strategy="ignore") for name in FIGURES})

    def training_step(self, batch: DepthSample, _: int) -> torch.Tensor:
        """The weighted sum of the losses."""
        logits, foreground = self.network.logits(batch.image.contiguous(memory_format=torch.channels_last))
        disparity = torch.sigmoid(logits)
        recipe = self.recipe
        parts = {
            "disparity": recipe.disparity * losses.scale_shift_invariant(disparity, batch.disparity, batch.known),
            "gradient": recipe.gradient * losses.gradient_matching(disparity, batch.disparity, batch.known),
            "foreground": recipe.foreground * losses.foreground(foreground, batch.subject, batch.has_subject),
            "order": recipe.order * losses.subject_before_background(disparity, batch.subject, batch.has_subject),
        }
        self.log_dict({f"loss/{name}": value.detach() for name, value in parts.items()})
        return torch.stack(list(parts.values())).sum()

    def validation_step(self, batch: DepthSample, _: int) -> None:
        """Add each picture's figures to the means."""
        image = batch.image.contiguous(memory_format=torch.channels_last)
        predicted, foreground = self.network(image), self.network.logits(image)[1]
        for i in range(len(image)):
            if batch.known[i].any():
                relative, delta1 = metrics.depth_errors(predicted[i, 0], batch.disparity[i, 0], batch.known[i, 0])
                self._add(abs_rel=relative, delta1=delta1)
            if batch.has_subject[i]:
                subject = batch.subject[i, 0]
                self._add(
                    ordinal=metrics.ordinal_accuracy(predicted[i, 0], subject),
                    in_focus_iou=metrics.in_focus_overlap(predicted[i, 0], subject),
                    mask_iou=metrics.overlap(foreground[i, 0] > 0, subject > 0.5),
                )

    def on_validation_epoch_end(self) -> None:
        """Log the means of what the held-out pictures could tell."""
        for name, mean in self.figures.items():
            assert isinstance(mean, MeanMetric)
            if mean.update_called:
                self.log(name, mean.compute(), sync_dist=False)  # MeanMetric itself sums over devices
                mean.reset()

    def configure_optimizers(self):
        """AdamW under a one-cycle cosine schedule; BatchNorm and biases do not decay."""
        decayed = [p for p in self.parameters() if p.ndim > 1]
        plain = [p for p in self.parameters() if p.ndim <= 1]
        recipe = self.recipe
        groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(_one_cycle, steps=recipe.steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _add(self, **values: float) -> None:
        for name, value in values.items():
            mean = self.figures[name]
            assert isinstance(mean, MeanMetric)
            mean.update(value)


def _one_cycle(step: int, steps: int) -> float:
    """Share of the peak learning rate: a linear start over a twentieth of the run, then half a cosine to 1/1000."""
    start = max(1, steps // 20)
    if step < start:
        return (step + 1) / start
    done = min(1.0, (step - start) / max(1, steps - start))
    return 0.001 + 0.999 * (1 + math.cos(math.pi * done)) / 2

"""How the depth network is trained: which losses at what weight, the optimiser, the held-out figures."""

from __future__ import annotations

from dataclasses import dataclass

import lightning
import torch
from torchmetrics import MeanMetric

from ..data.depth import DepthSample
from ..networks.depth import DepthNet
from ..rendering.lens import Array
from . import depth_losses as losses
from . import depth_metrics as metrics
from . import depth_subject_losses as subject_losses
from .one_cycle import log_means, one_cycle

FIGURES = {
    "abs_rel": "depth error after alignment, |z' - z| / z",
    "delta1": "share of pixels with depth within a factor 1.25",
    "pairs": "pairs of pixels in the right order, those of nearly one depth left out",
    "ordinal": "subject nearer than background, probability",
    "in_focus_iou": "what a tap on the subject keeps sharp against its mask, IoU",
    "contact": "disparity of the ground below the feet against the feet's, difference",
    "mask_iou": "foreground head against the mask, IoU",
}
SHOW_EVERY = 25  # held-out batches: folders follow one another, so each is seen


@dataclass(frozen=True)
class DepthRecipe:
    """Weights of the losses and the optimiser's settings.

    Attributes:
        difference, shape, gradient: on samples with known disparity.
        exact: how much more gradients weigh where disparity is true up to its edges.
        foreground: on samples with a subject.
        order, flat, contact, edge: on samples of which the subject's mask is all that is known.
        learning_rate: the peak of a one-cycle schedule over `steps`.
        encoder_rate: the encoder's share of it.
        frozen_statistics: whether the encoder's BatchNorm keeps the statistics that it came with (ImageNet's).
    """

    steps: int
    difference: float = 1.0
    shape: float = 0.5
    gradient: float = 4.0
    exact: float = 2.0
    foreground: float = 0.3
    order: float = 1.5
    flat: float = 1.0
    contact: float = 1.0
    edge: float = 1.0
    learning_rate: float = 1e-3
    encoder_rate: float = 0.4
    weight_decay: float = 1e-2
    frozen_statistics: bool = True


class DepthSystem(lightning.LightningModule):
    """A DepthNet in training; batches are `DepthSample`s. Held-out figures are named in `FIGURES`."""

    def __init__(self, network: DepthNet, recipe: DepthRecipe) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.recipe = recipe
        self.figures = torch.nn.ModuleDict({name: MeanMetric(nan_strategy="ignore") for name in FIGURES})

    def train(self, mode: bool = True) -> DepthSystem:
        """As in Lightning, but the encoder's BatchNorm keeps its ImageNet statistics where it came with some."""
        super().train(mode)
        if self.recipe.frozen_statistics:
            for module in self.network.encoder.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.eval()
        return self

    def training_step(self, batch: DepthSample, _: int) -> torch.Tensor:
        """The weighted sum of the losses."""
        disparity, foreground = self.network.heads(batch.image.contiguous(memory_format=torch.channels_last))
        parts = self._known_losses(disparity, batch) | self._subject_losses(disparity, batch)
        parts["foreground"] = self.recipe.foreground * losses.foreground(foreground, batch.subject, batch.has_subject)
        self.log_dict({f"loss/{name}": value.detach() for name, value in parts.items()})
        return torch.stack(list(parts.values())).sum()

    def _known_losses(self, disparity: torch.Tensor, batch: DepthSample) -> dict[str, torch.Tensor]:
        recipe = self.recipe
        target, deep = losses.spanned(batch.disparity, batch.known)
        weighted = batch.known * (1 + (recipe.exact - 1) * batch.exact.view(-1, 1, 1, 1))
        gradient = losses.gradient_matching(disparity * weighted, target * weighted, batch.known)
        return {
            "difference": recipe.difference * losses.difference(disparity, target, batch.known),
            "shape": recipe.shape * losses.scale_shift_invariant(disparity, target, batch.known * deep),
            "gradient": recipe.gradient * gradient,
        }

    def _subject_losses(self, disparity: torch.Tensor, batch: DepthSample) -> dict[str, torch.Tensor]:
        recipe, subject = self.recipe, batch.subject
        alone = batch.has_subject * (batch.known.amax(dim=(1, 2, 3)) == 0)
        return {
            "order": recipe.order * subject_losses.in_front(disparity, subject, alone),
            "flat": recipe.flat * subject_losses.flat_subject(disparity, subject, alone),
            "contact": recipe.contact * subject_losses.ground_contact(disparity, subject, alone * batch.stands),
            "edge": recipe.edge * subject_losses.edge_on_mask(disparity, subject, alone),
        }

    def validation_step(self, batch: DepthSample, batch_idx: int) -> None:
        """Add each picture's figures to the means; some pictures go to TensorBoard."""
        image = batch.image.contiguous(memory_format=torch.channels_last)
        predicted, foreground = self.network(image), self.network.subject(image)
        if batch_idx % SHOW_EVERY == 0 and self.logger is not None:
            known = batch.known[0].any()
            maps = (predicted[0], foreground[0], batch.disparity[0] if known else batch.subject[0])
            row = torch.cat([batch.image[0], *(one.expand(3, -1, -1) for one in maps)], dim=2)
            self.logger.experiment.add_image(f"photo_ours_subject_truth/{batch_idx}", row, self.global_step)  # pyright: ignore
        for i in range(len(image)):
            if batch.known[i].any():
                truth, known = batch.disparity[i, 0], batch.known[i, 0]
                relative, delta1 = metrics.depth_errors(predicted[i, 0], truth, known)
                unknown_apart = truth.where(known > 0.5, torch.nan)
                pairs = metrics.ordinal_agreement(_array(predicted[i, 0]), _array(unknown_apart))
                self._add(abs_rel=relative, delta1=delta1, pairs=pairs)
            if batch.has_subject[i]:
                subject = batch.subject[i, 0]
                self._add(
                    ordinal=metrics.ordinal_accuracy(predicted[i, 0], subject),
                    in_focus_iou=metrics.in_focus_overlap(predicted[i, 0], subject),
                    mask_iou=metrics.overlap(foreground[i, 0] > 0.5, subject > 0.5),
                )
                if batch.stands[i]:
                    contact = metrics.ground_contact(_array(predicted[i, 0]), _array(subject) > 0.5)
                    self._add(contact=contact)

    def on_validation_epoch_end(self) -> None:
        """Log the means of what the held-out pictures could tell."""
        log_means(self, self.figures)

    def configure_optimizers(self):
        """AdamW under a one-cycle cosine schedule; the encoder is slower, BatchNorm and biases do not decay."""
        recipe, encoder = self.recipe, set(self.network.encoder.parameters())
        groups = [
            {
                "params": [p for p in self.parameters() if (p in encoder) == within and (p.ndim > 1) == decays],
                "lr": recipe.learning_rate * (recipe.encoder_rate if within else 1),
                "weight_decay": recipe.weight_decay if decays else 0.0,
            }
            for within in (False, True)
            for decays in (False, True)
        ]
        optimizer = torch.optim.AdamW(groups)
        return one_cycle(optimizer, recipe.steps)

    def _add(self, **values: float | None) -> None:
        """Add what a picture could tell."""
        for name, value in ((name, value) for name, value in values.items() if value is not None):
            mean = self.figures[name]
            assert isinstance(mean, MeanMetric)
            mean.update(value)


def _array(values: torch.Tensor) -> Array:
    return values.float().cpu().numpy()

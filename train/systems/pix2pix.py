"""Pix2Pix in training (Isola et al. 2017): photo → disparity by a conditional GAN, by L1, or by both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lightning
import torch
from torch.nn import functional as F

from ...runtime_ref.enums import TextEnum
from ..networks.pix2pix import PairDiscriminator, Pix2PixConfig, Pix2PixGenerator
from .falling_rate import FallingRate

SHEET = 8
"""Pictures shown in a sheet, one a row."""

FIGURES = {
    "mae": "mean absolute error of disparity in [0, 1]",
    "mae_flat": "of the best constant of each picture",
    "judged_true": "share of patches of held-out maps that the discriminator takes for true",
}
"""What `Pix2PixSystem` logs on held-out pictures; the last only where there is a discriminator."""

Batch = dict[str, torch.Tensor]
"""`image` [N, 3, S, S], `disparity` [N, 1, S, S] and `known` [N, 1, S, S]; see `data.pix2pix_pairs.sample`."""


class Objective(TextEnum):
    """What the generator minimises: the rows of the paper's Table 1."""

    L1 = "l1"
    CGAN = "cgan"
    BOTH = "both"


@dataclass(frozen=True)
class Pix2PixRecipe(FallingRate):
    """How it is trained.

    Attributes:
        objective: L1, cGAN, or cGAN + λ · L1.
        l1: the paper's λ.
        discriminator_width: channels of the discriminator's first layer.
    """

    objective: Objective = Objective.BOTH
    l1: float = 100.0
    discriminator_width: int = 64


class Pix2PixSystem(lightning.LightningModule):
    """Generator and discriminator take turns on the same pictures.

    Attributes:
        network: photo → disparity, what is kept of a run.
        judge: the discriminator; None where L1 alone is minimised.
    """

    def __init__(self, config: Pix2PixConfig, recipe: Pix2PixRecipe) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.recipe = recipe
        self.network = Pix2PixGenerator(config)
        judged = recipe.objective is not Objective.L1
        self.judge = PairDiscriminator(recipe.discriminator_width, config.outputs) if judged else None

    def configure_optimizers(self) -> Any:
        """Adam with β₁ = 0.5, one a network."""
        networks = [self.network] if self.judge is None else [self.network, self.judge]
        return tuple(torch.optim.Adam(network.parameters(), self.recipe.rate, (0.5, 0.999)) for network in networks)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One step of the discriminator, then one of the generator."""
        made = self.network(batch["image"])
        optimizers = self.optimizers()
        ours, judges = optimizers if isinstance(optimizers, list) else (optimizers, None)
        for optimizer in filter(None, (ours, judges)):
            for group in optimizer.param_groups:  # pyright: ignore[reportAttributeAccessIssue]
                group["lr"] = self.recipe.rate_at(self.global_step)
        if self.judge is not None and judges is not None:
            self.judge.requires_grad_(True)
            judged = judge_loss(*self._judged(batch, made.detach()))
            judges.zero_grad()
            self.manual_backward(judged)
            judges.optimizer.step()  # not counted: a step of the run is one of both
            self.judge.requires_grad_(False)
            self.log("discriminator", judged.detach())
        terms = self.generator_terms(batch, made)
        ours.zero_grad()  # pyright: ignore[reportAttributeAccessIssue]
        self.manual_backward(torch.stack([self._weight(name) * term for name, term in terms.items()]).sum())
        ours.step()  # pyright: ignore[reportAttributeAccessIssue]
        self.log_dict({name: term.detach() for name, term in terms.items()})

    def generator_terms(self, batch: Batch, made: torch.Tensor) -> dict[str, torch.Tensor]:
        """What the generator minimises, not weighted.

        - adversarial: mean −log D(photo, made), the paper's non-saturating form.
        - l1: mean |made − truth| where the truth is known.
        """
        terms = {}
        if self.judge is not None:
            terms["adversarial"] = cross_entropy(self._judged(batch, made)[1], 1.0)
        if self.recipe.objective is not Objective.CGAN:
            terms["l1"] = masked_l1(made, batch["disparity"], batch["known"])
        return terms

    def _weight(self, term: str) -> float:
        return self.recipe.l1 if term == "l1" else 1.0

    def _judged(self, batch: Batch, made: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of the true maps and of those made, both 0 where the truth is unknown: holes tell nothing."""
        assert self.judge is not None
        true = self.judge(batch["image"], batch["disparity"])
        return true, self.judge(batch["image"], made * batch["known"])

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """The figures of `FIGURES` as means over pictures, and the sheet of the first ones."""
        made = self._one_by_one(batch["image"])
        truth, known = batch["disparity"], batch["known"]
        figures = {"mae": masked_l1(made, truth, known), "mae_flat": flat_error(truth, known)}
        if self.judge is not None:
            logits = [
                self.judge(image[None], one[None]) for image, one in zip(batch["image"], made * known, strict=True)
            ]
            figures["judged_true"] = (torch.cat(logits) > 0).float().mean()
        self.log_dict(figures, batch_size=len(made), sync_dist=True)
        if batch_idx == 0 and self.logger is not None:
            self.logger.experiment.add_image("photo_ours_truth", self.sheet(batch), self.global_step)  # pyright: ignore

    def _one_by_one(self, images: torch.Tensor) -> torch.Tensor:
        """As photos are asked: no picture's statistics reach another's."""
        return torch.cat([self.network(image[None]) for image in images])

    @torch.no_grad()
    def sheet(self, batch: Batch, count: int = SHEET) -> torch.Tensor:
        """[3, count · S, 3S]: photo | ours | truth, one picture a row."""
        image = batch["image"][:count].to(self.device)
        truth = batch["disparity"][:count].to(self.device)
        columns = [image, self._one_by_one(image).expand(-1, 3, -1, -1), truth.expand(-1, 3, -1, -1)]
        return torch.cat([torch.cat(list(column), dim=1) for column in columns], dim=2)


def cross_entropy(logits: torch.Tensor, goal: float) -> torch.Tensor:
    """Mean over all patches of −log σ(logit) for goal 1, of −log (1 − σ(logit)) for goal 0."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, goal))


def judge_loss(true: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
    """Half of both cross entropies: the paper halves the objective to slow the discriminator down."""
    return (cross_entropy(true, 1.0) + cross_entropy(made, 0.0)) / 2


def masked_l1(made: torch.Tensor, truth: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Mean |made − truth| over all known pixels of the batch; 0 where nothing is known."""
    return ((made - truth).abs() * known).sum() / known.sum().clamp(min=1)


def flat_error(truth: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Mean over the known pixels of |median of the picture − truth|."""
    flat = torch.stack(
        [
            one[seen > 0.5].median() if (seen > 0.5).any() else one.sum() * 0
            for one, seen in zip(truth, known, strict=True)
        ]
    )
    return masked_l1(flat[:, None, None, None].expand_as(truth), truth, known)

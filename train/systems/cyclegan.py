"""CycleGAN in training: deep → shallow and back from two sets without pairs, the comparison of AR-GAN.

Zhu et al. 2017: least-squares GAN, cycle consistency, identity. The paper shows its discriminators a history of
translated pictures; ours see the latest, so that a step depends on nothing but its samples and its number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lightning
import torch
from torch.nn import functional as F
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from ..networks.cyclegan import PatchDiscriminator, Translator, TranslatorConfig
from .falling_rate import FallingRate

SHEET = 8
"""Pictures shown in a sheet, one a row."""

FIGURES = {
    "psnr": "dB, deep → shallow against the lens",
    "psnr_unchanged": "dB, the deep picture as it is",
    "ssim": "deep → shallow against the lens",
    "ssim_unchanged": "the deep picture as it is",
    "l1_back": "mean absolute error of deep → shallow → deep",
}
"""What `CycleganSystem` logs on held-out pictures; the last alone where their truth is not known."""

Batch = dict[str, torch.Tensor]
"""`deep` [N, 3, S, S] and `shallow` [N, 3, S, S] in [0, 1]; pairs in validation, where `shallow` may be missing."""


@dataclass(frozen=True)
class CycleganRecipe(FallingRate):
    """How it is trained.

    Attributes:
        discriminator_width: channels of the discriminators at half size.
        cycle: weight λ of cycle consistency.
        identity: weight of what leaves its own set unchanged, the paper's 0.5 λ.
    """

    discriminator_width: int = 32
    cycle: float = 10.0
    identity: float = 5.0


class CycleganSystem(lightning.LightningModule):
    """Two translators and two discriminators. Nothing is drawn in a step; its samples belong to (seed, step).

    Attributes:
        network: deep → shallow, what is kept of a run.
        inverse: shallow → deep.
        shallow_judge, deep_judge: the discriminators of both sets.
    """

    def __init__(self, config: TranslatorConfig, recipe: CycleganRecipe) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.recipe = recipe
        self.network, self.inverse = Translator(config), Translator(config)
        self.shallow_judge, self.deep_judge = (PatchDiscriminator(recipe.discriminator_width) for _ in range(2))

    def configure_optimizers(self) -> Any:
        """Adam as in the paper: one for both translators, one for both discriminators."""
        pairs = (self.network, self.inverse), (self.shallow_judge, self.deep_judge)
        return tuple(
            torch.optim.Adam([p for module in pair for p in module.parameters()], self.recipe.rate, (0.5, 0.999))
            for pair in pairs
        )

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One step of the translators and one of the discriminators, on the same pictures."""
        deep, shallow = batch["deep"], batch["shallow"]
        translators, judges = self.optimizers()  # pyright: ignore[reportGeneralTypeIssues]
        for group in (*translators.param_groups, *judges.param_groups):
            group["lr"] = self.recipe.rate_at(self.global_step)
        made_shallow, made_deep = self.network(deep), self.inverse(shallow)
        self._freeze_judges(True)
        terms = self.translator_terms(deep, shallow, made_shallow, made_deep)
        translators.zero_grad()
        self.manual_backward(
            terms["adversarial"] + self.recipe.cycle * terms["cycle"] + self.recipe.identity * terms["identity"]
        )
        translators.step()
        self._freeze_judges(False)
        judged = judge_loss(self.shallow_judge(shallow), self.shallow_judge(made_shallow.detach()))
        judged = judged + judge_loss(self.deep_judge(deep), self.deep_judge(made_deep.detach()))
        judges.zero_grad()
        self.manual_backward(judged)
        judges.optimizer.step()  # not counted: a step of the run is one of both
        self.log_dict(terms | {"discriminator": judged})

    def translator_terms(
        self, deep: torch.Tensor, shallow: torch.Tensor, made_shallow: torch.Tensor, made_deep: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """What the translators minimise, each the sum of both directions, not weighted.

        - adversarial: mean (D − 1)² of the translated pictures (Mao et al. 2017).
        - cycle: mean |there and back − picture|.
        - identity: mean |translation of a picture that is in the goal's set already − picture|.

        Args:
            deep, shallow: [N, 3, S, S], the samples.
            made_shallow, made_deep: [N, 3, S, S], `network(deep)` and `inverse(shallow)`.
        """
        fooled = least_squares(self.shallow_judge(made_shallow), 1) + least_squares(self.deep_judge(made_deep), 1)
        cycle = F.l1_loss(self.inverse(made_shallow), deep) + F.l1_loss(self.network(made_deep), shallow)
        identity = F.l1_loss(self.network(shallow), shallow) + F.l1_loss(self.inverse(deep), deep)
        return {"adversarial": fooled, "cycle": cycle, "identity": identity}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """The figures of `FIGURES` as means over pictures, and the sheet of the first ones."""
        deep = batch["deep"]
        made = self.network(deep)
        figures = {"l1_back": F.l1_loss(self.inverse(made), deep)}
        if "shallow" in batch:
            truth = batch["shallow"]
            figures |= {"psnr": _psnr(made, truth), "psnr_unchanged": _psnr(deep, truth)}
            figures |= {"ssim": _ssim(made, truth), "ssim_unchanged": _ssim(deep, truth)}
        self.log_dict(figures, batch_size=len(deep), sync_dist=True)
        if batch_idx == 0 and self.logger is not None:
            self.logger.experiment.add_image("deep_ours_back", self.sheet(batch), self.global_step)  # pyright: ignore

    @torch.no_grad()
    def sheet(self, batch: Batch, count: int = SHEET) -> torch.Tensor:
        """[3, count · S, 3S]: deep | ours | back, one picture a row; a fourth column is the truth where it is known."""
        deep = batch["deep"][:count].to(self.device)
        made = self.network(deep)
        columns = [deep, made, self.inverse(made)]
        if "shallow" in batch:
            columns.append(batch["shallow"][:count].to(self.device))
        return torch.cat([torch.cat(list(column), dim=1) for column in columns], dim=2)

    def _freeze_judges(self, frozen: bool) -> None:
        self.shallow_judge.requires_grad_(not frozen)
        self.deep_judge.requires_grad_(not frozen)


def least_squares(scores: torch.Tensor, goal: float) -> torch.Tensor:
    """Mean (D − goal)² over all patches."""
    return (scores - goal).square().mean()


def judge_loss(photos: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
    """Half the mean of (D − 1)² on photos and D² on translated pictures, as scores [N, 1, h, w]."""
    return (least_squares(photos, 1) + least_squares(made, 0)) / 2


def _psnr(ours: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """dB for a peak of 1, the mean over pictures; at most 60 so that one perfect picture does not decide it."""
    each = peak_signal_noise_ratio(ours, truth, data_range=1.0, reduction="none", dim=(1, 2, 3))
    return each.clamp(max=60.0).mean()


def _ssim(ours: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    figure = structural_similarity_index_measure(ours, truth, data_range=1.0)
    assert isinstance(figure, torch.Tensor)
    return figure

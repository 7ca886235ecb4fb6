"""CycleGAN in training: its losses by hand, what learns, interruptions, held-out figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from dofkit.train.data.gan_photos import HeldOutPhotos, Pictures, UnpairedPhotos
from dofkit.train.networks.cyclegan import TranslatorConfig
from dofkit.train.systems.cyclegan import FIGURES, CycleganRecipe, CycleganSystem, judge_loss, least_squares
from dofkit.train.trainer import RunSettings, endless_loader, fit

RNG = np.random.default_rng(0)
DEEP, SHALLOW = (RNG.integers(0, 256, (5, 32, 32, 3)).astype(np.uint8) for _ in range(2))


class Brighter(nn.Module):
    """A translator that adds a number."""

    def __init__(self, change: float) -> None:
        super().__init__()
        self.change = nn.Parameter(torch.tensor(change))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image + self.change


class Mean(nn.Module):
    """A discriminator whose scores are the pictures."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image


def tiny(steps: int = 4) -> CycleganSystem:
    torch.manual_seed(0)
    return CycleganSystem(TranslatorConfig(4, 1), CycleganRecipe(steps, rate=1e-3, discriminator_width=4))


def train(
    system: CycleganSystem,
    out: Path,
    held_out: HeldOutPhotos | None = None,
    sets: tuple[Pictures, Pictures] = (DEEP, SHALLOW),
    **changes,
) -> dict[str, float]:
    options = {"checkpoint_every": 2, "accelerator": "cpu", "clip_norm": 0, **changes}
    run = RunSettings(out, system.recipe.steps, **options)
    loader = endless_loader(UnpairedPhotos(*sets, run.seed), 2, run)
    return fit(system, loader, DataLoader(held_out, 2) if held_out else None, run)


def test_the_terms_are_those_computed_by_hand() -> None:
    system = tiny()
    system.network, system.inverse = Brighter(-0.1), Brighter(0.3)  # pyright: ignore[reportAttributeAccessIssue]
    system.shallow_judge, system.deep_judge = Mean(), Mean()  # pyright: ignore[reportAttributeAccessIssue]
    deep, shallow = torch.full((2, 3, 8, 8), 0.5), torch.full((2, 3, 8, 8), 0.2)
    terms = system.translator_terms(deep, shallow, system.network(deep), system.inverse(shallow))
    assert terms["adversarial"].item() == pytest.approx((0.4 - 1) ** 2 + (0.5 - 1) ** 2)
    assert terms["cycle"].item() == pytest.approx(0.2 + 0.2)
    assert terms["identity"].item() == pytest.approx(0.1 + 0.3)


def test_a_judge_wants_one_for_photos_and_zero_for_what_is_made() -> None:
    assert judge_loss(torch.full((1, 1, 2, 2), 0.7), torch.full((1, 1, 2, 2), 0.4)).item() == pytest.approx(
        (0.3**2 + 0.4**2) / 2
    )
    assert least_squares(torch.tensor([0.0, 3.0]), 1).item() == pytest.approx((1 + 4) / 2)


def test_the_learning_rate_stands_for_half_the_run_and_falls_to_zero() -> None:
    recipe = CycleganRecipe(steps=100, rate=2.0)
    assert [recipe.rate_at(step) for step in (0, 50, 75, 100)] == pytest.approx([2.0, 2.0, 1.0, 0.0])


def test_all_parameters_learn_after_the_first_step(tmp_path: Path) -> None:
    system = tiny(steps=2)
    train(system, tmp_path)
    still = [name for name, p in system.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert still == []


def test_each_translator_moves_towards_the_other_set(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    dark, bright = (rng.integers(low, low + 60, (20, 16, 16, 3)).astype(np.uint8) for low in (50, 130))
    torch.manual_seed(0)
    system = CycleganSystem(TranslatorConfig(4, 1), CycleganRecipe(20, 1e-3, 4, cycle=0, identity=0))
    train(system, tmp_path, sets=(dark, bright), checkpoint_every=20)
    deep, shallow = (torch.from_numpy(pictures.transpose(0, 3, 1, 2)).float() / 255 for pictures in (dark, bright))
    with torch.no_grad():  # of four seeds the smallest changes were 0.35 and 0.15
        assert system.network(deep).mean() > deep.mean() + 0.1
        assert system.inverse(shallow).mean() < shallow.mean() - 0.05


def test_a_run_counts_one_step_of_both_optimisers_as_one(tmp_path: Path) -> None:
    train(tiny(steps=3), tmp_path)
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 3


def test_an_interrupted_run_ends_like_an_uninterrupted_one(tmp_path: Path) -> None:
    class Killed(CycleganSystem):
        def on_train_batch_start(self, batch: object, batch_idx: int) -> None:
            if self.global_step == 3:
                raise KeyboardInterrupt  # after the checkpoint of step 2, before that of step 4

    torch.manual_seed(0)
    killed, resumed, whole = Killed(tiny().network.config, tiny().recipe), tiny(), tiny()
    killed.load_state_dict(whole.state_dict())
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(killed, tmp_path / "killed")
    train(resumed, tmp_path / "killed", resume=True)
    train(whole, tmp_path / "whole")
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], tensor, msg=name)


def test_held_out_pairs_are_judged_against_the_deep_photo_as_it_is(tmp_path: Path) -> None:
    system = tiny(steps=1)
    figures = train(system, tmp_path, HeldOutPhotos(DEEP[:3], SHALLOW[:3]))
    assert set(figures) == set(FIGURES)
    error = ((DEEP[:3].astype(float) - SHALLOW[:3]) / 255) ** 2
    assert figures["psnr_unchanged"] == pytest.approx(-10 * np.log10(error.mean(axis=(1, 2, 3))).mean(), abs=1e-3)


def test_held_out_photos_without_truth_are_only_brought_back(tmp_path: Path) -> None:
    assert set(train(tiny(steps=1), tmp_path, HeldOutPhotos(DEEP[:3]))) == {"l1_back"}


def test_a_sheet_shows_deep_ours_back_and_the_truth_where_it_is_known() -> None:
    system = tiny()
    deep, shallow = torch.rand(3, 3, 32, 32), torch.rand(3, 3, 32, 32)
    assert system.sheet({"deep": deep}, 2).shape == (3, 64, 96)
    sheet = system.sheet({"deep": deep, "shallow": shallow})
    assert sheet.shape == (3, 96, 128)
    assert sheet[:, 32:64, :32].equal(deep[1])
    assert sheet[:, 32:64, 96:].equal(shallow[1])

"""Pix2Pix in training: its losses by hand, what learns, the ablations, interruptions, held-out figures, its data."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader

from dofkit.runtime_ref.errors import DofkitError
from dofkit.train.data.pix2pix_pairs import (
    JitteredPairs,
    SquarePairs,
    WholePairs,
    drawn_square_pairs,
    read_pairs,
)
from dofkit.train.data.rgbd import recognise
from dofkit.train.networks.pix2pix import Pix2PixConfig
from dofkit.train.systems.pix2pix import (
    FIGURES,
    Objective,
    Pix2PixRecipe,
    Pix2PixSystem,
    cross_entropy,
    flat_error,
    judge_loss,
    masked_l1,
)
from dofkit.train.trainer import RunSettings, endless_loader, fit

TRAINING, HELD_OUT = drawn_square_pairs(4, 3, 32)


def tiny(steps: int = 4, objective: Objective = Objective.BOTH, **changes) -> Pix2PixSystem:
    torch.manual_seed(0)
    recipe = Pix2PixRecipe(steps, objective=objective, **{"rate": 1e-3, "discriminator_width": 2, **changes})
    return Pix2PixSystem(Pix2PixConfig(32, 2), recipe)


def train(
    system: Pix2PixSystem, out: Path, held_out: SquarePairs | None = None, pairs: SquarePairs = TRAINING, **changes
) -> dict[str, float]:
    options = {"checkpoint_every": 2, "accelerator": "cpu", "clip_norm": 0, **changes}
    run = RunSettings(out, system.recipe.steps, **options)
    loader = endless_loader(JitteredPairs(pairs, 32, run.seed), 2, run)
    return fit(system, loader, DataLoader(WholePairs(held_out), 2) if held_out else None, run)


class Says(nn.Module):
    """A discriminator that says the mean of the map, as logits."""

    def forward(self, image: torch.Tensor, disparity: torch.Tensor) -> torch.Tensor:
        return disparity.mean(dim=(1, 2, 3), keepdim=True)


def batch(known: float = 1.0) -> dict[str, torch.Tensor]:
    seen = torch.ones(2, 1, 8, 8)
    seen[..., int(8 * known) :] = 0
    truth = torch.full((2, 1, 8, 8), 0.6) * seen
    return {"image": torch.rand(2, 3, 8, 8), "disparity": truth, "known": seen}


def test_the_terms_are_those_computed_by_hand() -> None:
    system = tiny()
    system.judge = Says()  # pyright: ignore[reportAttributeAccessIssue]
    made = torch.full((2, 1, 8, 8), 0.4)
    terms = system.generator_terms(batch(), made)
    assert terms["adversarial"].item() == pytest.approx(math.log(1 + math.exp(-0.4)))
    assert terms["l1"].item() == pytest.approx(0.2)
    half = system.generator_terms(batch(0.5), made)  # unknown halves count in neither
    assert half["adversarial"].item() == pytest.approx(math.log(1 + math.exp(-0.2)))
    assert half["l1"].item() == pytest.approx(0.2)


def test_a_judge_pays_half_of_both_cross_entropies() -> None:
    true, made = torch.full((1, 1, 2, 2), 1.5), torch.full((1, 1, 2, 2), -0.5)
    expected = (math.log(1 + math.exp(-1.5)) + math.log(1 + math.exp(-0.5))) / 2
    assert judge_loss(true, made).item() == pytest.approx(expected, rel=1e-6)
    assert cross_entropy(torch.zeros(3), 1.0).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    ("objective", "terms"),
    [(Objective.L1, {"l1"}), (Objective.CGAN, {"adversarial"}), (Objective.BOTH, {"l1", "adversarial"})],
)
def test_an_ablation_minimises_what_it_names_and_learns(tmp_path: Path, objective: Objective, terms: set[str]) -> None:
    system = tiny(2, objective)
    before = [parameter.clone() for parameter in system.parameters()]
    assert (system.judge is None) == (objective is Objective.L1)
    made = torch.rand(2, 1, 32, 32)
    pairs = next(iter(DataLoader(WholePairs(HELD_OUT), 2)))
    assert set(system.generator_terms(pairs, made)) == terms
    figures = train(system, tmp_path, HELD_OUT)
    moved = [not new.equal(old) for new, old in zip(system.parameters(), before, strict=True)]
    assert all(moved)
    assert set(figures) == set(FIGURES) - (set() if system.judge else {"judged_true"})


def test_l1_outweighs_the_judge_a_hundredfold_as_in_the_paper() -> None:
    assert Pix2PixRecipe(1).l1 == 100
    system = tiny(l1=7.0)
    assert (system._weight("l1"), system._weight("adversarial")) == (7.0, 1.0)


def test_the_optimisers_are_the_papers() -> None:
    for optimizer in tiny(rate=2e-4).configure_optimizers():
        (group,) = optimizer.param_groups
        assert isinstance(optimizer, torch.optim.Adam)
        assert (group["lr"], group["betas"]) == (2e-4, (0.5, 0.999))
    recipe = Pix2PixRecipe(steps=100, rate=2.0)
    assert [recipe.rate_at(step) for step in (0, 50, 75, 100)] == pytest.approx([2.0, 2.0, 1.0, 0.0])


def test_what_is_bright_is_learned_to_be_near(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    grey = np.repeat(np.repeat(rng.integers(0, 256, (8, 6, 6)), 6, axis=1), 6, axis=2).astype(np.uint8)
    pairs = SquarePairs(np.repeat(grey[..., None], 3, axis=3), (grey / 255).astype(np.float32))
    judged = SquarePairs(pairs.photos[:, :32, :32], pairs.disparity[:, :32, :32])
    torch.manual_seed(0)
    system = Pix2PixSystem(Pix2PixConfig(32, 8), Pix2PixRecipe(60, rate=2e-3, discriminator_width=4))
    figures = train(system, tmp_path, judged, pairs, checkpoint_every=60)
    assert figures["mae"] < 0.7 * figures["mae_flat"]


def test_an_interrupted_run_ends_like_an_uninterrupted_one(tmp_path: Path) -> None:
    class Killed(Pix2PixSystem):
        def on_train_batch_start(self, batch: object, batch_idx: int) -> None:
            if self.global_step == 3:
                raise KeyboardInterrupt  # after the checkpoint of step 2, before that of step 4

    whole, resumed = tiny(), tiny()
    killed = Killed(whole.network.config, whole.recipe)
    killed.load_state_dict(whole.state_dict())
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(killed, tmp_path / "killed")
    train(resumed, tmp_path / "killed", resume=True)
    train(whole, tmp_path / "whole")
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], tensor, msg=name)


def test_figures_leave_out_what_is_unknown() -> None:
    truth = torch.tensor([0.0, 0.2, 1.0, 9.0]).reshape(1, 1, 2, 2)
    known = torch.tensor([1.0, 1.0, 1.0, 0.0]).reshape(1, 1, 2, 2)
    assert masked_l1(torch.full_like(truth, 0.2), truth, known).item() == pytest.approx((0.2 + 0 + 0.8) / 3)
    assert flat_error(truth, known).item() == pytest.approx((0.2 + 0 + 0.8) / 3)
    assert masked_l1(truth, truth, torch.zeros_like(truth)).item() == 0
    assert flat_error(truth, torch.zeros_like(truth)).item() == 0


def test_a_sheet_shows_photo_ours_and_truth() -> None:
    system = tiny()
    pairs = next(iter(DataLoader(WholePairs(HELD_OUT), 3)))
    sheet = system.sheet(pairs, 2)
    assert sheet.shape == (3, 64, 96)
    assert sheet[:, 32:, :32].equal(pairs["image"][1])
    assert sheet[1, :32, 64:].equal(pairs["disparity"][0, 0])


def test_a_sample_depends_on_its_index_alone_and_moves_both_alike() -> None:
    ramp = np.broadcast_to(np.arange(36, dtype=np.float32), (2, 36, 36))
    pairs = SquarePairs(np.repeat(ramp[..., None], 3, axis=3).astype(np.uint8), (ramp / 255).astype(np.float32))
    samples = JitteredPairs(pairs, 32, seed=5)
    first, again = samples[7], samples[7]
    assert all(first[name].equal(again[name]) for name in first)
    seen = {
        (float(one["image"][0, 0, 0]), float(one["image"][0, 0, -1])) for one in map(samples.__getitem__, range(40))
    }
    assert len(seen) == 10  # five places, mirrored or not
    for one in map(samples.__getitem__, range(5)):
        torch.testing.assert_close(one["image"][:1], one["disparity"])


def test_folders_are_split_like_the_depth_networks_and_holes_stay_unknown(tmp_path: Path) -> None:
    for part in ("images", "disparity"):
        (tmp_path / part).mkdir()
    for number in range(60):
        Image.fromarray(np.full((20, 30, 3), number, np.uint8)).save(tmp_path / "images" / f"{number:03d}.png")
        values = np.full((20, 30), 1000 + number, np.uint16)
        values[:, :15] = 0
        values[:, 25:] = 60000
        Image.fromarray(values).save(tmp_path / "disparity" / f"{number:03d}.png")
    told: list[tuple[int, int]] = []
    training, held_out = read_pairs([recognise(tmp_path)], 32, lambda done, total: told.append((done, total)))
    assert training.photos.shape == (29, 36, 36, 3)  # of 60, 25 are held out and 3 at each side go to neither
    assert held_out.photos[:, 0, 0, 0].tolist() == list(range(25, 50))
    assert told[-1] == (54, 54)
    assert np.isnan(training.disparity[0, :, :18]).all()
    assert set(np.unique(training.disparity[0, :, 18:])) == {0.0, 1.0}


def test_masks_alone_are_refused(tmp_path: Path) -> None:
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / part / "a.png")
    with pytest.raises(DofkitError, match="has masks and no depth"):
        read_pairs([recognise(tmp_path)], 32)

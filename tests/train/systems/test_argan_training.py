"""How AR-GAN learns: the centre prior, p(s), augmentation, and that an interrupted run ends like any other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from dofkit.train.argan_config import ArganConfig, PriorSettings
from dofkit.train.data.gan_photos import GanPhotos, OneBatch, drawn_photos
from dofkit.train.data.shallow_photos import PhotoSettings
from dofkit.train.networks.aperture_generator import drawn_scales
from dofkit.train.systems.argan import ArganSystem, centre_prior, prior_distance, prior_weight
from dofkit.train.systems.augmentation import HOLE, SHIFT, augmented
from dofkit.train.trainer import RunSettings, endless_loader, fit

TINY = ArganConfig(size=32, width=4, discriminator_width=4, views=3, batch=4, penalty_every=2)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Interrupted(GanPhotos):
    """Photos that end in a power cut."""

    def __getitem__(self, index: int) -> torch.Tensor:
        if index >= 3 * TINY.batch:
            raise RuntimeError("power cut")
        return super().__getitem__(index)


def trained(out: Path, steps: int, resume: bool = False, photos: type[GanPhotos] = GanPhotos) -> ArganSystem:
    settings = RunSettings(out, steps, checkpoint_every=2, threads=1, clip_norm=0, resume=resume, ema_decay=0.5)
    torch.manual_seed(0)
    system = ArganSystem(TINY, steps, sheets=out / "sheets")
    pictures = photos(drawn_photos(8, 0, PhotoSettings(32)), seed=0)
    fit(system, endless_loader(pictures, TINY.batch, settings), DataLoader(OneBatch()), settings)
    return system


def test_the_centre_prior_is_in_focus_within_its_circle_and_falls_off_linearly_outside() -> None:
    settings = PriorSettings(radius=0.5, gain=0.8)
    prior = centre_prior(64, settings).numpy()
    axis = (np.arange(64) + 0.5) / 32 - 1
    distance = np.hypot(axis[None], axis[:, None])
    assert (prior[distance <= 0.5] == 0).all()
    assert np.allclose(prior[distance > 0.5], -0.8 * (distance[distance > 0.5] - 0.5), atol=1e-6)
    assert np.array_equal(prior, prior.T)
    assert (centre_prior(64, PriorSettings(radius=0, gain=5)) >= -1).all()


def test_a_map_that_is_the_prior_is_at_no_distance_from_it() -> None:
    settings = PriorSettings()
    prior = centre_prior(32, settings)[None, None]
    assert float(prior_distance(prior.expand(3, 1, 32, 32), settings)) == 0
    assert float(prior_distance(prior + 0.1, settings)) == pytest.approx(0.01)


def test_the_prior_is_held_then_released_to_its_floor() -> None:
    settings = PriorSettings(weight=10, hold=0.2, release=0.6, floor=0.1)
    assert [prior_weight(done, settings) for done in (0, 0.2)] == [10, 10]
    assert prior_weight(0.4, settings) == pytest.approx(10 * (1 - 0.9 / 2))
    assert [prior_weight(done, settings) for done in (0.6, 1)] == [pytest.approx(1)] * 2


def test_s_is_drawn_as_the_mixture_says() -> None:
    uniform = drawn_scales(4000, "uniform", rng())
    assert uniform.shape == (4000, 1, 1, 1)
    assert (float(uniform.mean()), float(uniform.var())) == (
        pytest.approx(0.5, abs=0.02),
        pytest.approx(1 / 12, abs=0.01),
    )
    bernoulli = drawn_scales(4000, "bernoulli", rng())
    assert set(bernoulli.unique().tolist()) == {0, 1}
    assert float(bernoulli.mean()) == pytest.approx(0.5, abs=0.03)
    assert bool((drawn_scales(5, "none", rng()) == 1).all())


def test_augmentation_moves_cuts_and_recolours_and_lets_gradients_through() -> None:
    pictures = torch.rand(64, 3, 32, 32).requires_grad_()
    seen = augmented(pictures, rng())
    assert torch.equal(seen, augmented(pictures, rng()))
    blank = (seen == 0.5).all(dim=1).float().mean(dim=(1, 2))
    assert 0.3 * HOLE**2 < float(blank.mean()) < HOLE**2 + 2 * SHIFT
    (slope,) = torch.autograd.grad(seen.square().sum(), pictures)
    assert bool(torch.isfinite(slope).all())
    assert float((slope != 0).float().mean()) > 0.5


def test_augmentation_keeps_a_picture_without_contrast_flat() -> None:
    seen = augmented(torch.full((16, 3, 32, 32), 0.5), rng(1))
    for picture in seen:
        assert len(picture.flatten().unique()) <= 2  # one brightness, and 0.5 where it was moved or cut


def test_an_interrupted_run_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", 6)
    with pytest.raises(RuntimeError, match="power cut"):
        trained(tmp_path / "parts", 6, photos=Interrupted)
    resumed = trained(tmp_path / "parts", 6, resume=True)
    for name, parameter in whole.network.state_dict().items():
        assert torch.allclose(parameter, resumed.network.state_dict()[name], atol=1e-5), name
    assert sorted(file.name for file in (tmp_path / "whole" / "sheets").iterdir()) == [
        f"00000{n}.png" for n in (2, 4, 6)
    ]


def test_both_networks_learn_and_the_prior_pulls_the_defocus_towards_itself(tmp_path: Path) -> None:
    torch.manual_seed(0)
    fresh = ArganSystem(TINY, 30)
    system = trained(tmp_path / "run", 30)
    share = [prior_distance(s._shown(16, 0.0).defocus / s.network.largest_defocus, TINY.prior) for s in (fresh, system)]
    assert share[1].item() < 0.7 * share[0].item()
    before, after = (dict(s.discriminator.named_parameters()) for s in (fresh, system))
    assert all(not torch.equal(before[name], after[name]) for name in before)


def test_the_samples_of_a_step_do_not_depend_on_the_steps_before(tmp_path: Path) -> None:
    settings = RunSettings(tmp_path, 2)
    assert replace(settings, steps=4).out == tmp_path
    photos = GanPhotos(drawn_photos(3, 0, PhotoSettings(32)), seed=1)
    assert torch.equal(photos[1000], photos[1000])
    assert photos[5].shape == (3, 32, 32)

"""AR-GAN in training with each viewpoint and with each cue turned off."""

import math

import numpy as np
import pytest
import torch

from dofkit.train.argan_config import ArganConfig, ViewpointSettings
from dofkit.train.data.gan_photos import GanPhotos
from dofkit.train.systems.argan import ArganSystem
from dofkit.train.trainer import RunSettings, endless_loader, fit

KINDS = ["none", "rgbd", "hologan"]


def config(viewpoint: ViewpointSettings, views: int = 3) -> ArganConfig:
    return ArganConfig(
        size=32, width=4, discriminator_width=4, batch=4, views=views, penalty_every=2, viewpoint=viewpoint
    )


def trained(folder, settings: ArganConfig) -> tuple[ArganSystem, dict[str, float]]:
    """A system after two steps, and what it logged at the last."""
    torch.manual_seed(0)
    system = ArganSystem(settings, steps=2)
    run = RunSettings(folder, 2, accelerator="cpu", clip_norm=0, ema_decay=0.0)
    pictures = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), np.uint8)
    fit(system, endless_loader(GanPhotos(pictures, 0), settings.batch, run), None, run)
    return system, {name: float(value) for name, value in system.trainer.callback_metrics.items()}


@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_trains_with_and_without_depth_of_field(tmp_path, kind, views):
    settings = config(ViewpointSettings(kind=kind), views)
    _, logged = trained(tmp_path, settings)
    extra = {"none": set(), "rgbd": {"consistency"}, "hologan": {"identity"}}[kind]
    assert set(logged) == {"generator", "discriminator", "prior", "blur", *extra}
    assert all(math.isfinite(value) for value in logged.values())
    assert all(logged[name] > 0 for name in extra)


@pytest.mark.parametrize("kind", ["rgbd", "hologan"])
def test_no_reach_turns_the_viewpoint_off(tmp_path, kind):
    _, logged = trained(tmp_path, config(ViewpointSettings(kind=kind, azimuth=0, elevation=0)))
    assert all(math.isfinite(value) for value in logged.values())
    if kind == "rgbd":
        assert logged["consistency"] < 1e-4  # two pictures of one pose


def test_identity_without_weight_has_no_head(tmp_path):
    system, logged = trained(tmp_path, config(ViewpointSettings(kind="hologan", identity=0)))
    assert system.discriminator.identity is None
    assert "identity" not in logged


@pytest.mark.parametrize("kind", ["rgbd", "hologan"])
def test_the_viewpoints_loss_reaches_what_it_is_to_teach(tmp_path, kind):
    viewpoint = ViewpointSettings(kind=kind)
    loud = viewpoint.model_copy(update={"consistency": 100.0, "identity": 100.0})
    (quiet, _), (taught, _) = (trained(tmp_path / str(i), config(v)) for i, v in enumerate((viewpoint, loud)))
    before, after = quiet.network.generator.state_dict(), taught.network.generator.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in ("depth.weight", "image.weight"))


@pytest.mark.parametrize("kind", KINDS)
def test_sheets_show_the_samples(kind):
    system = ArganSystem(config(ViewpointSettings(kind=kind)), steps=2)
    assert system.sheet(2).shape == (3, 3 * 32, 2 * 32)
    assert system.turned_sheet(2).shape == (3, 6 * 32, 2 * 32)

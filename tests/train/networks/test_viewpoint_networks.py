"""Generators with viewpoints: the volume that HoloGAN turns, the pose that RGBD-GAN is told, names that files hold."""

import math

import pytest
import torch

from dofkit.train.argan_config import ArganConfig, ViewpointSettings, load_config, shipped_configs
from dofkit.train.networks.aperture_generator import ApertureGenerator
from dofkit.train.networks.argan import Discriminator, GeneratorConfig
from dofkit.train.networks.viewpoint import GENERATORS, HoloGenerator, turned_volume

TINY = GeneratorConfig(size=32, width=4)
QUARTER = math.pi / 2


def views(azimuth: float, elevation: float = 0.0, count: int = 1) -> torch.Tensor:
    return torch.tensor([[azimuth, elevation]]).expand(count, 2)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def smooth_volume() -> torch.Tensor:
    axis = torch.linspace(-1, 1, 16)
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    return torch.stack([torch.sin(2 * x + y), torch.cos(x - 2 * z)])[None]


def test_a_volume_that_is_not_turned_stays_as_it_is():
    volume = noise(2, 3, 8, 8, 8)
    assert torch.allclose(turned_volume(volume, views(0, count=2)), volume, atol=1e-5)


def test_a_quarter_turn_and_back_gives_the_volume():
    volume = noise(1, 3, 8, 8, 8)
    turned = turned_volume(volume, views(QUARTER))
    assert not torch.allclose(turned, volume, atol=0.1)
    assert torch.allclose(turned_volume(turned, views(-QUARTER)), volume, atol=1e-4)


def test_a_quarter_turn_to_the_right_shows_the_right_side():
    volume = torch.zeros(1, 1, 4, 4, 4)
    volume[..., 2, 1, 3] = 1  # at the right
    (found,) = turned_volume(volume, views(QUARTER))[0, 0].round().nonzero().tolist()
    assert found == [0, 1, 2]  # at the front now; what was behind the middle is right of it


def test_a_small_turn_and_back_gives_a_smooth_volume_inside():
    volume = smooth_volume()
    back = turned_volume(turned_volume(volume, views(0.15)), views(-0.15))
    inner = (..., slice(3, -3), slice(3, -3), slice(3, -3))
    assert (back - volume)[inner].abs().max() < 0.03


def test_hologan_seen_from_the_front_is_hologan_without_a_view():
    network, z = HoloGenerator(TINY).eval(), noise(2, 128)
    for mine, front in zip(network(z), network(z, views(0, count=2)), strict=True):
        assert torch.equal(mine, front)


@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize("kind", ["none", "rgbd", "hologan"])
def test_every_kind_makes_pictures_and_defocus_in_their_ranges(kind, size):
    config = GeneratorConfig(size=size, width=4, reach=0.1)
    made = GENERATORS[kind](config)(noise(2, 128), views(0.1, -0.05, 2))
    assert made.image.shape == (2, 3, size, size)
    assert made.defocus.shape == (2, 1, size, size)
    assert 0 <= made.image.min() <= made.image.max() <= 1
    assert made.defocus.abs().max() <= config.largest_defocus


@pytest.mark.parametrize("kind", ["rgbd", "hologan"])
def test_another_viewpoint_shows_another_picture(kind):
    network, z = GENERATORS[kind](TINY), noise(2, 128)
    front, side = network(z), network(z, views(0.3, count=2))
    assert (front.image - side.image).abs().max() > 1e-3
    assert (front.defocus - side.defocus).abs().max() > 1e-3


def test_a_generator_without_viewpoints_looks_past_the_view():
    network, z = ApertureGenerator(ArganConfig(size=32, width=4)), noise(2, 128)
    scale = torch.ones(2, 1, 1, 1)
    for front, side in zip(network(z, scale), network(z, scale, views(0.3, count=2)), strict=True):
        assert torch.equal(front, side)


def test_the_plain_generator_keeps_the_names_that_files_hold():
    names = list(ApertureGenerator(ArganConfig(size=32, width=4)).state_dict())
    blocks = [f"blocks.{i}.{layer}" for i in range(3) for layer in ("enlarge", "style.style")]
    layers = ["layout", "first.style", *blocks, "image", "depth", "depth_scale"]
    generator = ["constant", *(f"{layer}.{part}" for layer in layers for part in ("weight", "bias"))]
    lens = [f"expansion.{layer}.{part}" for layer in ("mix", "residual") for part in ("weight", "bias")]
    assert names == [*(f"generator.{name}" for name in generator), *(f"lens.{name}" for name in lens)]


def test_a_discriminator_reads_z_only_if_it_is_asked_to():
    pictures = noise(2, 3, 32, 32).sigmoid()
    plain, reader = Discriminator(32, 4), Discriminator(32, 4, latent=128).eval()
    assert plain.judged(pictures).identity is None
    assert not any("identity" in name for name in plain.state_dict())
    score, identity = reader.judged(pictures)
    assert identity is not None
    assert identity.shape == (2, 128)
    assert torch.equal(score, reader(pictures))


@pytest.mark.parametrize("name", shipped_configs())
def test_every_configuration_that_ships_makes_a_network(name):
    config = load_config(name)
    small = config.model_copy(update={"size": 32, "width": 4})
    made = ApertureGenerator(small)(noise(2, 128), torch.ones(2, 1, 1, 1))
    assert made.shallow.shape == (2, 3, 32, 32)


def test_an_older_configuration_has_no_viewpoint():
    assert ArganConfig.model_validate({"size": 64}).viewpoint == ViewpointSettings()
    assert ViewpointSettings().kind == "none"

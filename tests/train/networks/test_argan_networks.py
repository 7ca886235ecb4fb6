"""AR-GAN's networks: shapes and ranges, the doubling against what it stands for, files, configurations."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from dofkit.runtime_ref.errors import DofkitError
from dofkit.train.argan_config import ArganConfig, Norm, load_config, shipped_configs
from dofkit.train.networks.aperture_generator import ApertureGenerator
from dofkit.train.networks.argan import Discriminator, Doubling, Generator, GeneratorConfig, Styled
from dofkit.train.weights.generative import GENERATOR


@pytest.mark.parametrize("size", [32, 64, 128])
def test_a_generator_makes_a_picture_and_bounded_defocus_of_its_size(size: int) -> None:
    config = GeneratorConfig(size, width=4)
    with torch.no_grad():
        made = Generator(config)(3 * torch.randn(2, config.latent))
    assert made.image.shape == (2, 3, size, size)
    assert made.defocus.shape == (2, 1, size, size)
    assert 0 <= float(made.image.min()) <= float(made.image.max()) <= 1
    assert float(made.defocus.abs().max()) <= config.largest_defocus
    assert Discriminator(size, width=4)(made.image).shape == (2,)


@pytest.mark.parametrize("size", [0, 4, 48, 100])
def test_a_size_that_no_doubling_reaches_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        GeneratorConfig(size)


@pytest.mark.parametrize("solid", [False, True])
def test_a_doubling_is_repeated_pixels_and_a_convolution(solid: bool) -> None:
    torch.manual_seed(0)
    block = Doubling(5, 4, latent=8, solid=solid)
    x = torch.randn(2, 5, *([6] * (3 if solid else 2)))
    expected = block.enlarge(F.interpolate(x, scale_factor=2, mode="nearest"))
    assert torch.allclose(block.enlarged(x), expected, atol=1e-5)


@pytest.mark.parametrize("solid", [False, True])
def test_pixel_norm_leaves_a_map_empty_and_instance_norm_none(solid: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 4, *([6] * (3 if solid else 2)))
    x[:, 0] *= 0.05  # nearly empty
    spread = {}
    for norm in ("pixel", "instance"):
        layer = Styled(4, 8, norm)
        torch.nn.init.zeros_(layer.style.weight)
        torch.nn.init.ones_(layer.style.bias)  # scale 2, shift 1: little is rectified away
        spread[norm] = layer(x, torch.zeros(2, 8))[:, 0].std()
    assert spread["pixel"] < 0.2
    assert spread["instance"] > 1


def test_pixel_norm_gives_each_pixel_s_channels_a_mean_square_of_one() -> None:
    layer = Styled(6, 8, "pixel")
    torch.nn.init.zeros_(layer.style.weight)
    torch.nn.init.zeros_(layer.style.bias)
    found = layer(100 * torch.rand(2, 6, 5, 5), torch.zeros(2, 8))  # positive: nothing is rectified
    assert torch.allclose(found.square().mean(dim=1), torch.ones(2, 5, 5), atol=1e-4)


@pytest.mark.parametrize("norm", ["pixel", "instance"])
def test_every_parameter_of_a_generator_learns(norm: Norm) -> None:
    network = ApertureGenerator(ArganConfig(size=32, width=4, views=3, norm=norm))
    assert network.lens.expansion is not None
    torch.nn.init.normal_(
        network.lens.expansion.residual.weight, std=0.1
    )  # it starts as nothing, which stops gradients
    made = network(torch.randn(4, network.latent), torch.rand(4, 1, 1, 1))
    made.shallow.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.abs().sum() > 0) or name.endswith("enlarge.bias"), name  # AdaIN takes biases away


def test_s_is_the_aperture() -> None:
    network = ApertureGenerator(ArganConfig(size=32, width=4)).eval()
    z = torch.randn(2, network.latent)
    with torch.inference_mode():
        closed = network(z, torch.zeros(2, 1, 1, 1))
        opened = network(z, torch.ones(2, 1, 1, 1))
    assert torch.allclose(closed.shallow, closed.deep, atol=2e-3)
    assert torch.equal(opened.defocus, closed.defocus)
    assert float((opened.shallow - opened.deep).abs().max()) > 0.02


def test_a_file_brings_a_generator_back_within_half_precision(tmp_path: Path) -> None:
    network = ApertureGenerator(ArganConfig(size=32, width=4, expansion=False)).eval()
    path = GENERATOR.save(network, tmp_path)
    z, scale = torch.randn(2, network.latent), torch.ones(2, 1, 1, 1)
    for found in (GENERATOR.load(path), GENERATOR.load(tmp_path)):
        assert found.config == network.config
        with torch.inference_mode():
            assert torch.allclose(found(z, scale).shallow, network(z, scale).shallow, atol=5e-3)


def test_what_is_no_generator_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DofkitError, match="does not exist"):
        GENERATOR.load(tmp_path)
    (tmp_path / "argan.safetensors").write_bytes(b"nothing")
    with pytest.raises(DofkitError, match="not a readable safetensors file"):
        GENERATOR.load(tmp_path)


def test_a_file_that_does_not_say_what_is_normalised_is_of_before_and_normalises_maps(tmp_path: Path) -> None:
    network = ApertureGenerator(ArganConfig(size=32, width=4, norm="instance"))
    replace(GENERATOR, describe=lambda of: of.config.model_dump_json(exclude={"norm"})).save(network, tmp_path)
    assert GENERATOR.load(tmp_path).config == network.config


@pytest.mark.parametrize("name", shipped_configs())
def test_every_shipped_configuration_can_be_built(name: str) -> None:
    config = load_config(name).model_copy(update={"width": 4, "discriminator_width": 4, "size": 32})
    assert ApertureGenerator(config).config is config


def test_the_ablations_differ_from_the_full_configuration_in_what_they_leave_out() -> None:
    full = load_config("full")
    assert load_config("no_mixture") == full.model_copy(update={"mixture": "none"})
    assert load_config("no_prior") == full.model_copy(update={"prior": full.prior.model_copy(update={"weight": 0.0})})
    assert load_config("no_expansion") == full.model_copy(update={"expansion": False})
    baseline = {"mixture": "none", "expansion": False, "prior": full.prior.model_copy(update={"weight": 0.0})}
    assert load_config("baseline") == full.model_copy(update=baseline)


@pytest.mark.parametrize(
    ("text", "what"),
    [("size = 65", "size"), ("unknown = 1", "unknown"), ("[prior]\nweight = -1", "prior.weight"), ("=", "TOML")],
)
def test_a_configuration_that_cannot_be_is_refused_by_its_key(tmp_path: Path, text: str, what: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(DofkitError, match=what):
        load_config(str(file))


def test_an_unknown_configuration_lists_those_that_there_are() -> None:
    with pytest.raises(DofkitError, match="no_prior"):
        load_config("nothing")

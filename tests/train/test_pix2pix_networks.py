"""The structure of Pix2Pix: the paper's layers, parameters and patches."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from dofkit.runtime_ref.errors import DofkitError
from dofkit.train.networks.pix2pix import PairDiscriminator, Pix2PixConfig, Pix2PixGenerator
from dofkit.train.weights.generative import PIX2PIX


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_papers_sizes_have_the_papers_parameters() -> None:
    with torch.device("meta"):  # the authors' own code prints 54.414 M and 2.769 M for three channels in and out
        assert parameters(Pix2PixGenerator(Pix2PixConfig(256, 64, outputs=3))) == 54_413_955
        assert parameters(PairDiscriminator(64, outputs=3)) == 2_768_705


def test_widths_are_those_of_the_appendix() -> None:
    assert Pix2PixConfig(256, 64).widths == [64, 128, 256, 512, 512, 512, 512, 512]
    with torch.device("meta"):
        network = Pix2PixGenerator(Pix2PixConfig(256, 64))
    up = [(layer[1].in_channels, layer[1].out_channels) for layer in network.up]  # pyright: ignore
    expected = [(512, 512), (1024, 512), (1024, 512), (1024, 512), (1024, 256), (512, 128), (256, 64), (128, 1)]
    assert up == expected


def test_noise_and_normalisation_are_where_the_paper_has_them() -> None:
    with torch.device("meta"):
        network = Pix2PixGenerator(Pix2PixConfig(256, 64))

    def having(layers: nn.ModuleList, kind: type[nn.Module]) -> list[int]:
        return [k for k, layer in enumerate(layers) if any(isinstance(part, kind) for part in layer.children())]

    assert having(network.up, nn.Dropout) == [1, 2, 3]
    assert having(network.up, nn.BatchNorm2d) == list(range(7))
    assert having(network.down, nn.BatchNorm2d) == list(range(1, 7))


def test_a_judge_sees_seventy_pixels_of_each_side() -> None:
    torch.manual_seed(0)
    judge = PairDiscriminator(4).double()
    for module in judge.modules():  # its statistics look at the whole picture: what remains is what convolutions see
        if isinstance(module, nn.BatchNorm2d):
            module.forward = lambda input: input
        if isinstance(module, nn.LeakyReLU):
            module.negative_slope = 0.9
    image = torch.rand(1, 3, 128, 128, dtype=torch.float64, requires_grad=True)
    logits = judge(image, torch.rand(1, 1, 128, 128, dtype=torch.float64))
    assert logits.shape == (1, 1, 14, 14)
    logits[0, 0, 7, 7].backward()
    assert image.grad is not None
    seen = image.grad.abs().sum(dim=(0, 1)) > 0
    for axis in (0, 1):
        places = seen.any(dim=axis).nonzero()
        assert int(places.max() - places.min()) + 1 == 70


@pytest.mark.parametrize("size", [32, 64, 128])
def test_a_map_has_the_photos_size_and_range(size: int) -> None:
    torch.manual_seed(0)
    network = Pix2PixGenerator(Pix2PixConfig(size, 4))
    found = network(torch.rand(2, 3, size, size))
    assert found.shape == (2, 1, size, size)
    assert found.min() >= 0
    assert found.max() <= 1
    assert network.input_size(300, 200) == (size, size)


def test_dropout_is_the_only_noise_and_only_in_training() -> None:
    torch.manual_seed(0)
    network = Pix2PixGenerator(Pix2PixConfig(64, 4))
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert not network.train()(image).equal(network(image))
        torch.testing.assert_close(network.eval()(image), network(image))


def test_a_photo_asked_alone_depends_on_no_other() -> None:
    torch.manual_seed(0)
    network = Pix2PixGenerator(Pix2PixConfig(32, 4)).eval()
    first, second = torch.rand(2, 1, 3, 32, 32)
    with torch.no_grad():
        alone = network(first)
        network(second)
        torch.testing.assert_close(network(first), alone)


@pytest.mark.parametrize(("size", "width"), [(48, 4), (16, 4), (64, 0)])
def test_shapes_that_cannot_be_are_refused(size: int, width: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        Pix2PixConfig(size, width)


def test_a_file_brings_the_same_network_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Pix2PixGenerator(Pix2PixConfig(32, 4)).eval()
    path = PIX2PIX.save(network, tmp_path)
    loaded = PIX2PIX.load(tmp_path)
    assert loaded.config == network.config
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(loaded(image), network(image), atol=2e-3, rtol=0)  # files hold half precision
    path.write_bytes(b"nothing")
    with pytest.raises(DofkitError, match="is not a readable safetensors file"):
        PIX2PIX.load(path)

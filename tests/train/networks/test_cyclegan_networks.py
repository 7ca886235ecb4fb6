"""The unpaired comparison's networks: the start, sizes, ranges."""

import pytest
import torch

from dofkit.train.networks.cyclegan import PatchDiscriminator, Translator, TranslatorConfig


def tiny(seed: int = 0) -> Translator:
    torch.manual_seed(seed)
    return Translator(TranslatorConfig(4, 1))


def test_the_translator_starts_near_the_identity() -> None:
    picture = torch.rand(2, 3, 16, 16)
    change = (tiny()(picture) - picture).detach().abs().mean()
    assert 0 < float(change) < 0.1


@pytest.mark.parametrize(("height", "width"), [(8, 8), (12, 20), (64, 36)])
def test_any_multiple_of_four_comes_back_in_its_size(height: int, width: int) -> None:
    assert tiny()(torch.rand(1, 3, height, width)).shape == (1, 3, height, width)


def test_the_output_stays_in_range_whatever_the_weights() -> None:
    network = tiny()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_()
        made = network(torch.rand(2, 3, 16, 16))
    assert made.min() == 0
    assert made.max() == 1


def test_pictures_of_a_batch_do_not_see_each_other() -> None:
    network = tiny()
    torch.nn.init.normal_(network.layers[-1].weight, std=0.01)  # pyright: ignore[reportArgumentType]
    pictures = torch.rand(3, 3, 16, 16)
    torch.testing.assert_close(network(pictures)[1:2], network(pictures[1:2]))


def test_a_score_sees_34_pixels() -> None:
    torch.manual_seed(0)
    picture = torch.rand(1, 3, 96, 96, requires_grad=True)
    scores = PatchDiscriminator(4)(picture)
    assert scores.shape == (1, 1, 22, 22)
    scores[0, 0, 11, 11].backward()
    assert picture.grad is not None
    rows = picture.grad.abs().sum(dim=(0, 1, 3)).nonzero()
    assert rows.max() - rows.min() + 1 == 34


def test_the_smallest_picture_has_a_score() -> None:
    assert PatchDiscriminator(4)(torch.rand(2, 3, 16, 16)).shape == (2, 1, 2, 2)


def test_a_shape_without_channels_is_refused() -> None:
    with pytest.raises(ValueError, match="width must be at least 1"):
        TranslatorConfig(0)

"""The optics inside the lens blur, before anything is learned: transfer curve, discs, planes, compositing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import special
from torch.nn import functional as F

from dofkit.train.networks.filters import FixedConvolution, convolution, disc, enlarging, gathering, softly_enlarging
from dofkit.train.networks.lens_blur import LensBlurConfig, LensBlurNet
from dofkit.train.networks.transfer import decode, encode
from dofkit.train.rendering.lens import to_linear


def composing() -> LensBlurNet:
    """A network that has learned nothing: its heads add nothing to compositing."""
    network = LensBlurNet()
    for head in (network.source.out, network.correction.out):
        torch.nn.init.zeros_(head.weight)
    return network.eval()


def inner(picture: torch.Tensor) -> torch.Tensor:
    return picture[..., 20:-20, 20:-20]


def test_light_is_srgbs_within_a_hundredth_and_comes_back() -> None:
    encoded = torch.linspace(0, 1, 1001)
    light = torch.from_numpy(to_linear(encoded.numpy()))
    slope = torch.gradient(light, spacing=1e-3)[0]
    assert ((decode(encoded) - light) / slope).abs().max() < 0.006  # in encoded values
    assert (encode(decode(encoded)) - encoded).abs().max() < 3e-4


@pytest.mark.parametrize("radius", [0.5, 1.0, 2.0, 3.0, 5.0, 8.0])
def test_a_discs_kernel_has_its_light_and_its_frequency_response(radius: float) -> None:
    kernel = disc(radius).double().numpy()
    assert kernel.sum() == pytest.approx(1, abs=1e-6)
    assert np.allclose(kernel, kernel.T, atol=1e-6)
    place = np.arange(len(kernel)) - len(kernel) // 2
    assert (kernel.sum(0) * place**2).sum() == pytest.approx(radius**2 / 4, rel=0.12, abs=0.02)
    frequency = np.linspace(0.01, 0.4, 40)  # cycles a pixel along an axis; at 0.5 a kernel must come in level
    found = (kernel.sum(0) * np.cos(2 * np.pi * frequency[:, None] * place)).sum(1)
    argument = 2 * np.pi * radius * frequency
    assert np.abs(found - 2 * special.j1(argument) / argument).max() < 0.04  # the disc's, in closed form


def test_planes_share_every_defocus_and_keep_its_moment() -> None:
    network = LensBlurNet()
    defocus = torch.linspace(-1, 1, 161).view(1, 1, 1, -1)
    shares = network.masks(defocus)[0, :, 0]
    planes = torch.tensor(LensBlurConfig().planes)
    assert shares.sum(0).allclose(torch.ones(161), atol=1e-5)
    assert (shares > 1e-6).sum(0).max() == 2
    moment = (planes.abs() * planes) @ shares
    assert moment.allclose((64 * defocus * defocus.abs()).flatten(), atol=1e-3)


@pytest.mark.parametrize("radius", LensBlurConfig().planes[1::3])
def test_a_uniform_sheet_is_convolved_with_its_disc(radius: float) -> None:
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    kernel = disc(abs(radius))[None, None].expand(3, 1, -1, -1)
    truth = encode(F.conv2d(decode(picture), kernel, padding="same", groups=3))
    with torch.no_grad():
        ours = composing()(picture, torch.full((1, 1, 64, 64), radius / 8))
    assert (inner(ours) - inner(truth)).abs().max() < 3e-3


def test_a_foreground_in_focus_is_never_stained_by_the_background() -> None:
    picture = torch.zeros(1, 3, 64, 64)
    picture[..., 32:] = 1.0
    defocus = torch.full((1, 1, 64, 64), -1.0)  # black, far, out of focus
    defocus[..., 32:] = 0.0  # white, near, in focus
    with torch.no_grad():
        ours = composing()(picture, defocus)
    assert inner(ours)[..., 12:].min() > 0.999  # white up to its edge
    assert inner(ours)[..., :12].max() < 0.08  # and no light outside it


def test_a_blurred_foreground_spreads_over_the_sharp_background_by_its_coverage() -> None:
    picture = torch.full((1, 3, 64, 64), 0.0)
    picture[..., 32:] = 1.0
    defocus = torch.zeros(1, 1, 64, 64)
    defocus[..., 32:] = 1.0
    with torch.no_grad():
        row = composing()(picture, defocus)[0, 0, 32]
    column = disc(8.0).sum(0)
    for distance in range(1, 8):  # pixels from the edge into the background: the part of a disc that reaches over
        cover = float(column[8 + distance :].sum())
        assert float(decode(row[32 - distance])) == pytest.approx(cover, abs=0.01)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_what_shines_through_a_pixel_at_the_edge_is_blurred_with_what_is_behind(share: float) -> None:
    light, defocus = torch.zeros(1, 3, 64, 64), torch.full((1, 1, 64, 64), -1.0)
    light[..., :28] = 1.0  # far: white, then four black pixels up to the edge
    light[..., 33:], defocus[..., 33:] = 0.2, 0.0  # in focus
    light[..., 32], defocus[..., 32] = share * 0.2, share - 1.0  # the edge's pixel has the mean of both
    with torch.no_grad():
        found = float(decode(composing()(encode(light), defocus))[0, 0, 32, 32])
    white = float(disc(8.0).sum(0)[8 + 5 :].sum())  # the part of a disc that reaches over the black pixels
    assert found == pytest.approx(share * 0.2 + (1 - share) * white, abs=0.02)


@pytest.mark.parametrize(("differences", "degree"), [((1 / 8,), 2), ((22 / 128, -3 / 128), 4)])
def test_enlarging_gives_back_polynomials_from_their_averages(differences: tuple[float, ...], degree: int) -> None:
    fine = np.arange(40, dtype=np.float64) / 20 - 1  # the corners of pixels
    polynomial = np.polynomial.Polynomial([2.0, 3.0, -1.0, 0.5, 0.7][: degree + 1])

    def averages(start: np.ndarray, width: float) -> np.ndarray:
        integral = polynomial.integ()
        return (integral(start + width) - integral(start)) / width

    coarse, truth = averages(fine[::2], 0.1), averages(fine, 0.05)
    low = torch.from_numpy(np.broadcast_to(coarse, (20, 20)).copy())[None, None]
    kernel = enlarging(differences).double()
    children = F.pixel_shuffle(F.conv2d(low, kernel, padding=kernel.shape[-1] // 2), 2)[0, 0]
    assert np.allclose(children[10, 4:-4].numpy(), truth[4:-4], atol=1e-7)


def test_gathering_is_convolving_and_taking_every_second_pixel() -> None:
    picture, kernel = torch.rand(1, 1, 12, 10), torch.rand(3, 3)
    whole = F.conv2d(picture, kernel[None, None], padding=1)
    gathered = F.conv2d(picture, gathering(kernel), stride=2, padding=1)
    assert gathered.allclose(F.pixel_unshuffle(whole, 2), atol=1e-6)


def test_enlarging_softly_is_enlarging_what_was_smoothed() -> None:
    picture, line = torch.rand(1, 1, 12, 10), torch.tensor([0.25, 0.5, 0.25])
    smoothed = F.conv2d(picture, (line[:, None] * line)[None, None], padding=1)
    expected = F.conv2d(smoothed, enlarging((1 / 8,)), padding=1)[..., 2:-2, 2:-2]
    assert F.conv2d(picture, softly_enlarging(), padding=2)[..., 2:-2, 2:-2].allclose(expected, atol=1e-6)


def test_mixed_precision_spares_light_and_coverage() -> None:
    spread, learned = FixedConvolution(disc(3.0)[None, None]), convolution(1, 1)
    light = torch.rand(1, 1, 16, 16)
    truth = spread(light)
    with torch.autocast("cpu", torch.bfloat16):
        assert spread(light).equal(truth)
        assert spread(light.bfloat16()).dtype == torch.float32
        assert learned(light).dtype == torch.bfloat16

"""The differentiable lens: its views, its energy, its gradients, and how it agrees with the exact lens of layers."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dofkit.train.networks.transfer import decode
from dofkit.train.rendering.layered import SceneLayer, SceneLens, render
from dofkit.train.rendering.lens import to_linear, to_srgb
from dofkit.train.rendering.light_field import ApertureRenderer, view_points

SIDE = 64


def waves(seed: int) -> np.ndarray:
    """[64, 64, 3] in [0, 1] of detail down to about 5 px, sRGB-encoded."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    parts = [np.sin(rng.uniform(-1, 1, 3) * x[..., None] + rng.uniform(-1, 1, 3) * y[..., None]) for _ in range(6)]
    return np.asarray(0.5 + sum(parts) / 14, np.float32)


def tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.transpose(2, 0, 1).copy())[None]


def exact(picture: np.ndarray, radius: float) -> np.ndarray:
    """A fronto-parallel sheet through the layered ground truth, its circle of confusion `radius` pixels."""
    lens = SceneLens(focus=0.0, aperture=1.0, long_side=40 * radius)
    whole = np.ones((SIDE, SIDE), np.float32)
    return to_srgb(render([SceneLayer(to_linear(picture), whole, whole)], lens))


def blurred(picture: np.ndarray, radius: float, side: int = 5) -> np.ndarray:
    """The same sheet through the differentiable lens."""
    with torch.inference_mode():
        ours = ApertureRenderer(side)(tensor(picture), torch.full((1, 1, SIDE, SIDE), radius))
    return ours[0].numpy().transpose(1, 2, 0)


def psnr(first: np.ndarray, second: np.ndarray, margin: int = 8) -> float:
    inner = slice(margin, -margin)
    return float(-10 * np.log10(np.square(first[inner, inner] - second[inner, inner]).mean()))


@pytest.mark.parametrize(("side", "views"), [(1, 1), (3, 5), (5, 21), (7, 37), (9, 61)])
def test_views_fill_a_round_aperture_around_the_centre_view(side: int, views: int) -> None:
    points = view_points(side)
    assert len(points) == views
    assert torch.equal(points[views // 2], torch.zeros(2))
    assert torch.allclose(points.mean(dim=0), torch.zeros(2), atol=1e-6)
    assert points.norm(dim=1).max() <= 1.001
    if side > 1:
        assert float(points.square().sum(dim=1).mean()) == pytest.approx(0.5)


@pytest.mark.parametrize("side", [0, 2, 4, -1])
def test_an_aperture_without_a_centre_view_is_refused(side: int) -> None:
    with pytest.raises(ValueError, match="odd"):
        view_points(side)


@given(st.floats(0.05, 0.95), st.floats(-5, 5))
def test_a_constant_picture_keeps_its_light_whatever_the_defocus(level: float, defocus: float) -> None:
    picture = torch.full((1, 3, 16, 16), level)
    seen = ApertureRenderer()(picture, torch.full((1, 1, 16, 16), defocus))
    assert torch.allclose(seen, picture, atol=2e-3)


def test_the_light_of_a_spot_is_kept_and_stays_in_place() -> None:
    picture = torch.zeros(1, 3, 33, 33)
    picture[..., 16, 16] = 1
    light = ApertureRenderer(expansion=False).light_field(picture, torch.full((1, 1, 33, 33), 3.0)).mean(dim=2)[0, 0]
    axis = torch.arange(33.0)
    assert float(light.sum()) == pytest.approx(float(decode(picture)[0, 0].sum()), rel=1e-4)
    assert float((light.sum(0) * axis).sum() / light.sum()) == pytest.approx(16, abs=1e-3)
    assert float((light.sum(1) * axis).sum() / light.sum()) == pytest.approx(16, abs=1e-3)


def test_the_second_moment_of_a_spot_is_the_disc_s() -> None:
    picture, radius = torch.zeros(1, 3, 41, 41), 5.0
    picture[..., 20, 20] = 1
    renderer = ApertureRenderer(side=9, expansion=False)
    light = renderer.light_field(picture, torch.full((1, 1, 41, 41), radius)).mean(dim=2)[0, 0]
    away = (torch.arange(41.0) - 20) ** 2
    moment = float((light * (away[None] + away[:, None])).sum() / light.sum())
    interpolation = 2 * float((lambda t: t * (1 - t))((view_points(9) * radius).frac().abs()).mean())
    assert moment == pytest.approx(radius**2 / 2 + interpolation, rel=0.02)


def test_zero_defocus_leaves_the_picture_as_it_is() -> None:
    picture = tensor(waves(1))
    assert torch.allclose(ApertureRenderer()(picture, torch.zeros(1, 1, SIDE, SIDE)), picture, atol=2e-3)


@pytest.mark.parametrize(("radius", "least"), [(1.0, 38), (2.0, 38), (4.0, 35)])
def test_agrees_with_the_layered_ground_truth_on_a_fronto_parallel_sheet(radius: float, least: float) -> None:
    picture = waves(2)
    for sign in (1, -1):
        assert psnr(blurred(picture, sign * radius), exact(picture, radius)) > least


def test_more_views_come_closer_to_the_ground_truth() -> None:
    picture, truth = waves(3), exact(waves(3), 5.0)
    close = [psnr(blurred(picture, 5.0, side), truth) for side in (3, 5, 9)]
    assert close[0] + 10 < min(close[1:])  # 5 a side are enough for detail as fine as this


def test_a_sharp_subject_does_not_spread_into_the_blurred_background() -> None:
    picture, defocus = torch.full((1, 3, 32, 32), 0.2), torch.full((1, 1, 32, 32), -4.0)
    picture[..., 8:24, 8:24], defocus[..., 8:24, 8:24] = 0.9, 0.0
    seen = ApertureRenderer(expansion=False)(picture, defocus)
    assert torch.allclose(seen[..., 8:24, 8:24], picture[..., 8:24, 8:24], atol=2e-3)
    spread = (seen - picture).abs()[..., 4:7, 12:20].max()  # a lens that looks up once spreads 0.33 here
    assert float(spread) < 0.01


def test_gradients_reach_the_defocus_as_finite_differences_say() -> None:
    torch.manual_seed(0)
    renderer = ApertureRenderer(side=3).double()
    torch.nn.init.normal_(renderer.expansion.residual.weight, std=0.1)  # pyright: ignore[reportOptionalMemberAccess]
    picture = torch.rand(1, 3, 6, 6, dtype=torch.float64) * 0.8 + 0.1
    defocus = (torch.rand(1, 1, 6, 6, dtype=torch.float64) - 1.2).requires_grad_()
    assert torch.autograd.gradcheck(lambda c: renderer(picture, c), (defocus,), eps=1e-7, atol=1e-4)
    (gradient,) = torch.autograd.grad(renderer(picture, defocus).square().sum(), defocus)
    assert (gradient.abs() > 0).float().mean() > 0.9


def test_the_learned_expansion_starts_as_nothing_and_stays_within_its_reach() -> None:
    renderer, plain = ApertureRenderer(), ApertureRenderer(expansion=False)
    defocus = torch.randn(2, 1, 16, 16) * 3
    assert torch.equal(renderer.view_defocus(defocus), plain.view_defocus(defocus))
    assert renderer.expansion is not None
    torch.nn.init.normal_(renderer.expansion.residual.weight, std=10)
    moved = (renderer.view_defocus(defocus) - plain.view_defocus(defocus)).detach()
    assert 0.1 < float(moved.abs().max()) <= renderer.expansion.REACH
    assert torch.equal(renderer.view_defocus(torch.zeros(1, 1, 16, 16)), torch.zeros(1, 21, 16, 16))

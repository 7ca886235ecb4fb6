"""The yardsticks: what each classical renderer and upsampler must get right, and what tiling needs of the network."""

import numpy as np
import pytest
import torch

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.resampling import resize
from dofkit.train.rendering.aperture import lens_points
from dofkit.train.rendering.baselines import (
    CLASSICAL,
    UPSAMPLERS,
    GaussianBlur,
    GuidedFilterUpsampling,
    ImageSpaceRays,
    LayeredBlur,
    Renderer,
    Upsampler,
)
from dofkit.train.rendering.baselines.direct import DirectBlurConfig, DirectBlurNet
from dofkit.train.rendering.layered import SceneLayer, SceneLens, render
from dofkit.train.rendering.lens import to_linear, to_srgb

SIDE = 96
LENS = SceneLens(focus=0.5, aperture=1.0, long_side=640)  # 16 px of radius per unit of disparity
OCCLUDING = [r for r in CLASSICAL if r.name in ("layered", "rays")]


def named(renderer: Renderer | Upsampler) -> str:
    return renderer.name


def sheet(value: float) -> np.ndarray:
    return np.full((SIDE, SIDE), value, np.float32)


def colours(seed: int) -> np.ndarray:
    """A smooth random picture, [SIDE, SIDE, 3] in [0.1, 0.9]."""
    coarse = np.random.default_rng(seed).random((SIDE // 6, SIDE // 6, 3)).astype(np.float32)
    return np.asarray(0.1 + 0.8 * resize(coarse, (SIDE, SIDE)), np.float32)


def psnr(first: np.ndarray, second: np.ndarray, margin: int = 16) -> float:
    inner = slice(margin, -margin)
    return float(-10 * np.log10(((first[inner, inner] - second[inner, inner]) ** 2).mean()))


def two_planes(front: float, back: float) -> tuple[np.ndarray, np.ndarray, list[SceneLayer]]:
    """Photo, disparity and true layers of a disc before a background."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    cover = (np.hypot(x, y) < 24).astype(np.float32)
    layers = [
        SceneLayer(to_linear(colours(0)), sheet(1), sheet(back)),
        SceneLayer(to_linear(colours(1)), cover, sheet(front)),
    ]
    photo = to_srgb(render(layers, SceneLens(0.5, 0.0, 640)))
    return photo, np.where(cover > 0, sheet(front), sheet(back)), layers


def test_each_renderer_has_its_own_name_and_says_whose_idea_it_is() -> None:
    assert len({tool.name for tool in (*CLASSICAL, *UPSAMPLERS)}) == len(CLASSICAL) + len(UPSAMPLERS)
    assert all(len(tool.source) > 10 for tool in (*CLASSICAL, *UPSAMPLERS))


@pytest.mark.parametrize("renderer", CLASSICAL, ids=named)
def test_a_photo_in_focus_passes_unchanged(renderer: Renderer) -> None:
    result = renderer.render(colours(0), sheet(0.5), LENS)
    assert result.dtype == np.float32
    assert psnr(result, colours(0)) > 50  # BokehMe's soft disc of radius 0 has a little weight beside its centre


@pytest.mark.parametrize("renderer", CLASSICAL, ids=named)
def test_flat_colour_stays_whatever_the_disparity(renderer: Renderer) -> None:
    disparity = np.random.default_rng(0).random((SIDE, SIDE)).astype(np.float32)
    photo = np.broadcast_to(np.array([0.2, 0.5, 0.9], np.float32), (SIDE, SIDE, 3)).copy()
    assert np.allclose(renderer.render(photo, disparity, LENS), photo, atol=2e-3)


@pytest.mark.parametrize("renderer", CLASSICAL, ids=named)
def test_flat_colour_stays_on_a_ground_whose_farthest_point_is_a_single_pixel(renderer: Renderer) -> None:
    y, x = np.mgrid[:96, :96] / 190
    found = renderer.render(np.full((96, 96, 3), 0.6, np.float32), (y + x).astype(np.float32), SceneLens(0.1, 1.0, 640))
    assert np.abs(found - 0.6).max() < 0.02


@pytest.mark.parametrize("renderer", CLASSICAL, ids=named)
def test_a_plane_out_of_focus_is_blurred_as_the_truth_is(renderer: Renderer) -> None:
    truth = to_srgb(render([SceneLayer(to_linear(colours(0)), sheet(1), sheet(0.9))], LENS))
    least = 30 if renderer.name == "gaussian" else 42  # a Gaussian is not a disc
    assert psnr(renderer.render(colours(0), sheet(0.9), LENS), truth) > least > psnr(colours(0), truth)


@pytest.mark.parametrize("renderer", OCCLUDING, ids=named)
def test_a_foreground_in_focus_is_not_stained_by_a_blurred_background(renderer: Renderer) -> None:
    photo, disparity, layers = two_planes(front=0.5, back=0.0)
    result, truth = renderer.render(photo, disparity, LENS), to_srgb(render(layers, LENS))
    assert np.abs(result - truth)[disparity == 0.5].max() < 2e-3


def test_layers_keep_occlusion_right_where_scattering_cannot() -> None:
    for front, back in ((0.5, 0.0), (0.9, 0.5)):
        photo, disparity, layers = two_planes(front, back)
        truth = to_srgb(render(layers, LENS))
        figures = {r.name: psnr(r.render(photo, disparity, LENS), truth) for r in CLASSICAL}
        assert figures["layered"] > 35
        assert figures["layered"] > max(figures["gaussian"], figures["scatter"]) + 2


def test_layers_guess_what_a_blurred_foreground_uncovers() -> None:
    photo, disparity, layers = two_planes(front=0.9, back=0.5)
    truth = to_srgb(render(layers, LENS))
    blind = LayeredBlur(gap=100)  # nothing counts as hidden
    assert psnr(LayeredBlur().render(photo, disparity, LENS), truth) > psnr(blind.render(photo, disparity, LENS), truth)


def test_gaussian_blur_has_half_the_radius_as_its_deviation() -> None:
    photo = np.zeros((SIDE, SIDE, 3), np.float32)
    photo[48, 48] = 1
    light = to_linear(GaussianBlur().render(photo, sheet(1.0), LENS))[..., 0]
    x = np.arange(SIDE) - 48
    assert light.sum() == pytest.approx(1, abs=0.02)
    assert (light * x**2).sum() / light.sum() == pytest.approx(4.0**2, rel=0.05)  # radius 8


def test_rays_agree_with_a_march_pixel_by_pixel() -> None:
    rng = np.random.default_rng(0)
    photo, lens = rng.random((24, 24, 3)).astype(np.float32), SceneLens(0.5, 1.0, 200)
    disparity = (rng.random((24, 24)) > 0.6).astype(np.float32)  # radii −2.5 and 2.5
    renderer = ImageSpaceRays(samples=16)
    result = renderer.render(photo, disparity, lens)
    for row, column in [(12, 12), (9, 14), (15, 7)]:
        seen = [_march(to_linear(photo), disparity * 5 - 2.5, row, column, point) for point in lens_points(16)]
        seen = [colour for colour in seen if colour is not None]
        assert np.allclose(to_linear(result[row, column]), np.mean(seen, axis=0), atol=1e-4)


def _march(light: np.ndarray, radius: np.ndarray, row: int, column: int, point: np.ndarray) -> np.ndarray | None:
    for level in (2.5, 1.5, 0.5, -0.5, -1.5, -2.5):
        y, x = row - round(level * point[1]), column - round(level * point[0])
        if radius[y, x] == level:
            return light[y, x]
    return None


def test_a_disparity_of_another_size_is_refused() -> None:
    for renderer in CLASSICAL:
        with pytest.raises(DofkitError, match="one size"):
            renderer.render(colours(0), sheet(0)[:50], LENS)
    for upsampler in UPSAMPLERS:
        with pytest.raises(DofkitError, match="upsampling got"):
            upsampler.upsample(colours(0), colours(0), colours(0)[:9], sheet(0))


@pytest.mark.parametrize("upsampler", UPSAMPLERS, ids=named)
def test_upsampling_keeps_flat_colour_and_takes_odd_sizes(upsampler: Upsampler) -> None:
    low, high = np.full((13, 20, 3), 0.3, np.float32), np.full((25, 40, 3), 0.3, np.float32)
    result = upsampler.upsample(low, high, low, low[..., 0])
    assert result.shape == high.shape
    assert np.allclose(result, 0.3, atol=1e-4)


def test_the_guided_filter_gives_the_sharp_photo_where_nothing_is_blurred() -> None:
    high = colours(0) + 0.08 * np.random.default_rng(1).standard_normal((SIDE, SIDE, 3)).astype(np.float32)
    high = np.clip(high, 0, 1)
    low = high.reshape(SIDE // 2, 2, SIDE // 2, 2, 3).mean(axis=(1, 3))
    results = {u.name: psnr(u.upsample(low, high, low, low[..., 0]), high) for u in UPSAMPLERS}
    assert results["guided filter"] > 38 > results["bilinear"] + 5


def test_the_guided_filter_is_a_least_squares_line_in_every_window() -> None:
    rng = np.random.default_rng(0)
    image, blurred = (rng.random((11, 11, 3)).astype(np.float32) for _ in range(2))
    tool = GuidedFilterUpsampling(radius=1, epsilon=0.0)
    gains, offsets = np.zeros((2, 3, 3))
    for row in range(3):
        for column in range(3):
            window = np.s_[row + 3 : row + 6, column + 3 : column + 6, 1]
            gains[row, column], offsets[row, column] = np.polyfit(image[window].ravel(), blurred[window].ravel(), 1)
    expected = gains.mean() * image[5, 5, 1] + offsets.mean()
    result = tool.upsample(blurred, image, image, image[..., 0])
    assert result[5, 5, 1] == pytest.approx(float(np.clip(expected, 0, 1)), abs=1e-4)


def opened(network: torch.nn.Module) -> torch.nn.Module:
    """Positive weights: no path from input to output is cut off or cancelled."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.abs() * 0.1 + 1e-3)
    return network.double()


@pytest.mark.parametrize("phase", range(4))
def test_the_direct_network_sees_the_blurs_reach_and_no_farther_than_its_halo(phase: int) -> None:
    network = opened(DirectBlurNet())
    scene = [torch.full((1, c, 80, 80), 1e-3, dtype=torch.float64, requires_grad=True) for c in (3, 1)]
    at = 40 + phase
    output = network(*scene)
    assert output.max() < 1  # the clamp would hide paths
    touched = [g.abs().amax((0, 1)) > 0 for g in torch.autograd.grad(output[..., at, at].sum(), scene)]
    reach = max(int((plane.nonzero() - at).abs().max()) for plane in touched)
    assert 8 < reach <= DirectBlurNet.halo <= 32
    assert DirectBlurNet.halo % DirectBlurNet.align == 0


def test_the_direct_network_starts_as_identity_and_stays_in_range() -> None:
    image, defocus = torch.rand(2, 3, 32, 44), torch.rand(2, 1, 32, 44) * 2 - 1
    network = DirectBlurNet()
    assert torch.equal(network(image, defocus), image)
    torch.nn.init.normal_(network.from_full[-1].weight)  # pyright: ignore[reportArgumentType]
    result = network(image, defocus)
    assert result.shape == image.shape
    assert 0 <= result.min() <= result.max() <= 1


def test_the_direct_network_has_a_mobile_networks_size() -> None:
    assert 100e3 < sum(p.numel() for p in DirectBlurNet().parameters()) < 200e3
    small = DirectBlurNet(DirectBlurConfig(widths=(4, 8, 8), dilation=1))
    assert small.config.widths == (4, 8, 8)
    assert small(torch.rand(1, 3, 16, 16), torch.rand(1, 1, 16, 16)).shape == (1, 3, 16, 16)

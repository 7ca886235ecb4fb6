"""Exact depth of field: rays through layers against closed forms, the thin lens in space, and the layered blur."""

import numpy as np
import pytest

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.optics import defocus
from dofkit.train.rendering.aperture import lens_points, render_through_aperture
from dofkit.train.rendering.layered import SceneLayer, SceneLens, render
from dofkit.train.rendering.lens import to_srgb

SIDE = 96
LENS = SceneLens(focus=0.5, aperture=1.0, long_side=640)  # 16 px of radius per unit of disparity


def sheet(value: float) -> np.ndarray:
    return np.full((SIDE, SIDE), value, np.float32)


def layer(light: np.ndarray, alpha: np.ndarray, disparity: np.ndarray) -> SceneLayer:
    return SceneLayer(np.repeat(light[..., None], 3, axis=2), alpha, disparity)


def waves(seed: int) -> np.ndarray:
    """A picture in [0, 1] of detail down to about 4 px."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    parts = [np.sin(rng.uniform(-1.2, 1.2) * x + rng.uniform(-1.2, 1.2) * y + rng.uniform(0, 6)) for _ in range(6)]
    return np.asarray(0.5 + sum(parts) / 12, np.float32)


def box(top: int, bottom: int, left: int, right: int) -> np.ndarray:
    cover = sheet(0)
    cover[top:bottom, left:right] = 1
    return cover


def psnr(first: np.ndarray, second: np.ndarray, margin: int = 20) -> float:
    inner = slice(margin, -margin)
    error = to_srgb(first[inner, inner]) - to_srgb(second[inner, inner])
    return float(-10 * np.log10((error**2).mean()))


def test_circle_of_confusion_is_linear_in_disparity_as_the_thin_lens_equation_says() -> None:
    focal, f_number, pitch, near, far = 0.05, 1.8, 6e-6, 0.8, 20.0  # metres
    depth, in_focus = np.linspace(near, far, 50), 1.3
    image = 1 / (1 / focal - 1 / in_focus)  # the sensor stands where the focused depth is imaged
    imaged = 1 / (1 / focal - 1 / depth)
    diameter = focal / f_number * np.abs(image - imaged) / imaged  # similar triangles behind the lens
    scale = near  # disparity = near / depth is 1 at the nearest depth
    aperture = 1.0
    long_side = 40 * (focal / f_number / 2 * image / scale / pitch)  # what makes k the lens' own constant
    radius = defocus(scale / depth, scale / in_focus, aperture, long_side)
    assert np.allclose(np.abs(radius), diameter / 2 / pitch, rtol=1e-5)
    assert (radius[depth < in_focus] > 0).all()


def test_lens_points_share_the_centre_and_second_moment_of_the_disc() -> None:
    points = lens_points(256)
    assert np.allclose(points.mean(axis=0), 0, atol=1e-6)
    assert (points**2).sum(axis=1).mean() + 0.5 / 256 == pytest.approx(0.5, rel=1e-5)
    assert np.hypot(*points.T).max() < 1.01
    inside = np.hypot(*lens_points(4096).T) < 0.5
    assert inside.mean() == pytest.approx(0.25, abs=0.002)  # equal areas


@pytest.mark.parametrize("focus", [0.2, 0.5, 0.9])
def test_constant_planes_agree_with_the_layered_blur_where_that_is_exact(focus: float) -> None:
    lens = SceneLens(focus, 1.0, 640)
    layers = [layer(waves(0), sheet(1), sheet(0.2)), layer(waves(1), box(0, 96, 30, 70), sheet(0.9))]
    assert psnr(render_through_aperture(layers, lens), render(layers, lens)) > 45


def test_three_planes_whose_edges_are_apart_agree_with_the_layered_blur() -> None:
    second = layer(waves(1), box(0, 96, 0, 40), sheet(0.4))
    third = layer(waves(2), box(0, 96, 64, 96), sheet(0.95))
    layers = [layer(waves(0), sheet(1), sheet(0.1)), second, third]
    assert psnr(render_through_aperture(layers, LENS), render(layers, LENS)) > 45


def test_a_screen_behind_the_same_screen_is_hidden_from_the_lens_centre_only() -> None:
    """Two coinciding half planes far apart: coverages are not independent, which a blur of each cannot know."""
    near, far = layer(sheet(0.9), box(0, 96, 0, 48), sheet(0.9)), layer(sheet(0.5), box(0, 96, 0, 48), sheet(0.7))
    image = render_through_aperture([layer(sheet(0), sheet(1), sheet(0.0)), far, near], LENS, 1024)
    # Left of the edge by more than the far screen's 3.2 px but within the near one's 6.4: rays that miss the near
    # screen come from one side of the lens and all meet the far one, so nothing black shows.
    covered = image[48, 48 - 5, 0]
    share = np.mean(lens_points(4096)[:, 0] * 6.4 > -4.5)  # the pixel's centre is 4.5 px inside
    assert covered == pytest.approx(0.9 * share + 0.5 * (1 - share), abs=0.01)


def test_a_slanted_plane_agrees_with_rays_traced_in_space_one_by_one() -> None:
    side, lens, samples = 16, SceneLens(0.5, 1.0, 240), 36  # a cell of the lens stays below a pixel
    y, x = np.mgrid[:side, :side].astype(np.float32)
    disparity = (0.85 + 0.011 * x - 0.007 * y).astype(np.float32)
    light = np.random.default_rng(0).random((side, side, 3)).astype(np.float32)
    back = SceneLayer(
        np.full_like(light, 0.3), np.ones((side, side), np.float32), np.full((side, side), 0.1, np.float32)
    )
    cover = (np.random.default_rng(1).random((side, side)) > 0.3).astype(np.float32)
    image = render_through_aperture([back, SceneLayer(light, cover, disparity)], lens, samples)
    for row, column in [(7, 7), (5, 9), (10, 4)]:
        seen = [_traced(light, cover, 0.3, point, (column, row), lens) for point in lens_points(samples)]
        assert np.allclose(image[row, column], np.mean(seen, axis=0), atol=2e-3)


def _traced(light: np.ndarray, cover: np.ndarray, behind: float, point: np.ndarray, pixel, lens: SceneLens):
    """One ray in space. Pixel (x, y) at depth z is the point (x z, y z, z), and disparity is 1 / z.

    The plane is 0.85 z + 0.011 X − 0.007 Y = 1. The ray leaves the lens at −k·u, where k = aperture·long_side/40 makes
    an image of the lens' own size at unit disparity, and passes the point that the pixel images in the focal plane.
    """
    start = np.array([*(-lens.aperture * lens.long_side / 40 * point), 0.0])
    focused = np.array([*pixel, 1.0]) / lens.focus
    plane = np.array([0.011, -0.007, 0.85])
    share = (1 - plane @ start) / (plane @ (focused - start))
    hit = start + share * (focused - start)
    x, y = hit[:2] / hit[2]
    left, top = int(np.floor(x)), int(np.floor(y))
    seen, coverage = np.zeros(3), 0.0
    for down in (0, 1):
        for right in (0, 1):
            weight = (1 - abs(x - left - right)) * (1 - abs(y - top - down))
            weight *= cover[top + down, left + right]
            coverage += weight
            seen += weight * light[top + down, left + right]
    return seen + (1 - coverage) * behind


def test_a_curved_sheet_is_met_where_its_own_circle_of_confusion_says() -> None:
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    disparity = (0.9 + 0.15 * x**2 - 0.1 * y).astype(np.float32)
    ramp = np.broadcast_to(np.linspace(0, 1, SIDE, dtype=np.float32), (SIDE, SIDE))
    image = render_through_aperture([layer(ramp.copy(), sheet(1), disparity)], LENS, 64)
    radius = defocus(disparity, LENS.focus, LENS.aperture, LENS.long_side)
    column, row, seen = 70, 40, []
    for u, v in lens_points(64):  # bisection along the ray instead of fixed-point steps
        low, high = 0.0, 16.0
        for _ in range(40):
            middle = (low + high) / 2
            at_x, at_y = np.clip(column - middle * u, 0, 95), np.clip(row - middle * v, 0, 95)
            low, high = (middle, high) if _bilinear(radius, at_x, at_y) > middle else (low, middle)
        seen.append((column - low * u) / 95)
    assert image[row, column, 0] == pytest.approx(np.mean(seen), abs=2e-4)


def _bilinear(plane: np.ndarray, x: float, y: float) -> float:
    left, top = min(int(x), SIDE - 2), min(int(y), SIDE - 2)
    upper = plane[top, left] * (1 - x + left) + plane[top, left + 1] * (x - left)
    lower = plane[top + 1, left] * (1 - x + left) + plane[top + 1, left + 1] * (x - left)
    return float(upper * (1 - y + top) + lower * (y - top))


@pytest.mark.parametrize("disparity", [0.0, 0.55, 1.0])
def test_a_point_light_becomes_a_disc_of_its_radius_in_place_with_all_its_light(disparity: float) -> None:
    point = sheet(0)
    point[48, 40] = 50
    image = render_through_aperture([layer(point, sheet(1), sheet(disparity))], LENS, 1024)[..., 0]
    radius = float(LENS.radius(np.array([disparity], np.float32))[0])
    y, x = np.mgrid[:SIDE, :SIDE]
    assert image.sum() == pytest.approx(50, rel=1e-4)
    assert (image * x).sum() / 50 == pytest.approx(40, abs=0.02)
    assert (image * y).sum() / 50 == pytest.approx(48, abs=0.02)
    if radius > 2:
        level = 50 / (np.pi * radius**2)  # a disc's even brightness; half of it marks the edge
        assert (image > level / 2).sum() == pytest.approx(np.pi * radius**2, rel=0.04)
        assert image[48, 40] == pytest.approx(level, rel=0.05)


def test_a_slanted_point_light_keeps_its_light() -> None:
    point = sheet(0)
    point[48, 48] = 50
    slope = np.linspace(0.8, 1.0, SIDE, dtype=np.float32)
    image = render_through_aperture([layer(point, sheet(1), np.repeat(slope[None], SIDE, 0))], LENS, 1024)
    assert image[..., 0].sum() == pytest.approx(50, rel=5e-3)


def test_a_foreground_in_focus_is_never_stained_by_what_is_behind() -> None:
    cover = (waves(3) > 0.5).astype(np.float32)
    image = render_through_aperture([layer(sheet(9), sheet(1), sheet(0)), layer(waves(1), cover, sheet(0.5))], LENS)
    assert np.allclose(image[..., 0][cover == 1], waves(1)[cover == 1], atol=1e-6)
    assert np.allclose(image[..., 0][cover == 0], 9, atol=1e-4)


def test_a_closed_lens_sees_the_scene_sharp_and_nothing_of_an_empty_layer() -> None:
    layers = [layer(waves(0), sheet(1), sheet(0.1)), layer(waves(1), sheet(0), sheet(0.9))]
    image = render_through_aperture(layers, SceneLens(0.5, 0.0, 640), 8)
    assert np.allclose(image[..., 0], waves(0), atol=1e-6)


def test_no_samples_and_layers_of_two_sizes_are_refused() -> None:
    whole = layer(sheet(1), sheet(1), sheet(0))
    with pytest.raises(DofkitError, match="at least 1"):
        render_through_aperture([whole], LENS, 0)
    with pytest.raises(DofkitError, match="one size"):
        render_through_aperture([whole, SceneLayer(whole.light[:8], whole.alpha[:8], whole.disparity[:8])], LENS)
    with pytest.raises(DofkitError, match="background"):
        render_through_aperture([], LENS)

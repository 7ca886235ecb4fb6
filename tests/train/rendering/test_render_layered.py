"""Ground truth of the blur: layered rendering against closed forms."""

import numpy as np
import pytest

from dofkit.train.rendering.layered import SceneLayer, SceneLens, blur_layer, render
from dofkit.train.rendering.lens import disc

SIDE = 96
LENS = SceneLens(focus=0.5, aperture=1.0, long_side=640)  # 16 px of radius per unit of disparity


def sheet(value: float) -> np.ndarray:
    return np.full((SIDE, SIDE), value, np.float32)


def layer(light: np.ndarray, alpha: np.ndarray, disparity: np.ndarray) -> SceneLayer:
    return SceneLayer(np.repeat(light[..., None], 3, axis=2), alpha, disparity)


def test_radius_is_aperture_times_disparity_difference_times_a_fortieth_of_the_long_side() -> None:
    lens = SceneLens(focus=0.25, aperture=0.5, long_side=1280)
    assert lens.radius(np.array([0.25, 1.0, 0.0], np.float32)).tolist() == [0, 12, 4]


@pytest.mark.parametrize("slope", [0.0, 0.3, 0.9])
def test_a_uniform_surface_stays_uniform_however_its_disparity_varies(slope: float) -> None:
    disparity = np.linspace(0.5 - slope / 2, 0.5 + slope / 2, SIDE, dtype=np.float32)
    disparity = np.repeat(disparity[:, None], SIDE, axis=1)
    image = render([layer(sheet(0.3), sheet(1), disparity)], LENS)
    assert np.allclose(image, 0.3, atol=1e-4)


def test_a_point_light_becomes_a_disc_of_its_radiance_over_the_disc_area() -> None:
    point = sheet(0)
    point[48, 40] = 50.0
    image = render([layer(point, sheet(1), sheet(1.0))], LENS)  # 8 px
    assert np.allclose(image[40:57, 32:49, 1], 50 * disc(8.0), atol=1e-4)
    assert image.sum() == pytest.approx(150, rel=1e-4)


def test_the_layer_in_focus_is_unchanged() -> None:
    picture = np.random.default_rng(0).random((SIDE, SIDE)).astype(np.float32)
    image = render([layer(picture, sheet(1), sheet(0.5))], LENS)
    assert np.array_equal(image[..., 0], picture)


def test_a_sharp_half_plane_keeps_its_edge_before_a_blurred_background() -> None:
    cover = sheet(0)
    cover[:, :48] = 1
    image = render([layer(sheet(0.8), sheet(1), sheet(0.0)), layer(sheet(0.2), cover, sheet(0.5))], LENS)
    assert np.allclose(image[:, :48], 0.2, atol=1e-5)
    assert np.allclose(image[:, 48:], 0.8, atol=1e-5)  # behind a sharp edge, the background is seen in full


def test_a_blurred_half_plane_covers_a_sharp_background_by_the_discs_share() -> None:
    cover = sheet(0)
    cover[:, 24:72] = 1  # both edges lie far from the canvas' own border
    image = render([layer(sheet(0.8), sheet(1), sheet(0.5)), layer(sheet(0.2), cover, sheet(1.0))], LENS)
    columns = disc(8.0).sum(0)
    share = np.convolve(cover[0], columns, mode="same")
    assert np.allclose(image[48, :, 0], 0.2 * share + 0.8 * (1 - share), atol=1e-4)


def test_a_slanted_layer_is_sharp_where_it_crosses_the_focus_and_blurred_away_from_it() -> None:
    stripes = np.tile(np.array([0.2, 0.2, 0.8, 0.8], np.float32), (SIDE, SIDE // 4))
    disparity = np.repeat(np.linspace(0, 1, SIDE, dtype=np.float32)[:, None], SIDE, axis=1)
    image = render([layer(stripes, sheet(1), disparity)], LENS)
    contrast = image[..., 0].std(axis=1)
    assert contrast[SIDE // 2] > 0.25
    assert contrast[8] < 0.05
    assert contrast[-8] < 0.05


def test_coverage_stays_between_nothing_and_all() -> None:
    cover = (np.random.default_rng(1).random((SIDE, SIDE)) > 0.5).astype(np.float32)
    light, alpha = blur_layer(layer(sheet(1), cover, sheet(0.9)), LENS)
    assert alpha.min() >= 0
    assert alpha.max() <= 1
    assert np.allclose(light[..., 0], alpha, atol=1e-5)

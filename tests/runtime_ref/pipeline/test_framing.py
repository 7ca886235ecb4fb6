"""How photos of any shape lie in a preview's picture: ramps, whose values say where they are."""

from __future__ import annotations

import numpy as np
import pytest

from dofkit.runtime_ref.pipeline.framing import Frame

IMAGE, MAP = (20, 32), (10, 16)


def ramps(height: int, width: int) -> np.ndarray:
    """Red grows to the right from 0 to 1, green downwards."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([(columns + 0.5) / width, (rows + 0.5) / height, np.full_like(rows, 0.5, float)], 2).astype(
        np.float32
    )


@pytest.mark.parametrize(
    ("photo", "inner"),
    [((40, 64), (20, 32)), ((90, 60), (30, 20)), ((60, 60), (20, 20)), ((12, 16), (12, 16)), ((16, 12), (16, 12))],
)
def test_a_photo_comes_back_upright_reduced_and_whole(photo: tuple[int, int], inner: tuple[int, int]) -> None:
    frame = Frame(photo, IMAGE, MAP)
    assert frame.inner == inner
    image = frame.image_of(ramps(*photo))
    assert image.shape == (*IMAGE, 3)
    np.testing.assert_allclose(frame.result_of(image), ramps(*inner), atol=1e-6)


def test_beyond_the_photo_its_edge_is_repeated() -> None:
    image = Frame((20, 16), IMAGE, MAP).image_of(ramps(20, 16))  # turned: 20 rows become 20 columns, 16 of 20 rows
    np.testing.assert_allclose(image[16:], np.broadcast_to(image[15], (4, 32, 3)), atol=1e-6)
    np.testing.assert_allclose(image[:, 20:], np.broadcast_to(image[:, 19:20], (20, 12, 3)), atol=1e-6)


@pytest.mark.parametrize("map_size", [(40, 32), (10, 8), (7, 5)])
def test_a_map_lies_over_the_photo_in_the_graphs_picture(map_size: tuple[int, int]) -> None:
    frame = Frame((20, 16), IMAGE, MAP)  # turned: the photo's right is the graph's bottom
    values = frame.map_of(ramps(*map_size)[..., 0])
    assert values.shape == MAP
    # 16 of 20 rows are the photo's, so 8 of the map's 10: half a value of a coarse map is its edge.
    inside = (np.arange(8) + 0.5) / 8
    half = 0.5 / map_size[1]
    np.testing.assert_allclose(values[:8], np.broadcast_to(inside.clip(half, 1 - half)[:, None], (8, 16)), atol=0.01)
    np.testing.assert_allclose(values[8:], values[7].mean().clip(1 - half), atol=0.04)


def test_the_aperture_is_that_of_the_photos_long_side() -> None:
    assert Frame((60, 60), IMAGE, MAP).aperture(0.8) == pytest.approx(0.8 * 20 / 32)
    assert Frame((40, 64), IMAGE, MAP).aperture(0.8) == pytest.approx(0.8)

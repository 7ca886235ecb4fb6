"""Outlines of foregrounds: coverage in its range, thin where it should be thin, soft where it should be soft."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from dofkit.train.data import mattes
from dofkit.train.data.textures import curve, drawn

SIZE = (160, 200)
KINDS = [
    mattes.blob, mattes.slab, mattes.ring, mattes.fence, mattes.net, mattes.hair, mattes.fur,
    mattes.twigs, mattes.foliage, mattes.grass, mattes.blossoms, mattes.letters, mattes.smoke,
]  # fmt: skip


def some(kind: Callable, count: int = 6) -> list[np.ndarray]:
    return [kind(np.random.default_rng(seed), SIZE) for seed in range(count)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_outline_is_a_coverage_that_covers_something_and_leaves_something_free(kind: Callable) -> None:
    found = some(kind)
    for matte in found:
        assert matte.shape == SIZE
        assert matte.dtype == np.float32
        assert matte.min() >= 0
        assert matte.max() <= 1
    share = np.array([matte.mean() for matte in found])
    assert share.max() > 0.002
    assert share.min() < 0.9


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("size", [(16, 16), (50, 70)])
def test_an_outline_is_drawn_from_its_seed_at_any_size(seed: int, size: tuple[int, int]) -> None:
    first, again = (mattes.random_matte(np.random.default_rng(seed), size) for _ in range(2))
    assert first.shape == size
    assert np.array_equal(first, again)
    assert first.min() >= 0
    assert first.max() <= 1


@pytest.mark.parametrize("kind", [mattes.net, mattes.twigs, mattes.letters, mattes.foliage], ids=lambda k: k.__name__)
def test_thin_outlines_are_gone_after_an_opening_by_their_width(kind: Callable) -> None:
    for matte in some(kind):
        body = ndimage.grey_opening(matte, size=(17, 17))
        assert body.sum() < 0.3 * matte.sum() + 1


def test_a_solid_body_survives_an_opening() -> None:
    for matte in some(mattes.slab):
        if matte.mean() > 0.15:
            assert ndimage.grey_opening(matte, size=(9, 9)).sum() > 0.7 * matte.sum()


def test_smoke_has_no_edge_and_a_slab_has_one() -> None:
    steepest = [max(np.abs(np.diff(matte, axis=axis)).max() for axis in (0, 1)) for matte in some(mattes.smoke)]
    assert np.median(steepest) < 0.2
    assert max(np.abs(np.diff(matte, axis=1)).max() for matte in some(mattes.slab)) > 0.5


@pytest.mark.parametrize("width", [1.0, 2.0, 5.0])
def test_a_drawn_line_covers_its_length_times_its_width(width: float) -> None:
    line = (np.array([[20.0, 20.0], [20.0, 70.0]]), width)
    assert drawn((40, 90), [line]).sum() == pytest.approx(50 * width, rel=0.03)


def test_a_drawn_polygon_covers_its_area() -> None:
    triangle = np.array([[10.0, 10.0], [10.0, 50.0], [70.0, 10.0]])
    assert drawn((80, 60), bodies=[triangle]).sum() == pytest.approx(40 * 60 / 2, rel=0.03)


def test_a_curve_has_the_length_asked_for_and_without_bend_is_straight() -> None:
    rng = np.random.default_rng(0)
    points = curve(rng, np.zeros(2), heading=0.3, length=50, bend=1.0)
    assert np.hypot(*np.diff(points, axis=0).T).sum() == pytest.approx(50)
    straight = curve(rng, np.zeros(2), heading=0.3, length=50, bend=0)
    assert straight[-1] == pytest.approx([50 * np.sin(0.3), 50 * np.cos(0.3)], abs=1e-3)

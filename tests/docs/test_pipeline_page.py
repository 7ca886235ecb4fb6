"""docs/pipeline.md says what the pipeline does: its examples run, and its formulas alone give the same numbers."""

from __future__ import annotations

import doctest
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from dofkit.runtime_ref.pipeline import optics, portrait, pyramid
from dofkit.runtime_ref.pipeline.tiling import TilePlan

from . import by_the_page as page
from .step_vectors import FILE, HALO, HELD, LENS, TILE, step_vectors

PAGE = FILE.parent.parent / "pipeline.md"
SIDE = st.integers(1, 5000)


@pytest.fixture(scope="module")
def vectors() -> dict[str, np.ndarray]:
    return load_file(FILE)


def test_the_pages_examples_print_what_they_say() -> None:
    blocks = re.findall(r"^```pycon\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    example = doctest.DocTestParser().get_doctest("".join(blocks), {}, PAGE.name, str(PAGE), 0)
    assert len(example.examples) > 30
    failures = doctest.DocTestRunner().run(example).failed
    assert failures == 0


def test_the_step_vectors_are_what_the_package_computes(vectors: dict[str, np.ndarray]) -> None:
    computed = step_vectors()
    assert computed.keys() == vectors.keys()
    for name, values in vectors.items():
        assert computed[name].dtype == values.dtype
        np.testing.assert_allclose(computed[name], values, atol=1e-6, err_msg=name)


def test_the_step_vectors_have_the_shapes_that_the_page_names(vectors: dict[str, np.ndarray]) -> None:
    table = PAGE.read_text(encoding="utf-8").partition("## Step vectors")[2]
    named = set()
    for row in re.findall(r"^\| (`.*?) \| (.*?) \|", table, re.MULTILINE):
        names = re.findall(r"`(\w+)`", row[0])
        shapes = []
        for shape, twice in re.findall(r"`(\[[\d, ]+\])`( twice)?", row[1]):
            shapes += [tuple(map(int, shape.strip("[]").split(", ")))] * (2 if twice else 1)
        named |= set(names)
        assert row[1] == "the same" or [vectors[name].shape for name in names] == shapes, row
    assert named == vectors.keys()


def test_the_pages_formulas_alone_give_the_step_vectors(vectors: dict[str, np.ndarray]) -> None:
    photo, disparity = vectors["photo"], vectors["disparity"].astype(np.float64)
    levels = page.started(page.Levels.of(*photo.shape[:2]), disparity, LENS.focus, LENS.aperture)
    assert (levels.n, levels.factor(0), levels.long_side(0)) == (2, 4, 317.5)
    images = page.image_levels(photo, levels)
    expected = {
        "level_0": images[0],
        "level_1": images[1],
        "disparity_held": page.held(disparity, LENS.focus, HELD),
        "disparity_0_blur": page.disparity_of_level(disparity, levels, 0, blur=True),
        "disparity_0_upsampling": page.disparity_of_level(disparity, levels, 0, blur=False),
        "disparity_1": page.disparity_of_level(disparity, levels, 1, blur=False),
    }
    for name in ("0_blur", "0_upsampling", "1"):
        values = expected[f"disparity_{name}"]
        expected[f"defocus_{name}"] = page.defocus(values, levels, int(name[0]), LENS.focus, LENS.aperture)
    core = TILE - 2 * HALO
    top, left = page.corners(levels.size(0)[0], core)[-1][0], page.corners(levels.size(0)[1], core)[-1][0]
    assert (top, left) == (0, 304)
    expected["tile_image"] = page.cut(expected["level_0"], top, left, TILE, HALO)
    expected["tile_defocus"] = page.network_defocus(page.cut(expected["defocus_0_blur"], top, left, TILE, HALO))
    assert expected.keys() | {"photo", "disparity"} == vectors.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(vectors[name], values, atol=2e-5, err_msg=name)


def test_the_step_vectors_tell_the_rules_apart(vectors: dict[str, np.ndarray]) -> None:
    """A vector that would be the same under a simpler rule tests nothing."""
    levels = page.Levels.of(*vectors["photo"].shape[:2])
    pitch = (4 * 9 / 10, 4 * 1000 / 1270)
    mean = page.resample(vectors["disparity"], levels.size(0), pitch)
    largest = page.resample(vectors["disparity"], levels.size(0), pitch, largest=True)
    blur, upsampling = vectors["disparity_0_blur"], vectors["disparity_0_upsampling"]
    for one, other in ((mean, blur), (largest, upsampling), (blur, upsampling), (mean, upsampling)):
        assert (np.abs(one - other) > 0.05).sum() > 10


@given(SIDE, SIDE)
def test_sizes_of_levels_follow_the_page(height: int, width: int) -> None:
    ours, theirs = pyramid.Pyramid.of(height, width), page.Levels.of(height, width)
    assert ours.levels == theirs.n
    for k in range(theirs.n + 1):
        assert ours.factor(k) == theirs.factor(k)
        assert ours.size(k) == theirs.size(k)
        assert ours.long_side(k) == theirs.long_side(k)


@settings(max_examples=30)
@given(
    st.integers(1, 12), st.integers(1, 12), st.integers(1, 9), st.floats(0.2, 5.5), st.booleans(), st.integers(0, 99)
)
def test_resampling_follows_the_page(h: int, w: int, count: int, pitch: float, largest: bool, seed: int) -> None:
    values = np.random.default_rng(seed).random((h, w), np.float32)
    size, pitches = (count, count + 1), (pitch, pitch * 0.8)
    ours = pyramid.resample(values, size, pitches, nearest=largest)
    np.testing.assert_allclose(ours, page.resample(values, size, pitches, largest), atol=1e-5)


@settings(max_examples=30, derandomize=True)  # two splits may tie but for rounding
@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.floats(0, 1), st.integers(0, 99))
def test_focus_follows_the_page(h: int, w: int, x: float, y: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    disparity = np.where(rng.random((h, w)) < 0.4, rng.random((h, w)), 0.3 * rng.random()).astype(np.float32)
    assert optics.focus_at(disparity, x, y) == pytest.approx(page.focus_of_tap(disparity, x, y))
    assert optics.auto_focus(disparity) == pytest.approx(page.focus_by_itself(disparity))


@settings(max_examples=30, derandomize=True)  # 8 pixels may be met but for rounding
@given(st.floats(0, 1), st.floats(0, 1), st.integers(300, 1400), st.integers(0, 99))
def test_the_start_of_the_blur_and_defocus_follow_the_page(focus: float, aperture: float, side: int, seed: int) -> None:
    disparity = np.random.default_rng(seed).random((3, 4), np.float32)
    levels = page.started(page.Levels.of(40, side), disparity, focus, aperture)
    assert portrait.levels_for((40, side), disparity, portrait.Lens(focus, aperture)).levels == levels.n
    c = optics.defocus(disparity, focus, aperture, levels.long_side(0))
    np.testing.assert_allclose(c, page.defocus(disparity, levels, 0, focus, aperture), atol=1e-5)
    np.testing.assert_allclose(optics.network_defocus(c), page.network_defocus(c), atol=1e-6)


@settings(max_examples=30)
@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 20), st.integers(0, 9))
def test_tiles_follow_the_page(height: int, width: int, core: int, halo: int) -> None:
    picture = np.arange(height * width).reshape(height, width)
    plan = TilePlan.fixed((height, width), core + 2 * halo, halo)
    expected = [(*row, *column) for row in page.corners(height, core) for column in page.corners(width, core)]
    assert [(tile.top, tile.height, tile.left, tile.width) for tile in plan] == expected
    for tile in plan:
        cut = page.cut(picture, tile.top, tile.left, core + 2 * halo, halo)
        np.testing.assert_array_equal(plan.extract(picture, tile), cut)
        kept = cut[halo : halo + tile.height, halo : halo + tile.width]
        np.testing.assert_array_equal(plan.core(cut, tile), kept)


@pytest.mark.parametrize(("height", "width", "side"), [(70, 90, 128), (330, 140, 64), (33, 700, 16)])
def test_the_depth_networks_input_follows_the_page(height: int, width: int, side: int) -> None:
    photo = np.random.default_rng(3).integers(0, 256, (height, width, 3)).astype(np.uint8)
    ours = portrait.from_network(portrait.depth_input(photo, side))
    np.testing.assert_allclose(ours, page.depth_input(photo, side), atol=1e-5)

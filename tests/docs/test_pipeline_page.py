"""docs/pipeline.md says what the pipeline does: its examples run, and its formulas alone give the same numbers."""

from __future__ import annotations

import doctest
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.data import astronaut

from dofkit.runtime_ref.parity.cases import Picture, compute_case
from dofkit.runtime_ref.pipeline import optics, portrait, pyramid, resampling, subject
from dofkit.runtime_ref.pipeline.focus import Focus
from dofkit.runtime_ref.pipeline.plan import PipelinePlan, TileSpec
from dofkit.runtime_ref.pipeline.rules import HostRules
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.pipeline.stand_ins import stand_ins
from dofkit.runtime_ref.pipeline.tiling import TilePlan
from dofkit.train.session import default_plan, load_networks, torch_sessions

from . import by_the_page as page

PAGE = Path(__file__).parent.parent.parent / "docs" / "pipeline.md"
RULES = HostRules().model_dump()
SIDE = st.integers(1, 5000)


def test_the_pages_examples_print_what_they_say() -> None:
    blocks = re.findall(r"^```pycon\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    example = doctest.DocTestParser().get_doctest("".join(blocks), {}, PAGE.name, str(PAGE), 0)
    assert len(example.examples) > 30
    failures = doctest.DocTestRunner().run(example).failed
    assert failures == 0


@given(SIDE, SIDE)
def test_sizes_of_levels_follow_the_page(height: int, width: int) -> None:
    ours, theirs = pyramid.Pyramid.of(height, width), page.Levels.of(height, width, RULES)
    assert ours.levels == theirs.n
    for k in range(theirs.n + 1):
        assert ours.factor(k) == theirs.factor(k)
        assert ours.size(k) == theirs.size(k)
        assert ours.long_side(k) == theirs.long_side(k)


@settings(max_examples=60)
@given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.integers(1, 9),
    st.fractions(Fraction(1, 5), 6, max_denominator=700),
    st.integers(0, 99),
)
def test_resampling_follows_the_page(h: int, w: int, count: int, pitch: Fraction, seed: int) -> None:
    values = np.random.default_rng(seed).random((h, w), np.float32)
    size, pitches = (count, count + 1), (pitch, pitch * Fraction(4, 5))
    ours = resampling.resample(values, size, pitches)
    expected = page.resample(values, size, (float(pitches[0]), float(pitches[1])))
    np.testing.assert_allclose(ours, expected, atol=1e-5)


@settings(max_examples=60)
@given(st.integers(1, 300), st.integers(320, 700), st.integers(1, 40), st.integers(640, 900), st.integers(0, 99))
def test_the_largest_values_of_a_level_follow_the_page(height: int, width: int, h: int, w: int, seed: int) -> None:
    values = np.random.default_rng(seed).random((h, w), np.float32)
    ours, theirs = pyramid.Pyramid.of(height, width), page.Levels.of(height, width, RULES)
    pitch = ours.pitch(0, values.shape)
    if min(pitch) >= 1:
        nearest = resampling.largest(values, ours.size(0), pitch)
        np.testing.assert_array_equal(nearest, page.largest(values, theirs, 0))


@settings(max_examples=30, derandomize=True)  # two splits may tie but for rounding
@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.floats(0, 1), st.integers(0, 99))
def test_focus_follows_the_page(h: int, w: int, x: float, y: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    disparity = np.where(rng.random((h, w)) < 0.4, rng.random((h, w)), 0.3 * rng.random()).astype(np.float32)
    for rho in (0.0, 0.04, 0.25):
        ours = Focus(point=(x, y)).over(disparity, rho)
        assert ours == pytest.approx(page.focus_of_tap(disparity, x, y, rho, RULES))
    assert subject.auto_focus(disparity) == pytest.approx(page.focus_by_itself(disparity, RULES))


@settings(max_examples=30, derandomize=True)  # 8 pixels may be met but for rounding
@given(st.floats(0, 1), st.floats(0, 1), st.integers(300, 1400), st.integers(0, 99))
def test_the_start_of_the_blur_and_defocus_follow_the_page(focus: float, aperture: float, side: int, seed: int) -> None:
    disparity = np.random.default_rng(seed).random((3, 4), np.float32)
    levels = page.started(page.Levels.of(40, side, RULES), disparity, focus, aperture, RULES)
    assert portrait.levels_for((40, side), disparity, portrait.Lens(focus, aperture)).levels == levels.n
    c = optics.defocus(disparity, focus, aperture, levels.long_side(0))
    np.testing.assert_allclose(c, page.defocus(disparity, levels, 0, focus, aperture, RULES), atol=1e-5)
    np.testing.assert_allclose(optics.network_defocus(c), page.network_defocus(c, RULES), atol=1e-6)


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


@pytest.mark.parametrize(
    ("height", "width", "size"), [(70, 90, (128, 96)), (330, 140, (64, 64)), (330, 140, (120, 80)), (33, 700, (16, 40))]
)
def test_the_depth_networks_input_follows_the_page(height: int, width: int, size: tuple[int, int]) -> None:
    photo = np.random.default_rng(3).integers(0, 256, (height, width, 3)).astype(np.uint8)
    ours = portrait.from_network(portrait.depth_input(photo, size))
    np.testing.assert_allclose(ours, page.depth_input(photo, size), atol=1e-5)


@pytest.mark.parametrize(
    ("size", "map_size", "aperture", "n"),
    [
        ((45, 431), (30, 200), 1.0, 1),
        ((21, 901), (16, 501), 1.0, 2),
        ((30, 643), (20, 90), 0.2, 1),
        ((33, 60), (9, 9), 1.0, 0),
    ],
)
def test_a_rendering_follows_the_page(
    size: tuple[int, int], map_size: tuple[int, int], aperture: float, n: int
) -> None:
    rng = np.random.default_rng(5)
    photo = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    disparity = np.linspace(0, 1, map_size[1], dtype=np.float32)[None].repeat(map_size[0], axis=0)
    disparity[:, : map_size[1] // 3] = 0.2  # as far as the focus: tiles that are copied
    disparity[map_size[0] // 2, map_size[1] // 2 :] = 1.0
    blur, upsampling = TileSpec(tile=24, halo=4, align=2), TileSpec(tile=20, halo=2, align=1)
    plan = PipelinePlan(depth_height=128, depth_width=128, lens_blur=blur, guided_upsampling=upsampling)
    lens = portrait.Lens(focus=0.2, aperture=aperture)
    assert portrait.levels_for(size, disparity, lens).levels == n
    ours = portrait.PortraitPipeline(stand_ins(), plan).render(photo, disparity, lens, np.float32)
    renderer = page.Renderer.by(plan.model_dump(), RULES, page.stand_in_blur, page.stand_in_upsampling)
    theirs = renderer.render(photo, disparity.astype(np.float64), 0.2, aperture)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    copied = (np.abs(ours - photo / np.float32(255)).max(axis=2) < 1e-6).mean()
    assert 0.05 < copied < 0.9


def recorded_tile(picture: np.ndarray, tensor: np.ndarray, spec: TileSpec, scale: int = 1) -> tuple[int, int]:
    """Where in a picture a golden tensor `[1, C, T, T]` was cut: the corner of its core, at the plan's own size."""
    assert spec.tile is not None
    core, expected = spec.tile - 2 * spec.halo, np.squeeze(portrait.from_network(tensor))
    for top, _ in page.corners(picture.shape[0] // scale, core):
        for left, _ in page.corners(picture.shape[1] // scale, core):
            found = page.cut(picture, scale * top, scale * left, scale * spec.tile, scale * spec.halo)
            if np.allclose(found, expected, atol=1e-5):
                return top, left
    raise AssertionError("no tile of the picture is the golden tensor")


@pytest.mark.e2e
def test_the_golden_vectors_hold_what_the_page_says(weights: Path, tmp_path: Path) -> None:
    plan = default_plan(tile=96, depth_sizes=((128, 128),))
    pixels = np.asarray(Image.fromarray(astronaut()).resize((644, 484)))  # the least with an upsampling
    sessions = torch_sessions(load_networks(weights))
    case = compute_case(Picture("astronaut", "photo", pixels, ""), sessions, plan, tmp_path / "0.safetensors")
    arrays = case.arrays()
    photo, disparity = arrays.photo, arrays.output(Stage.DEPTH)[0, 0].astype(np.float64)
    image = portrait.from_network(arrays.inputs(Stage.DEPTH)["image"])
    np.testing.assert_allclose(
        image, page.depth_input(photo, page.depth_size(photo.shape[0], photo.shape[1], plan.model_dump())), atol=1e-5
    )
    assert case.lens.focus == pytest.approx(page.focus_by_itself(disparity, RULES), abs=6e-5)
    assert case.lens.aperture == 1
    levels = page.started(page.Levels.of(photo.shape[0], photo.shape[1], RULES), disparity, case.lens.focus, 1.0, RULES)
    images = page.image_levels(photo, levels)
    values = page.disparity_of_level(disparity, levels, 0, blur=True, rules=RULES)
    c = page.defocus(values, levels, 0, case.lens.focus, 1.0, RULES)
    inputs = arrays.inputs(Stage.LENS_BLUR)
    place = recorded_tile(page.network_defocus(c, RULES), inputs["defocus"], plan.lens_blur)
    assert recorded_tile(images[0], inputs["image"], plan.lens_blur) == place
    inputs = arrays.inputs(Stage.GUIDED_UPSAMPLING)
    assert levels.n == 1
    place = recorded_tile(images[0], inputs["image_low"], plan.guided_upsampling)
    assert recorded_tile(images[1], inputs["image_high"], plan.guided_upsampling, scale=2) == place

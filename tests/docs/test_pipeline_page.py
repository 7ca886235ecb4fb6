"""docs/pipeline.md says what the pipeline does: its examples run, and its formulas alone give the same numbers."""

from __future__ import annotations

import doctest
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import load_file
from skimage.data import astronaut

from dofkit.runtime_ref.parity.cases import Picture, compute_case
from dofkit.runtime_ref.pipeline import optics, portrait, pyramid, subject
from dofkit.runtime_ref.pipeline.focus import Focus
from dofkit.runtime_ref.pipeline.plan import PipelinePlan, TileSpec
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.runtime_ref.pipeline.tiling import TilePlan
from dofkit.train.session import default_plan, load_networks, torch_sessions

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
    for rho in (0.0, 0.04, 0.25):
        ours = Focus(point=(x, y)).over(disparity, rho)
        assert ours == pytest.approx(page.focus_of_tap(disparity, x, y, rho))
    assert subject.auto_focus(disparity) == pytest.approx(page.focus_by_itself(disparity))


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


@pytest.mark.parametrize(
    ("height", "width", "size"), [(70, 90, (128, 96)), (330, 140, (64, 64)), (330, 140, (120, 80)), (33, 700, (16, 40))]
)
def test_the_depth_networks_input_follows_the_page(height: int, width: int, size: tuple[int, int]) -> None:
    photo = np.random.default_rng(3).integers(0, 256, (height, width, 3)).astype(np.uint8)
    ours = portrait.from_network(portrait.depth_input(photo, size))
    np.testing.assert_allclose(ours, page.depth_input(photo, *size), atol=1e-5)


class StandIn:
    """A network of `[h, w, …]` pictures as a session of the pipeline."""

    runtime = "stand-in"

    def __init__(self, names: tuple[str, ...], network: Callable[..., np.ndarray]) -> None:
        self._names = names
        self._network = network

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        pictures = [np.squeeze(portrait.from_network(inputs[name])) for name in self._names]
        return portrait.to_network(self._network(*pictures).astype(np.float32))


def stand_in_blur(image: np.ndarray, c: np.ndarray) -> np.ndarray:
    """It sees three pixels to each side, and leaves [0, 1]."""
    spread = (image + np.roll(image, 3, axis=0) + np.roll(image, -2, axis=1)) / 3
    return spread * (1.3 - c[..., None]) - 0.1


def stand_in_upsampling(high: np.ndarray, low: np.ndarray, blurred: np.ndarray, c: np.ndarray) -> np.ndarray:
    """It sees one low-resolution pixel to a side."""

    def twice(picture: np.ndarray) -> np.ndarray:
        return picture.repeat(2, axis=0).repeat(2, axis=1)

    detail = high - twice(np.roll(low, 1, axis=1))
    return twice(blurred) + detail * (1.1 - np.abs(twice(c)))[..., None]


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
    sessions = {
        Stage.LENS_BLUR: StandIn(("image", "defocus"), stand_in_blur),
        Stage.GUIDED_UPSAMPLING: StandIn(
            ("image_high", "image_low", "blurred_low", "defocus_low"), stand_in_upsampling
        ),
    }
    blur, upsampling = TileSpec(tile=24, halo=4, align=2), TileSpec(tile=20, halo=2, align=1)
    plan = PipelinePlan(depth_height=128, depth_width=128, lens_blur=blur, guided_upsampling=upsampling)
    lens = portrait.Lens(focus=0.2, aperture=aperture)
    assert portrait.levels_for(size, disparity, lens).levels == n
    ours = portrait.PortraitPipeline(sessions, plan).render(photo, disparity, lens, np.float32)
    theirs = page.Renderer(
        stand_in_blur, stand_in_upsampling, page.Cut(24, 4), page.Cut(20, 2), plan.copy_below
    ).render(photo, disparity.astype(np.float64), 0.2, aperture)
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
    np.testing.assert_allclose(image, page.depth_input(photo, *plan.depth_shape_for(*photo.shape[:2])), atol=1e-5)
    assert case.lens.focus == pytest.approx(page.focus_by_itself(disparity), abs=6e-5)
    assert case.lens.aperture == 1
    levels = page.started(page.Levels.of(*photo.shape[:2]), disparity, case.lens.focus, 1.0)
    images = page.image_levels(photo, levels)
    c = page.defocus(page.disparity_of_level(disparity, levels, 0, blur=True), levels, 0, case.lens.focus, 1.0)
    inputs = arrays.inputs(Stage.LENS_BLUR)
    place = recorded_tile(page.network_defocus(c), inputs["defocus"], plan.lens_blur)
    assert recorded_tile(images[0], inputs["image"], plan.lens_blur) == place
    inputs = arrays.inputs(Stage.GUIDED_UPSAMPLING)
    assert levels.n == 1
    place = recorded_tile(images[0], inputs["image_low"], plan.guided_upsampling)
    assert recorded_tile(images[1], inputs["image_high"], plan.guided_upsampling, scale=2) == place

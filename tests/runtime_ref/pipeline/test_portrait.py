"""The pipeline: tiled equals untiled, sharp tiles are copied, levels and orientation are right, memory is bounded."""

from __future__ import annotations

import threading
import tracemalloc
from collections import deque
from collections.abc import Mapping

import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from dofkit.runtime_ref.pipeline.plan import PipelinePlan, TileSpec
from dofkit.runtime_ref.pipeline.portrait import DefocusLevels, Lens, PortraitPipeline, depth_input, levels_for
from dofkit.runtime_ref.pipeline.pyramid import Pyramid
from dofkit.runtime_ref.pipeline.resampling import resize
from dofkit.runtime_ref.pipeline.stage import Stage

PLAN = PipelinePlan(
    depth_height=128,
    depth_width=128,
    lens_blur=TileSpec(tile=48, halo=4, align=1),
    guided_upsampling=TileSpec(tile=40, halo=3, align=1),
)


class FakeDepth:
    runtime = "fake"

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        return inputs["image"].mean(axis=1, keepdims=True)


class FakeBlur:
    """Blurs where the defocus says so, with a known receptive radius of 4."""

    runtime = "fake"
    calls = 0

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        self.calls += 1
        image, weight = inputs["image"], np.abs(inputs["defocus"])
        return image * (1 - weight) + uniform_filter(image, 9, mode="constant", axes=(2, 3)) * weight


class FakeUpsampling:
    """Mixes the sharp and the bilinearly enlarged blurred picture; receptive radius 1 on the low side."""

    runtime = "fake"

    def __init__(self) -> None:
        self.defocus: list[np.ndarray] = []

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        self.defocus.append(inputs["defocus_low"])
        blurred, weight = (
            np.stack([resize(channel, (2 * channel.shape[0], 2 * channel.shape[1])) for channel in inputs[name][0]])[
                None
            ]
            for name in ("blurred_low", "defocus_low")
        )
        weight = np.abs(weight)
        return inputs["image_high"] * (1 - weight) + blurred * weight


class Shared:
    """A session that may be called by two threads at once; its first two calls go on only when both have begun."""

    runtime = "fake"

    def __init__(self, session: FakeBlur | FakeUpsampling) -> None:
        self._session = session
        self._both = threading.Barrier(2)
        self._lock = threading.Lock()
        self.calls = 0

    def side_by_side(self) -> tuple[Shared, int]:
        return self, 2

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        with self._lock:
            self.calls += 1
            call = self.calls
        if call <= 2:
            self._both.wait(timeout=60)  # alone it would break
        return self._session.run(inputs)


def fake_sessions() -> dict:
    return {Stage.DEPTH: FakeDepth(), Stage.LENS_BLUR: FakeBlur(), Stage.GUIDED_UPSAMPLING: FakeUpsampling()}


@pytest.fixture
def disparity() -> np.ndarray:
    rows, columns = np.mgrid[:60, :80] / 80
    return (0.5 + 0.5 * np.sin(6 * rows + 9 * columns)).astype(np.float32)


@pytest.mark.parametrize("size", [(1, 1), (37, 53), (320, 240), (333, 641), (700, 650), (3, 900)])
def test_tiled_equals_untiled_at_every_size(size: tuple[int, int], disparity: np.ndarray) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    plan = PLAN.model_copy(update={"copy_below": 0.0})
    lens = Lens(0.4, 1.0)
    tiled = PortraitPipeline(fake_sessions(), plan).render(pixels, disparity, lens, np.float32)
    whole = PortraitPipeline(fake_sessions(), plan.untiled()).render(pixels, disparity, lens, np.float32)
    assert tiled.shape == pixels.shape
    np.testing.assert_allclose(tiled, whole, atol=2e-6)


def test_the_networks_themselves_render_the_same_tiled_and_untiled(weights, photo: np.ndarray) -> None:
    from dofkit.train.session import default_plan, load_networks, torch_sessions

    sessions = torch_sessions(load_networks(weights))
    pixels, lens = np.tile(photo, (3, 2, 1)), Lens(0.0, 1.0)
    assert levels_for(pixels.shape, np.ones((1, 1)), lens).levels == 1
    disparity = np.random.default_rng(1).random((40, 50), np.float32)
    plan = default_plan(tile=96, depth_sizes=((128, 128),)).model_copy(update={"copy_below": 0.0})
    tiled = PortraitPipeline(sessions, plan).render(pixels, disparity, lens, np.float32)
    whole = PortraitPipeline(sessions, plan.untiled()).render(pixels, disparity, lens, np.float32)
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


def test_a_picture_in_focus_everywhere_is_copied_and_no_network_runs(disparity: np.ndarray) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (700, 500, 3)).astype(np.uint8)
    pipeline = PortraitPipeline({}, PLAN)  # a network that ran would raise a KeyError
    np.testing.assert_array_equal(pipeline.render(pixels, disparity, Lens(0.5, aperture=0.0)), pixels)


def test_only_tiles_with_defocus_are_computed() -> None:
    pixels = np.zeros((120, 120, 3), np.uint8)  # 3×3 cores of 40 pixels at level 0
    disparity = np.zeros((120, 120), np.float32)
    disparity[:20, :20] = 1.0
    sessions = fake_sessions()
    PortraitPipeline(sessions, PLAN).render(pixels, disparity, Lens(0.0, 1.0))
    assert sessions[Stage.LENS_BLUR].calls == 1


def test_tiles_side_by_side_give_the_same_bits_as_one_after_the_other(disparity: np.ndarray, photo: np.ndarray) -> None:
    pixels, lens = np.tile(photo, (3, 2, 1)), Lens(0.0, 1.0)
    serial = PortraitPipeline(fake_sessions(), PLAN).render(pixels, disparity, lens, np.float32)
    shared = fake_sessions()
    shared |= {stage: Shared(shared[stage]) for stage in (Stage.LENS_BLUR, Stage.GUIDED_UPSAMPLING)}
    parallel = PortraitPipeline(shared, PLAN).render(pixels, disparity, lens, np.float32)
    np.testing.assert_array_equal(parallel, serial)
    assert min(shared[stage].calls for stage in (Stage.LENS_BLUR, Stage.GUIDED_UPSAMPLING)) > 2


def test_an_error_in_one_of_several_tiles_ends_the_rendering(disparity: np.ndarray, photo: np.ndarray) -> None:
    class Broken(FakeBlur):
        def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
            raise RuntimeError("no memory")

    sessions = {**fake_sessions(), Stage.LENS_BLUR: Shared(Broken())}
    with pytest.raises(RuntimeError, match="no memory"):
        PortraitPipeline(sessions, PLAN).render(photo, disparity, Lens(0.4, 1.0))


def test_each_level_gets_the_defocus_of_its_own_pixels() -> None:
    pixels = np.zeros((640, 640, 3), np.uint8)
    sessions = fake_sessions()
    plan = PLAN.untiled()
    PortraitPipeline(sessions, plan).render(pixels, np.full((4, 4), 1.0, np.float32), Lens(0.25, 0.8))
    (low,) = sessions[Stage.GUIDED_UPSAMPLING].defocus
    # c = α(d − d_f)·320/40 = 0.8·0.75·8 = 4.8 pixels at level 0; networks get c / 8
    np.testing.assert_allclose(low, 0.6, rtol=1e-6)


def test_a_weak_blur_starts_a_level_higher() -> None:
    class Seen(FakeBlur):
        def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
            self.image, self.defocus = inputs["image"], inputs["defocus"]
            return super().run(inputs)

    pixels, disparity = np.zeros((1280, 960, 3), np.uint8), np.zeros((40, 30), np.float32)
    disparity[0, 0] = 1
    for aperture, size, levels in ((0.51, (320, 240), 2), (0.5, (640, 480), 1)):
        sessions = fake_sessions() | {Stage.LENS_BLUR: Seen()}
        PortraitPipeline(sessions, PLAN.untiled()).render(pixels, disparity, Lens(0.0, aperture))
        halo = 2 * PLAN.lens_blur.halo
        assert sessions[Stage.LENS_BLUR].image.shape[-2:] == (size[0] + halo, size[1] + halo)
        # c = α·d·long_side/40 in pixels of this level, whichever it is
        assert sessions[Stage.LENS_BLUR].defocus.max() == pytest.approx(aperture * size[0] / 40 / 8, rel=1e-6)
        assert len(sessions[Stage.GUIDED_UPSAMPLING].defocus) == levels


def test_rounding_to_bytes_is_the_only_difference_between_the_result_types(disparity: np.ndarray, photo) -> None:
    pipeline = PortraitPipeline(fake_sessions(), PLAN)
    exact = pipeline.render(photo, disparity, Lens(0.4, 1.0), np.float32)
    rounded = pipeline.render(photo, disparity, Lens(0.4, 1.0), np.uint8)
    np.testing.assert_array_equal(rounded, np.rint(exact * 255))


@pytest.mark.parametrize("side_by_side", [False, True])
def test_progress_counts_every_tile_once(disparity: np.ndarray, photo: np.ndarray, side_by_side: bool) -> None:
    seen: list[tuple[int, int]] = []
    sessions = fake_sessions()
    if side_by_side:
        sessions |= {stage: Shared(sessions[stage]) for stage in (Stage.LENS_BLUR, Stage.GUIDED_UPSAMPLING)}
    pixels = np.tile(photo, (3, 2, 1))
    pipeline = PortraitPipeline(sessions, PLAN)
    pipeline.render(pixels, disparity, Lens(0.0, 1.0), progress=lambda *state: seen.append(state))
    # 450 × 402 pixels: levels of 225 × 201 and of 450 × 402, in cores of 40 and of 34 pixels of the lower one
    total = 6 * 6 + 7 * 6
    assert seen == [(done, total) for done in range(1, total + 1)]


def test_the_depth_input_is_the_whole_photo_stretched_to_a_square() -> None:
    ramp = np.tile(np.linspace(0, 255, 1000).astype(np.uint8)[None, :, None], (600, 1, 3))
    image = depth_input(ramp, (128, 128))
    assert image.shape == (1, 3, 128, 128)
    np.testing.assert_allclose(image[0, 0, 64], (np.arange(128) + 0.5) / 128, atol=0.01)


def test_disparity_comes_from_the_depth_session(photo: np.ndarray) -> None:
    disparity = PortraitPipeline(fake_sessions(), PLAN).disparity(photo)
    assert disparity.shape == (128, 128)
    assert disparity.mean() == pytest.approx(photo.mean() / 255, abs=0.01)


def test_no_float_copy_of_the_photo_is_ever_made(disparity: np.ndarray) -> None:
    pixels = np.zeros((1500, 2000, 3), np.uint8)
    sessions = fake_sessions()
    sessions[Stage.GUIDED_UPSAMPLING].defocus = deque(maxlen=1)  # the fake's own memory is not what is measured
    tracemalloc.start()
    PortraitPipeline(sessions, PLAN).render(pixels, disparity, Lens(0.4, 1.0))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    float_copy = pixels.size * 4
    assert peak < float_copy, f"peak {peak / 1e6:.0f} MB; a float copy of the photo is {float_copy / 1e6:.0f} MB"


def test_a_disparity_map_as_large_as_the_photo_can_be_let_go_before_rendering(photo: np.ndarray) -> None:
    pixels, lens = np.tile(photo, (6, 6, 1)), Lens(0.4, 1.0)
    disparity = np.random.default_rng(2).random(pixels.shape[:2], np.float32)
    tracemalloc.start()
    defocused = DefocusLevels.of(pixels.shape, disparity, lens)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 0.4 * disparity.nbytes  # a quarter, a sixteenth, …, and the padding
    pipeline = PortraitPipeline(fake_sessions(), PLAN)
    expected = pipeline.render(pixels, disparity, lens)
    del disparity
    np.testing.assert_array_equal(pipeline.render_defocused(pixels, defocused), expected)


@pytest.mark.parametrize("size", [(333, 641), (700, 650), (3, 900)])
@pytest.mark.parametrize("copy_below", [0.0, 0.5])
def test_a_result_that_is_written_over_the_photo_is_the_same(
    size: tuple[int, int], copy_below: float, disparity: np.ndarray
) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (*size, 3)).astype(np.uint8)
    defocused = DefocusLevels.of(pixels.shape, disparity, Lens(0.4, 1.0))
    plan = PLAN.model_copy(update={"copy_below": copy_below})
    kept, expected = pixels.copy(), PortraitPipeline(fake_sessions(), plan).render_defocused(pixels, defocused)
    np.testing.assert_array_equal(pixels, kept)
    assert np.abs(expected.astype(int) - kept).max() > 20
    sessions = fake_sessions()
    sessions[Stage.GUIDED_UPSAMPLING] = Shared(sessions[Stage.GUIDED_UPSAMPLING])
    over = PortraitPipeline(sessions, plan).render_defocused(pixels, defocused, overwrite=True)
    assert over is pixels
    np.testing.assert_array_equal(over, expected)


def test_levels_of_a_portrait_photo() -> None:
    assert Pyramid.of(4032, 3024).levels == 4

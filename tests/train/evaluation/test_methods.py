"""What is compared: the pipeline sees the scene's lens, levels are the recurrence's, upsamplings get their inputs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from dofkit.runtime_ref.pipeline.optics import defocus
from dofkit.runtime_ref.pipeline.pyramid import as_float, halve
from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.train.evaluation.methods import (
    Classical,
    OtherUpsampling,
    Unblurred,
)
from dofkit.train.rendering.layered import SceneLens

from .fakes import LENS, fake_networks, fake_sessions

LONG = (8, 1280, 3)  # two upsamplings and few pixels


@pytest.fixture
def sharp() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, LONG).astype(np.uint8)


@pytest.fixture
def disparity() -> np.ndarray:
    return np.random.default_rng(1).random(LONG[:2]).astype(np.float32)


def test_the_pipeline_sees_the_radii_of_the_scenes_own_long_side(sharp: np.ndarray, disparity: np.ndarray) -> None:
    lens = SceneLens(focus=0.4, aperture=0.5, long_side=900)
    seen = lens.alone(sharp)
    radius = np.abs(defocus(disparity, seen.focus, seen.aperture, 1280))
    np.testing.assert_allclose(radius, lens.radius(disparity), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("long_side", "shapes"), [(1280, [(2, 320, 3), (4, 640, 3)]), (96, [(4, 640, 3)])])
def test_lower_levels_are_those_that_the_recurrence_passes_on(
    sharp: np.ndarray, disparity: np.ndarray, long_side: int, shapes: list[tuple[int, ...]]
) -> None:
    lens = replace(LENS, long_side=long_side)  # strong and weak
    sessions = fake_sessions()
    sessions[Stage.LENS_BLUR].answer = lambda inputs: inputs["image"] * 0.5 + np.abs(inputs["defocus"]) * 0.5
    networks, upsampling = fake_networks(sessions), sessions[Stage.GUIDED_UPSAMPLING]
    networks.pipeline.render(sharp, disparity, lens.alone(sharp), np.float32)  # 8 bits would pass on 16
    passed_on = [inputs["blurred_low"][0, :, 2:-2, 2:-2].transpose(1, 2, 0) for inputs in upsampling.seen]
    levels = networks.lower_levels(sharp, disparity, lens)
    assert [level.shape for level in levels] == shapes
    for level, expected in zip(levels, passed_on, strict=True):
        np.testing.assert_allclose(level, expected, atol=1e-6)


@dataclass(frozen=True)
class Sharp:
    """Returns the photo, and keeps what it was given."""

    name: str = "sharp"
    source: str = "a test"
    given: list[np.ndarray] = field(default_factory=list)

    def upsample(self, blurred_low, image_high, image_low, defocus_low) -> np.ndarray:
        self.given.extend([blurred_low, image_high, image_low, defocus_low])
        return image_high


def test_another_upsampling_gets_the_lowest_level_and_makes_the_whole(sharp: np.ndarray, disparity: np.ndarray) -> None:
    method = OtherUpsampling(fake_networks(), upsampler := Sharp())
    assert (method.name, method.source) == ("ours, sharp", "a test")
    lens = replace(LENS, long_side=1280)
    np.testing.assert_array_equal(method.render(sharp, disparity, lens), sharp)
    blurred_low, image_high, image_low, defocus_low = upsampler.given
    lowest = halve(halve(sharp, (4, 640)), (2, 320))
    np.testing.assert_allclose(blurred_low, lowest, atol=1e-6)
    np.testing.assert_allclose(image_low, lowest, atol=1e-6)
    np.testing.assert_array_equal(image_high, as_float(sharp))
    nearest = disparity.reshape(2, 4, 320, 4).max(axis=(1, 3))
    np.testing.assert_allclose(defocus_low, defocus(nearest, lens.focus, lens.aperture, 320), atol=1e-4)


def test_a_side_that_cannot_be_halved_is_padded_and_cropped(disparity: np.ndarray) -> None:
    sharp = np.random.default_rng(0).integers(0, 256, (7, 1277, 3)).astype(np.uint8)
    method = OtherUpsampling(fake_networks(), Sharp())
    np.testing.assert_array_equal(method.render(sharp, disparity, LENS), sharp)


def test_the_photo_itself_is_handed_on(sharp: np.ndarray, disparity: np.ndarray) -> None:
    assert Unblurred().render(sharp, disparity, LENS) is sharp


@dataclass(frozen=True)
class Lighter:
    """A renderer in float."""

    by: float
    name: str = "lighter"
    source: str = "a test"

    def render(self, image: np.ndarray, disparity: np.ndarray, lens: SceneLens) -> np.ndarray:
        return image + np.float32(self.by)


def test_a_classical_renderer_works_in_float_and_is_rounded(sharp: np.ndarray, disparity: np.ndarray) -> None:
    method = Classical(Lighter(1.4 / 255))
    assert (method.name, method.source) == ("lighter", "a test")
    np.testing.assert_array_equal(method.render(sharp, disparity, LENS), np.minimum(sharp.astype(int) + 1, 255))


def test_a_fingerprint_changes_with_the_settings_and_not_without() -> None:
    assert Classical(Lighter(0.1)).fingerprint == Classical(Lighter(0.1)).fingerprint
    assert Classical(Lighter(0.1)).fingerprint != Classical(Lighter(0.2)).fingerprint

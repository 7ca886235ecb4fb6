"""From deep to shallow through depth: the true depth and a good lens come near the truth; an unchanged photo not."""

import numpy as np
import pytest

from dofkit.runtime_ref.pipeline.stage import Stage
from dofkit.train.data.shallow_photos import PhotoSettings, ShallowPhoto, shallow_photo
from dofkit.train.evaluation.deep_to_shallow import PairScores, ThroughDepth, unchanged
from dofkit.train.networks.lens_blur import LensBlurNet
from dofkit.train.rendering.light_field import ApertureRenderer
from dofkit.train.weights import load_weights


@pytest.fixture(scope="module")
def photo() -> ShallowPhoto:
    return shallow_photo((4, 2), PhotoSettings(64, deep=0.0))


def span(photo: ShallowPhoto) -> float:
    """Pixels of radius between near and far, as the photo was taken."""
    return float(np.ptp(photo.disparity)) * photo.aperture * PhotoSettings().reach * 64


def test_the_true_depth_through_a_lens_comes_near_the_true_photo(photo: ShallowPhoto) -> None:
    plain = PairScores.of(unchanged, [photo])
    blur = load_weights(Stage.LENS_BLUR)
    assert isinstance(blur, LensBlurNet)
    for lens in (ApertureRenderer(expansion=False), blur):
        scores = PairScores.of(ThroughDepth(lambda _: photo.disparity, lens, span(photo)), [photo])
        assert scores.psnr > plain.psnr + 6
        assert scores.ssim > plain.ssim


def test_scores_of_the_truth_and_of_an_offset_are_known(photo: ShallowPhoto) -> None:
    assert PairScores.of(lambda _: photo.image, [photo]).ssim == pytest.approx(1)
    assert PairScores.of(lambda _: photo.image + np.float32(0.1), [photo]).psnr == pytest.approx(20, abs=1e-3)


def test_a_flat_depth_leaves_the_photo_as_it_is(photo: ShallowPhoto) -> None:
    flat = ThroughDepth(lambda image: np.ones(image.shape[:2], np.float32), ApertureRenderer(), 5.0)
    assert np.allclose(flat(photo.sharp), photo.sharp, atol=2e-3)


def test_the_unit_of_the_depth_does_not_matter(photo: ShallowPhoto) -> None:
    lens = ApertureRenderer(expansion=False)
    first, second = (
        ThroughDepth(lambda _, d=depth: d, lens, 5.0)(photo.sharp)
        for depth in (photo.disparity, 7 * photo.disparity - 3)
    )
    assert np.allclose(first, second, atol=1e-3)

"""The lens: discs, transfer functions and convolution against closed forms."""

import numpy as np
import pytest

from dofkit.train.rendering.lens import disc, disc_spectrum, from_spectrum, spectrum, to_linear, to_srgb


@pytest.mark.parametrize("radius", [0.0, 0.3, 0.5])
def test_a_disc_within_one_pixel_is_the_identity(radius: float) -> None:
    kernel = disc(radius)
    middle = kernel.shape[0] // 2
    assert kernel[middle, middle] == 1
    assert kernel.sum() == 1


@pytest.mark.parametrize("radius", [0.7, 1.0, 3.3, 8.0, 31.9])
def test_a_disc_keeps_all_light_and_has_the_lens_radius(radius: float) -> None:
    kernel = disc(radius)
    offset = np.arange(kernel.shape[0]) - kernel.shape[0] // 2
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    # a uniform disc's second moment along an axis is r² / 4; the soft edge adds a fraction of a pixel
    deviation = np.sqrt((kernel.sum(0) * offset**2).sum())
    assert 2 * deviation == pytest.approx(radius, abs=0.35)


def test_discs_change_continuously_with_the_radius() -> None:
    radii = np.arange(0.4, 9, 0.01)
    middles = [disc(float(r))[disc(float(r)).shape[0] // 2].max() for r in radii]
    assert np.abs(np.diff(middles)).max() < 0.04


def test_transfer_functions_are_inverse_and_follow_the_standard() -> None:
    encoded = np.linspace(0, 1, 256, dtype=np.float32)
    assert np.allclose(to_srgb(to_linear(encoded)), encoded, atol=2e-6)
    assert to_linear(np.array([0.5], np.float32))[0] == pytest.approx(0.214041, abs=1e-5)  # IEC 61966-2-1
    assert to_srgb(np.array([3.0, -1.0], np.float32)).tolist() == pytest.approx([1.0, 0.0])


@pytest.mark.parametrize("shape", [(40, 50), (41, 33)])
def test_the_spectrum_of_a_disc_moves_no_pixel(shape: tuple[int, int]) -> None:
    point = np.zeros(shape, np.float32)
    point[20, 15] = 1
    blurred = from_spectrum(spectrum(point) * disc_spectrum(4.0, shape), shape)
    assert np.allclose(blurred[16:25, 11:20], disc(4.0), atol=1e-6)


def test_a_disc_larger_than_the_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit into 16x16"):
        disc_spectrum(9.0, (16, 16))

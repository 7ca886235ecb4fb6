"""The one sRGB curve: against the standard's formula in plain numbers, and against Pillow's colour management."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageCms

from dofkit.runtime_ref.colour import to_linear, to_srgb
from dofkit.train.rendering import lens


def _light(encoded: float) -> float:
    """IEC 61966-2-1, 5.2, in double precision."""
    return encoded / 12.92 if encoded <= 0.04045 else ((encoded + 0.055) / 1.055) ** 2.4


def test_the_curve_is_the_standards() -> None:
    encoded = np.linspace(0, 1, 1001)
    light = np.array([_light(float(value)) for value in encoded])
    np.testing.assert_allclose(to_linear(encoded.astype(np.float32)), light, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(to_srgb(light.astype(np.float32)), encoded, atol=4e-7)


def test_the_curve_is_the_one_of_little_cms() -> None:
    """XYZ's Y of a grey is its light; Little CMS holds it in 16 bits."""
    levels = np.arange(256, dtype=np.uint8)
    picture = Image.fromarray(np.repeat(levels[None, :, None], 3, axis=2))
    lab = ImageCms.profileToProfile(
        picture, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    lightness = np.asarray(lab)[0, :, 0] * (100 / 255)
    light = np.where(lightness > 8, ((lightness + 16) / 116) ** 3, lightness / 903.3)
    np.testing.assert_allclose(to_linear(levels / 255), light, atol=6e-3)  # L* has 8 bits here


def test_it_turns_back_and_keeps_the_sign() -> None:
    values = np.linspace(-2, 2, 801, dtype=np.float32)
    np.testing.assert_allclose(to_srgb(to_linear(values)), values, atol=2e-6)
    np.testing.assert_array_equal(to_linear(-values), -to_linear(values))


def test_a_sensor_clips_light_before_it_is_encoded() -> None:
    light = np.array([-0.5, 0.0, 0.2, 1.0, 7.0], np.float32)
    np.testing.assert_array_equal(lens.to_srgb(light), to_srgb(light.clip(0, 1)))

"""Raising a blurred picture's resolution without learning: plain interpolation, and led by the sharp photo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ....runtime_ref.errors import DofkitError
from ....runtime_ref.pipeline.resampling import resize
from ..lens import Array


@dataclass(frozen=True)
class BilinearUpsampling:
    """Interpolation alone: what is in focus loses its detail."""

    name: str = "bilinear"
    source: str = "bilinear interpolation with half-pixel centres"

    def upsample(self, blurred_low: Array, image_high: Array, image_low: Array, defocus_low: Array) -> Array:
        """Enlarge `blurred_low` to the size of `image_high`; see `GuidedFilterUpsampling.upsample`."""
        _check(blurred_low, image_high, image_low, defocus_low)
        return np.clip(resize(blurred_low, image_high.shape[:2]), 0, 1).astype(np.float32)


@dataclass(frozen=True)
class GuidedFilterUpsampling:
    """He, Sun, Tang 2013, "Guided image filtering", with He and Sun 2015's coefficients at low resolution.

    In each window the blurred picture p is explained by the photo I, one colour at a time: q = a·I + b with
    a = cov(I, p) / (var(I) + ε) and b = mean(p) − a·mean(I). a and b are averaged over the windows, enlarged, and
    applied to the photo at full resolution. Where all is in focus a = 1 nearly; where all is blurred, nearly 0.

    Attributes:
        radius: of the square window in low-resolution pixels.
        epsilon: ε, the variance of sRGB values below which the photo is taken to be flat.
    """

    name: str = "guided filter"
    source: str = "guided filter (He et al. 2013; He and Sun 2015)"
    radius: int = 2
    epsilon: float = 1e-4

    def upsample(self, blurred_low: Array, image_high: Array, image_low: Array, defocus_low: Array) -> Array:
        """Enlarge `blurred_low`.

        Args:
            blurred_low: [h, w, 3], the photo blurred one level down, sRGB-encoded in [0, 1].
            image_high: [H, W, 3], the sharp photo.
            image_low: [h, w, 3], the same one level down.
            defocus_low: [h, w] in pixels of the low level; not used, given as to every way of upsampling.

        Returns:
            [H, W, 3] sRGB-encoded in [0, 1].

        Raises:
            DofkitError: when the sizes do not belong together.
        """
        _check(blurred_low, image_high, image_low, defocus_low)
        mean_image, mean_blurred = self._mean(image_low), self._mean(blurred_low)
        covariance = self._mean(np.multiply(image_low, blurred_low)) - mean_image * mean_blurred
        variance = np.maximum(self._mean(np.square(image_low)) - mean_image**2, 0)
        gain = np.divide(covariance, variance + np.float32(self.epsilon), dtype=np.float32)
        offset = np.subtract(mean_blurred, gain * mean_image, dtype=np.float32)
        size = image_high.shape[:2]
        enlarged = resize(self._mean(gain), size) * image_high + resize(self._mean(offset), size)
        return np.clip(enlarged, 0, 1).astype(np.float32)

    def _mean(self, planes: Array) -> Array:
        """Mean over each pixel's window, [h, w, 3]."""
        for axis in (0, 1):
            planes = np.asarray(ndimage.uniform_filter1d(planes, 2 * self.radius + 1, axis, mode="nearest"), np.float32)
        return planes


def _check(blurred_low: Array, image_high: Array, image_low: Array, defocus_low: Array) -> None:
    low, high = image_low.shape, image_high.shape
    if blurred_low.shape != low or defocus_low.shape != low[:2] or len(high) != 3 or high[2] != 3 or low[2:] != (3,):
        raise DofkitError(
            f"upsampling got blurred {list(blurred_low.shape)}, high {list(high)}, low {list(low)}, defocus "
            f"{list(defocus_low.shape)}; give [h, w, 3], [H, W, 3], [h, w, 3] and [h, w]"
        )

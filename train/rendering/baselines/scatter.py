"""The classical half of BokehMe: every pixel is scattered as a soft disc, what is nearer or farther regardless."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..layered import SceneLens
from ..lens import Array, from_spectrum, spectrum
from .planes import bordered, checked_defocus, levels_of, shares, without_border


@dataclass(frozen=True)
class Scatter:
    """Peng et al. 2022, "BokehMe: When neural rendering meets classical rendering", sec. 3.2.

    Each pixel p of radius r = |c(p)| adds w·I(p)^γ to the pixels up to ⌊r⌋ + 1 away along either axis, with
    w = (½ + ½·tanh(4(r − dist))) / (r² + 0.2); the sums are divided by the sum of w and raised to 1/γ. Nothing hides
    anything, so blurred backgrounds leak over sharp foregrounds; the paper mends that with a network.

    Ours: pixels scatter by a bank of radii through the FFT, a pixel in between by its two neighbours.

    Attributes:
        gamma: γ, 1 to 5 in the paper; 2.2 is close to linear light.
        spacing: of the bank's radii in pixels.
        highlight: brighten lights out of focus first, by 1 + 0.4·m_out·m_hi with m_out = tanh(200((d − d_f)² − 0.01))
            and m_hi = tanh(10(I − 220/255)), both ≥ 0, as the published program can.
    """

    name: str = "scatter"
    source: str = "BokehMe's classical renderer (Peng et al. 2022)"
    gamma: float = 2.2
    spacing: float = 0.25
    highlight: bool = False

    def render(self, image: Array, disparity: Array, lens: SceneLens) -> Array:
        """[H, W, 3] sRGB in [0, 1] and disparity [H, W] in [0, 1] → the photo through `lens`, [H, W, 3] sRGB."""
        radius = np.abs(checked_defocus(image, disparity, lens))
        if self.highlight:
            image = image + np.float32(0.4) * image * _highlights(image, disparity - np.float32(lens.focus))
        light = (image.astype(np.float32) ** np.float32(self.gamma)).transpose(2, 0, 1)
        levels = levels_of(radius, self.spacing)
        margin = int(levels[-1]) + 2
        planes = bordered(np.concatenate([light, np.ones_like(light[:1]), radius[None]]), margin)
        total = np.zeros((4, planes.shape[1], planes.shape[2] // 2 + 1), np.complex64)
        for level, share in zip(levels, shares(planes[4], levels), strict=True):
            if share.any():
                total += spectrum(planes[:4] * share) * _disc_spectrum(float(level), planes.shape[1:])
        sums = without_border(from_spectrum(total, planes.shape[1:]), margin, disparity.shape)
        blurred = np.clip(sums[:3] / np.maximum(sums[3:], 1e-9), 0, 1) ** np.float32(1 / self.gamma)
        return blurred.transpose(1, 2, 0).astype(np.float32)


def soft_disc(radius: float) -> Array:
    """The weights w of a pixel of `radius` ≥ 0: [2R + 1, 2R + 1] with R = ⌊radius⌋ + 1."""
    reach = int(radius) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    weight = (0.5 + 0.5 * np.tanh(4 * (radius - np.hypot(x, y)))) / (radius**2 + 0.2)
    return weight.astype(np.float32)


def _highlights(image: Array, offset: Array) -> Array:
    """m_out·m_hi, [H, W, 3] in [0, 1]."""
    outside = np.clip(np.tanh(200 * (offset**2 - 0.01)), 0, 1)
    bright = np.clip(np.tanh(10 * (image - 220 / 255)), 0, 1)
    return np.asarray(outside[..., None] * bright, np.float32)


def _disc_spectrum(radius: float, shape: tuple[int, ...]) -> npt.NDArray[np.complex64]:
    """Half spectrum of `soft_disc(radius)` around the origin of a plane of `shape` that wraps around."""
    kernel = soft_disc(radius)
    reach = kernel.shape[0] // 2
    plane = np.zeros(shape, np.float32)
    plane[: kernel.shape[0], : kernel.shape[1]] = kernel
    return spectrum(np.roll(plane, (-reach, -reach), axis=(0, 1)))

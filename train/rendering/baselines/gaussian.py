"""Gaussian blur by each pixel's own defocus: the cheapest blur that a depth map can steer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..layered import SceneLens
from ..lens import Array, from_spectrum, spectrum, to_linear, to_srgb
from .planes import bordered, checked_defocus, levels_of, shares, without_border


@dataclass(frozen=True)
class GaussianBlur:
    """out(q) = Σ_p G_σ(q)(q − p)·L(p) with σ = |c| / 2, in linear light.

    σ as in DEReD (Si et al. 2023), whose point spread exp(−2r²/c²) has it; there each neighbour spreads by its own c,
    here each pixel gathers by its own. Nothing is hidden by anything: sharp foregrounds glow into what is behind.

    Attributes:
        spacing: of the bank of blurred pictures, as a step of √σ; values in between are interpolated.
    """

    name: str = "gaussian"
    source: str = "per-pixel Gaussian, sigma = radius / 2 as in DEReD (Si et al. 2023)"
    spacing: float = 0.25

    def render(self, image: Array, disparity: Array, lens: SceneLens) -> Array:
        """[H, W, 3] sRGB in [0, 1] and disparity [H, W] in [0, 1] → the photo through `lens`, [H, W, 3] sRGB."""
        root = np.sqrt(np.abs(checked_defocus(image, disparity, lens)) / 2)
        levels = levels_of(root, self.spacing)
        margin = int(3 * float(levels[-1]) ** 2) + 2
        planes = bordered(to_linear(image).transpose(2, 0, 1), margin)
        waves = spectrum(planes)
        total = np.zeros((3, *disparity.shape), np.float32)
        for level, share in zip(levels, shares(root, levels), strict=True):
            if share.any():
                blurred = from_spectrum(waves * _transfer(float(level) ** 2, planes.shape[1:]), planes.shape[1:])
                total += share * without_border(blurred, margin, disparity.shape)
        return to_srgb(total.transpose(1, 2, 0))


def _transfer(sigma: float, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Half spectrum [H, W // 2 + 1] of a Gaussian: exp(−2π²σ²f²), f in cycles a pixel."""
    squared = np.fft.fftfreq(shape[0])[:, None] ** 2 + np.fft.rfftfreq(shape[1])[None] ** 2
    return np.exp(-2 * np.pi**2 * sigma**2 * squared).astype(np.float32)

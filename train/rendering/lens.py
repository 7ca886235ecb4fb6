"""The lens of the training data: sRGB and linear light, the disc of a defocused point, blur by it through the FFT."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import fft

from ...runtime_ref import colour
from ...runtime_ref.colour import to_linear

Array = npt.NDArray[np.float32]

__all__ = ["Array", "disc", "disc_spectrum", "from_spectrum", "spectrum", "to_linear", "to_srgb"]


def to_srgb(linear: Array) -> Array:
    """Linear light → sRGB-encoded values, clipped to [0, 1] as a sensor clips."""
    return colour.to_srgb(np.clip(linear, 0, 1))


def disc(radius: float) -> Array:
    """The image of a point light: a disc of `radius` ≥ 0 pixels whose edge is anti-aliased over one pixel.

    Returns:
        [2R + 1, 2R + 1] with R = ceil(radius), summing to 1; a single 1 in the middle for radii up to half a pixel.
    """
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    coverage = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1)
    return (coverage / coverage.sum()).astype(np.float32)


def spectrum(planes: Array) -> npt.NDArray[np.complex64]:
    """[..., H, W] → its half spectrum [..., H, W // 2 + 1]."""
    return np.asarray(fft.rfft2(planes))


def from_spectrum(half: npt.NDArray[np.complex64], shape: tuple[int, int]) -> Array:
    """The inverse of `spectrum` for planes of `shape` (H, W)."""
    return np.asarray(fft.irfft2(half, s=shape))


def disc_spectrum(radius: float, shape: tuple[int, int]) -> npt.NDArray[np.complex64]:
    """Half spectrum of `disc(radius)` centred on the origin of a plane of `shape` that wraps around."""
    kernel = disc(radius)
    reach = kernel.shape[0] // 2
    if kernel.shape[0] > min(shape):
        raise ValueError(f"a disc of radius {radius:.1f} px does not fit into {shape[0]}x{shape[1]} px")
    plane = np.zeros(shape, np.float32)
    plane[: kernel.shape[0], : kernel.shape[1]] = kernel
    return spectrum(np.roll(plane, (-reach, -reach), axis=(0, 1)))

"""How far two pictures are apart: what engineers compare, and what photographers see. One function a metric.

All pictures are float32 in [0, 1]; `reference` comes first. Maps are `[H, W]`, pictures `[H, W, C]`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DofkitError, require

Array = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]

EQUAL_PSNR = 200.0  # what equal pictures get: finite, so that JSON can hold it, and beyond float32's own noise


def max_abs(reference: Array, output: Array) -> float:
    """max |reference − output|, in units of the value range."""
    return float(np.abs(reference - output).max())


def psnr(reference: Array, output: Array, where: Mask | None = None) -> float:
    """Peak signal-to-noise ratio −10·log₁₀(mean squared error) in dB, peak 1; over a region if one is given."""
    error = np.square(reference.astype(np.float64) - output)
    mean = float(error.mean() if where is None else error[where].mean())
    return EQUAL_PSNR if mean == 0 else min(EQUAL_PSNR, -10 * float(np.log10(mean)))


def ssim(reference: Array, output: Array) -> float:
    """Structural similarity (Wang et al. 2004: Gaussian window σ = 1.5, K₁ = 0.01, K₂ = 0.03), by scikit-image.

    Pictures smaller than the 11-pixel window have no structure to compare: they get 1 when equal and 0 otherwise.
    """
    if min(reference.shape[:2]) < 11:
        return float(np.array_equal(reference, output))
    similarity = require("skimage.metrics", "onnx", "structural similarity")
    return float(
        similarity.structural_similarity(
            reference,
            output,
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            channel_axis=2 if reference.ndim == 3 else None,
        )
    )


def in_focus(radius: Array) -> Mask:
    """Pixels that a photographer expects sharp: circle of confusion of at most half a pixel.

    Args:
        radius: `[H, W]` signed radius in pixels.
    """
    return np.abs(radius) <= 0.5


def depth_edge_band(disparity: Array, width: int) -> Mask:
    """Pixels within `width` of a jump in disparity (> 0.1 between neighbours), where halos show.

    Args:
        disparity: `[H, W]` in [0, 1], 1 = nearest.
        width: reach of the band in pixels, Chebyshev distance.
    """
    jump = np.zeros(disparity.shape, bool)
    jump[1:] |= np.abs(np.diff(disparity, axis=0)) > 0.1
    jump[:, 1:] |= np.abs(np.diff(disparity, axis=1)) > 0.1
    for axis in (0, 1):
        jump = _dilated(jump, width, axis)
    return jump


def _dilated(mask: Mask, width: int, axis: int) -> Mask:
    padding = [(0, 0), (0, 0)]
    padding[axis] = (width, width)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(mask, padding), 2 * width + 1, axis)
    return np.asarray(windows.any(axis=-1), dtype=bool)


def highlights(picture: Array) -> Mask:
    """Pixels whose brightest colour exceeds 0.9, where bokeh shows."""
    return picture.max(axis=2) > 0.9


def colour_shift(reference: Array, output: Array) -> float:
    """max over the channels of |mean(output − reference)|: a tint, in units of the value range."""
    return float(np.abs((output - reference).mean(axis=(0, 1), dtype=np.float64)).max())


def picture(reference: Array, output: Array) -> dict[str, float]:
    """max_abs, psnr, ssim and colour_shift of two pictures `[H, W, C]`.

    Raises:
        DofkitError: the shapes differ, or the output is not finite.
    """
    if output.shape != reference.shape:
        raise DofkitError(f"the output's shape is {output.shape}, PyTorch's is {reference.shape}")
    if not np.isfinite(output).all():
        raise DofkitError("the output holds NaN or infinity")
    return {
        "max_abs": max_abs(reference, output),
        "psnr": psnr(reference, output),
        "ssim": ssim(reference, output),
        "colour_shift": colour_shift(reference, output),
    }


ERRORS = ("max_abs", "colour_shift")
"""The metrics of which less is better."""


def worst(name: str, values: list[float]) -> float:
    """The worst of several values of a metric: the greatest of an error, the least of a likeness."""
    return max(values) if name in ERRORS else min(values)

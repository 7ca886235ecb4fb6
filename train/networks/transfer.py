"""sRGB values to linear light and back by operations that every delegate has: products, square roots, one division.

Light adds up linearly, so a blur must leave the encoded values. Squares and roots (gamma 2) would be simpler, but half
white, half black then comes out 0.03 too dark; the cubic stays within 0.006 of sRGB everywhere. The coefficients are
ours: minimax fits (linear programming on 2001 levels, error measured in encoded values).
"""

from __future__ import annotations

import torch

CUBIC = (0.04728, 0.54867, 0.40405)
"""Linear light of an encoded value x: c₁x + c₂x² + c₃x³. They sum to 1: white stays white."""

ROOTS = (1.37935, -0.11891, -0.26044)
"""First guess of the inverse: r₁√l + r₂⁴√l + r₃l, within 0.006; one Newton step then leaves 3e-4."""

DARKEST = 1e-6
"""Least light: keeps the roots' gradients finite. It encodes to 2e-5 of white."""


def decode(encoded: torch.Tensor) -> torch.Tensor:
    """sRGB-encoded values in [0, 1] → linear light in [0, 1]."""
    first, second, third = CUBIC
    return encoded * (first + encoded * (second + encoded * third))


def encode(light: torch.Tensor) -> torch.Tensor:
    """Linear light → sRGB-encoded values in [0, 1], light clipped to [`DARKEST`, 1] as a sensor clips.

    The inverse of `decode`, not of the exact curve: what is not blurred comes back as it was.
    """
    light = light.clamp(DARKEST, 1.0)
    root = torch.sqrt(light)
    guess = ROOTS[0] * root + ROOTS[1] * torch.sqrt(root) + ROOTS[2] * light
    first, second, third = CUBIC
    slope = first + guess * (2 * second + guess * (3 * third))
    return (guess - (decode(guess) - light) / slope).clamp(0.0, 1.0)

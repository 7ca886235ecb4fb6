"""Ground truth with exact occlusion: rays from points of the lens through the layers of a scene.

From the lens centre a layer's point is seen at pixel p. From the point u of the unit lens disc it is seen at
p + c(p)·u, where c is its signed circle of confusion: the thin lens with disparity = 1/z. The pixel q therefore sees
each layer at p = q − c(p)·u. The layers are composited back to front ray by ray, and the rays averaged in linear
light. Unlike `layered.render`, which blurs coverage and light apart, what a ray meets first hides the rest even where
two defocused edges lie on one another. MPIB's generator (Peng et al. 2022) traces slanted planes the same way.

Ours: every ray stands for a cell of the lens, 1/samples of its area, so each layer is first blurred by a disc of
|c|/√samples. A few hundred rays then leave no dots.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch.nn.functional import grid_sample, pad

from ...runtime_ref.errors import DofkitError
from ...runtime_ref.pipeline.optics import defocus
from .layered import SceneLayer, SceneLens, blur_layer
from .lens import Array

FLAT = 0.02
"""Pixels of radius by which a constant or slanted layer may miss its plane; scenes are float32."""
ROWS = 32
"""Rows of a band: what all rays of one band touch stays in the processor's cache."""
STEPS = 2
"""Fixed-point steps on curved layers, after a first guess by the slope."""


def render_through_aperture(layers: Sequence[SceneLayer], lens: SceneLens, samples: int = 256) -> Array:
    """The scene through `lens`, ray by ray.

    Beyond the canvas its border goes on; pixels nearer to the border than the largest radius should be cropped off.
    A curved layer must not fold over itself: |∇c| < 1 (no point of it hides another from any point of the lens).

    Args:
        layers: back to front, of one size; the first covers everything.
        lens: what the scene is seen through.
        samples: rays a pixel, ≥ 1.

    Returns:
        [H, W, 3] linear radiance, not clipped.

    Raises:
        DofkitError: for no layers, layers of different sizes, or no samples.
    """
    if not layers or len({layer.alpha.shape for layer in layers}) > 1:
        raise DofkitError("render_through_aperture needs layers, all of one size; give at least a background")
    points = lens_points(samples)
    height, width = layers[0].alpha.shape
    image = torch.empty(3, height, width)
    with torch.inference_mode():
        surfaces = [_surface(layer, lens, samples) for layer in layers]
        for top in range(0, height, ROWS):
            bottom = min(top + ROWS, height)
            image[:, top:bottom] = _band(surfaces, points, CanvasWindow(top, bottom, 0, width))
    return np.ascontiguousarray(image.numpy().transpose(1, 2, 0))


def lens_points(samples: int) -> Array:
    """Centres of `samples` cells of equal area on the unit disc: the sunflower spiral of Vogel (1979).

    Returns:
        [samples, 2] of (x, y) with mean 0, so that the picture does not shift. With a cell's own extent of 1/√samples
        the mean squared radius is a full disc's, 1/2.
    """
    if samples < 1:
        raise DofkitError(f"{samples} rays a pixel: give at least 1")
    if samples == 1:
        return np.zeros((1, 2), np.float32)
    index = np.arange(samples)
    radius, angle = np.sqrt((index + 0.5) / samples), index * math.pi * (3 - math.sqrt(5))
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    points -= points.mean(axis=0)
    points *= math.sqrt((0.5 - 0.5 / samples) / (points**2).sum(axis=1).mean())
    return points.astype(np.float32)


@dataclass(frozen=True)
class CanvasWindow:
    """Rows top..bottom and columns left..right of the canvas, the latter exclusive."""

    top: int
    bottom: int
    left: int
    right: int

    def common(self, other: CanvasWindow) -> CanvasWindow | None:
        """What both cover, if anything."""
        top, bottom = max(self.top, other.top), min(self.bottom, other.bottom)
        left, right = max(self.left, other.left), min(self.right, other.right)
        return CanvasWindow(top, bottom, left, right) if top < bottom and left < right else None


class _Surface(Protocol):
    """A layer made ready for rays. Its planes are light times coverage and, unless it is opaque, 1 − coverage."""

    @property
    def touched(self) -> CanvasWindow:
        """Where any ray can meet it."""
        ...

    def views(self, points: Array, window: CanvasWindow) -> Iterator[torch.Tensor]:
        """What each point of the lens sees of it: [3 or 4, h, w]."""
        ...


def _surface(layer: SceneLayer, lens: SceneLens, samples: int) -> _Surface:
    """The layer blurred by one cell of the lens, as the simplest surface that its disparity allows."""
    light, alpha = blur_layer(layer, replace(lens, aperture=lens.aperture / math.sqrt(samples)))
    planes = torch.from_numpy(np.concatenate([light, 1 - alpha[..., None]], axis=2).transpose(2, 0, 1).copy())
    radius = defocus(layer.disparity, lens.focus, lens.aperture, lens.long_side).astype(np.float32)
    touched = _touched(alpha, radius)
    if alpha.min() >= 1 - 1e-6:  # opaque, so nothing behind it matters
        planes = planes[:3]
    slope, error = _plane_fit(radius)
    if error > FLAT:
        return _Curved(planes, torch.from_numpy(radius), touched)
    if max(abs(s) * side for s, side in zip(slope, radius.shape[::-1], strict=True)) > FLAT:
        return _Slanted(planes, torch.from_numpy(radius), touched, slope)
    reach = math.ceil(float(np.abs(radius).max())) + 1
    return _Flat(pad(planes[None], (reach,) * 4, mode="replicate")[0], float(radius.mean()), reach, touched)


def _touched(alpha: Array, radius: Array) -> CanvasWindow:
    """The box around all coverage, widened by the largest radius, within the canvas."""
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    if not rows.size:
        return CanvasWindow(0, 0, 0, 0)
    reach = math.ceil(float(np.abs(radius).max())) + 1
    height, width = alpha.shape
    top, bottom = max(int(rows[0]) - reach, 0), min(int(rows[-1]) + 1 + reach, height)
    return CanvasWindow(top, bottom, max(int(columns[0]) - reach, 0), min(int(columns[-1]) + 1 + reach, width))


def _plane_fit(radius: Array) -> tuple[tuple[float, float], float]:
    """Slope (along x, along y) of the plane through three corners, and the largest distance from it."""
    height, width = radius.shape
    origin = float(radius[0, 0])
    along_x = (float(radius[0, -1]) - origin) / max(width - 1, 1)
    along_y = (float(radius[-1, 0]) - origin) / max(height - 1, 1)
    plane = origin + along_x * np.arange(width)[None] + along_y * np.arange(height)[:, None]
    return (along_x, along_y), float(np.abs(radius - plane).max())


@dataclass(frozen=True)
class _Flat:
    """Constant disparity: every point of the lens sees the planes shifted."""

    planes: torch.Tensor  # continued by `reach` pixels on every side
    radius: float
    reach: int
    touched: CanvasWindow

    def views(self, points: Array, window: CanvasWindow) -> Iterator[torch.Tensor]:
        shifts = self.reach - points * np.float32(_sampled(torch.tensor(self.radius)))
        whole = np.floor(shifts).astype(int)
        for (x, y), (along_x, along_y) in zip(whole.tolist(), (shifts - whole).tolist(), strict=True):
            view = self.planes[:, window.top + y : window.bottom + y + 1, window.left + x : window.right + x + 1]
            view = torch.lerp(view[:, :, :-1], view[:, :, 1:], along_x) if along_x else view[:, :, :-1]
            yield torch.lerp(view[:, :-1], view[:, 1:], along_y) if along_y else view[:, :-1]


@dataclass(frozen=True)
class _Slanted:
    """Disparity affine in the pixel. p = q − c(p)·u has the closed solution c(p) = c(q) / (1 + ∇c·u)."""

    planes: torch.Tensor
    radius: torch.Tensor
    touched: CanvasWindow
    slope: tuple[float, float]

    def views(self, points: Array, window: CanvasWindow) -> Iterator[torch.Tensor]:
        x, y = _pixels(window)
        radius = _part(self.radius, window)
        for u, v in points.tolist():
            met = _sampled(radius / (1 + self.slope[0] * u + self.slope[1] * v))
            yield _look_up(self.planes, x - met * u, y - met * v)


@dataclass(frozen=True)
class _Curved:
    """Any other disparity: p by fixed-point steps from the slanted solution at q."""

    planes: torch.Tensor
    radius: torch.Tensor
    touched: CanvasWindow

    def views(self, points: Array, window: CanvasWindow) -> Iterator[torch.Tensor]:
        x, y = _pixels(window)
        radius = _part(self.radius, window)
        down, right = (_part(g, window) for g in torch.gradient(self.radius))
        for u, v in points.tolist():
            met = radius / (1 + right * u + down * v).clamp(0.5, 2)
            for _ in range(STEPS):
                met = _look_up(self.radius[None], x - met * u, y - met * v)[0]
            met = _sampled(met)
            yield _look_up(self.planes, x - met * u, y - met * v)


def _sampled(radius: torch.Tensor) -> torch.Tensor:
    """The radius to sample with. Bilinear interpolation blurs as well, about as a disc's soft edge does from 1 px on.

    A disc of up to half a pixel is a single pixel, as in `lens.disc`; in between the variances agree.
    """
    return torch.sign(radius) * torch.minimum(radius.abs(), (2 * radius.abs() - 1).clamp(min=0))


def _pixels(window: CanvasWindow) -> tuple[torch.Tensor, torch.Tensor]:
    """Columns [1, w] and rows [h, 1]."""
    columns = torch.arange(window.left, window.right, dtype=torch.float32)[None]
    return columns, torch.arange(window.top, window.bottom, dtype=torch.float32)[:, None]


def _part(plane: torch.Tensor, window: CanvasWindow) -> torch.Tensor:
    return plane[window.top : window.bottom, window.left : window.right]


def _look_up(planes: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """[C, H, W] at positions x, y [h, w] in pixels, bilinear → [C, h, w]."""
    height, width = planes.shape[1:]
    grid = torch.stack([x * (2 / max(width - 1, 1)) - 1, y * (2 / max(height - 1, 1)) - 1], dim=-1)
    return grid_sample(planes[None], grid[None], padding_mode="border", align_corners=True)[0]


def _band(surfaces: list[_Surface], points: Array, window: CanvasWindow) -> torch.Tensor:
    """Mean over the lens of what its points see in `window`: [3, h, w]."""
    parts = [(surface, surface.touched.common(window)) for surface in surfaces]
    seen = [(part, surface.views(points, part)) for surface, part in parts if part is not None]
    shape = (3, window.bottom - window.top, window.right - window.left)
    total, ray = torch.zeros(shape), torch.zeros(shape)
    for _ in range(len(points)):
        for part, views in seen:
            view = next(views)
            here = ray[:, part.top - window.top : part.bottom - window.top, part.left : part.right]
            if len(view) == 3:
                here.copy_(view)
            else:
                torch.addcmul(view[:3], here, view[3:], out=here)
        total += ray
    return total / len(points)

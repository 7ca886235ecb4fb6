"""Random layered scenes with exact depth of field: what lens blur and guided upsampling learn from.

A scene is drawn from its seed alone: the same seed and sources give the same scene on any machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from ...runtime_ref.pipeline.optics import LONG_SIDE_PER_RADIUS
from ...runtime_ref.pipeline.pyramid import LOWEST_LONG_SIDE
from ..rendering.aperture import render_through_aperture
from ..rendering.layered import SceneLayer, SceneLens, render
from ..rendering.lens import Array, to_srgb
from .corruption import corrupt
from .sources import Sources
from .surfaces import emit, foreground, ground, set_apart, sheet, surface
from .textures import Rng, Size

Truth = Callable[[Sequence[SceneLayer], SceneLens], Array]
"""Layers on a canvas with a margin, and a lens -> linear radiance [H, W, 3]."""

TruthName = Literal["aperture", "layered"]

RULES = 2
"""Version of the rules that scenes are drawn by; it rises when a seed's scene changes."""

EXTREME = 0.1
"""Share of lenses that are wide open and focused on the nearest or the farthest that there can be."""


@dataclass(frozen=True)
class SceneSettings:
    """What all scenes of a run share.

    Attributes:
        size: side of the square picture in pixels at full resolution.
        levels: doublings from the lowest level to the full size; the blur reaches 8 · 2^levels pixels.
        real: share of surfaces taken from the sources' pictures, where there are any.
        corrupted: share of training windows whose disparity is as bad as a depth network gives it.
        whole: each scene is a photo of its own; else a part of a photo whose long side is at most 320 · 2^levels.
    """

    size: int = 512
    levels: int = 2
    real: float = 0.7
    corrupted: float = 0.55
    whole: bool = False

    @property
    def unit(self) -> int:
        """Full-resolution pixels of one lowest-level pixel."""
        return 2**self.levels

    @property
    def long_side(self) -> int:
        """The longest side in pixels that the photo of a scene can have."""
        return self.size if self.whole else LOWEST_LONG_SIDE * self.unit

    @property
    def margin(self) -> int:
        """Pixels around the picture that its blur can see."""
        return math.ceil(self.long_side / LONG_SIDE_PER_RADIUS)


@dataclass(frozen=True)
class ComposedScene:
    """A picture, its disparity and lens, and what the lens makes of it.

    Attributes:
        sharp: [S, S, 3], all in focus, sRGB-encoded in [0, 1].
        blurred: [S, S, 3], through the lens, sRGB-encoded in [0, 1].
        disparity: [S, S] in [0, 1], 1 = nearest: of the nearest layer that covers at least half of the pixel.
        corrupted: [S, S] in [0, 1], the same as a bad depth network gives it.
        lens: focus, aperture and long side at full size (of a photo of which the scene may be a part).
    """

    sharp: Array
    blurred: Array
    disparity: Array
    corrupted: Array
    lens: SceneLens


def random_scene(
    seed: tuple[int, ...], settings: SceneSettings, sources: Sources, truth: Truth = render
) -> ComposedScene:
    """Draw one scene and show it through its lens, as `truth` renders it."""
    rng = np.random.default_rng(seed)
    side = settings.size + 2 * settings.margin
    layers = random_layers(rng, (side, side), settings, sources)
    lens = random_lens(rng, layers, settings)
    inner = slice(settings.margin, settings.margin + settings.size)
    sharp = render(layers, SceneLens(lens.focus, 0.0, lens.long_side))
    disparity = seen_disparity(layers)[inner, inner]
    return ComposedScene(
        to_srgb(sharp[inner, inner]),
        to_srgb(truth(layers, lens)[inner, inner]),
        disparity,
        corrupt(rng, disparity, settings.unit),
        lens,
    )


def truth_of(name: TruthName, samples: int) -> Truth:
    """The renderer of this name: "layered" blurs each layer by itself, "aperture" casts `samples` rays a pixel."""
    return render if name == "layered" else partial(render_through_aperture, samples=samples)


def random_layers(rng: Rng, size: Size, settings: SceneSettings, sources: Sources) -> list[SceneLayer]:
    """Background and one to four foregrounds on a canvas of `size`, far to near; none reaches through another."""
    count = int(rng.choice([1, 2, 3, 4], p=[0.4, 0.3, 0.2, 0.1]))
    depths = _depths(rng, count + 1)
    walls = np.concatenate([[0.0], (depths[:-1] + depths[1:]) / 2, [1.0]])
    picture = surface(rng, size, sources, settings.real)
    if rng.random() < 0.3:
        far = ground(rng, size, (float(depths[0]), float(depths[1])))
        walls[1] = depths[1]  # the first foreground may stand on it
    else:
        far = sheet(rng, size, depths[0], (walls[0], walls[1]))
    layers = [SceneLayer(emit(rng, picture), np.ones(size, np.float32), far)]
    for number in range(1, count + 1):
        front, alpha = foreground(rng, size, sources, settings.real)
        front = set_apart(rng, front, alpha, picture)
        layers.append(
            SceneLayer(emit(rng, front), alpha, sheet(rng, size, depths[number], (walls[number], walls[number + 1])))
        )
        picture = (picture + alpha[..., None] * (front - picture)).astype(np.float32)
    return layers


def random_lens(rng: Rng, layers: list[SceneLayer], settings: SceneSettings) -> SceneLens:
    """Focus mostly on the nearest layer or the farthest, at times elsewhere; any aperture, mostly large.

    Some lenses are the extreme ones, wide open and focused at an end: else hardly a scene would have the widest blur.
    """
    kind = rng.random()
    if kind < 0.8:
        layer = layers[-1] if kind < 0.4 else layers[0] if kind < 0.65 else layers[rng.integers(len(layers))]
        visible = layer.disparity[layer.alpha > 0.5]
        focus = float(np.median(visible)) if visible.size else 0.5
    else:
        focus = float(rng.uniform(0, 1))
    aperture = float(rng.uniform(0, 0.1)) if rng.random() < 0.06 else float(1 - 0.8 * rng.random() ** 1.5)
    if rng.random() < EXTREME:
        focus, aperture = float(rng.integers(2)), 1.0
    part = settings.whole or rng.random() < 0.5
    return SceneLens(focus, aperture, settings.long_side * (1.0 if part else float(rng.uniform(0.6, 1))))


def seen_disparity(layers: Sequence[SceneLayer]) -> Array:
    """Disparity [H, W] of the nearest layer that covers at least half of a pixel."""
    disparity = layers[0].disparity
    for layer in layers[1:]:
        disparity = np.where(layer.alpha > 0.5, layer.disparity, disparity)
    return disparity


def _depths(rng: Rng, count: int) -> Array:
    """Disparities of the layers, far to near: often the background lies well behind, or something close to the lens."""
    depths = np.sort(rng.uniform(0, 1, count))
    if rng.random() < 0.6:
        depths[0] *= 0.4
    if rng.random() < 0.35:
        depths[-1] = 1 - 0.4 * (1 - depths[-1])
    return depths.astype(np.float32)

"""Standing people, drawn: enough of their outline (head, arms, legs, dress) that a network without any photo of people
learns that such a shape stands upright on its feet. All of it is ours."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from .depth_cutouts import Cutout
from .textures import random_texture

SIDE = 240  # height of a drawn figure in pixels; half as wide
SKIN = ((244, 208, 177), (224, 172, 135), (198, 134, 96), (141, 85, 52), (92, 56, 38))
Point = tuple[float, float]


class DrawnFigures:
    """A fixed number of figures, drawn once in clothes of drawn textures."""

    def __init__(self, count: int = 120, seed: int = 0) -> None:
        self.cutouts = [_figure(np.random.default_rng((seed, index))) for index in range(count)]

    def cutout(self, rng: np.random.Generator) -> Cutout:
        """One of them."""
        return self.cutouts[int(rng.integers(len(self.cutouts)))]


class _Painter:
    """Parts of a figure over one another; lengths in heights of the figure, x from its middle line."""

    def __init__(self) -> None:
        self.picture = Image.new("RGB", (SIDE // 2, SIDE))
        self.coverage = Image.new("L", (SIDE // 2, SIDE))

    def polygon(self, fill: Image.Image, points: list[Point]) -> None:
        """A filled one."""
        shape = Image.new("L", self.coverage.size)
        ImageDraw.Draw(shape).polygon([self._at(point) for point in points], fill=255)
        self._over(fill, shape)

    def limb(self, fill: Image.Image, line: list[Point], width: float) -> None:
        """A thick line with round joints and ends."""
        shape = Image.new("L", self.coverage.size)
        brush, radius = ImageDraw.Draw(shape), width * SIDE / 2
        for start, end in pairwise(line):
            brush.line([self._at(start), self._at(end)], fill=255, width=max(1, round(2 * radius)))
        for x, y in (self._at(point) for point in line):
            brush.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
        self._over(fill, shape)

    def ellipse(self, fill: Image.Image, centre: Point, radii: Point) -> None:
        """A filled one, upright."""
        shape = Image.new("L", self.coverage.size)
        x, y = self._at(centre)
        a, b = radii[0] * SIDE, radii[1] * SIDE
        ImageDraw.Draw(shape).ellipse((x - a, y - b, x + a, y + b), fill=255)
        self._over(fill, shape)

    def cutout(self) -> Cutout:
        """What was painted, cropped, its outline a pixel soft."""
        coverage = self.coverage.filter(ImageFilter.GaussianBlur(0.6))
        bounds = self.coverage.getbbox()
        assert bounds is not None
        return Cutout(self.picture.crop(bounds), coverage.crop(bounds), whole=True)

    def _at(self, point: Point) -> Point:
        return SIDE / 4 + point[0] * SIDE, point[1] * SIDE

    def _over(self, fill: Image.Image, shape: Image.Image) -> None:
        self.picture.paste(fill, mask=shape)
        self.coverage = ImageChops.lighter(self.coverage, shape)


def _figure(rng: np.random.Generator) -> Cutout:
    """Seen from the front or a little from the side, arms and legs anyhow."""
    painter = _Painter()
    skin = Image.new("RGB", painter.picture.size, SKIN[int(rng.integers(len(SKIN)))])
    shade = int(rng.integers(10, 200))
    hair = Image.new("RGB", painter.picture.size, (shade, shade * 4 // 5, shade * 3 // 5))
    top, below, shoes = (_cloth(rng) for _ in range(3))
    shoulder, hip = float(rng.uniform(0.08, 0.125)), float(rng.uniform(0.06, 0.1))
    waist, hem = float(rng.uniform(0.45, 0.53)), float(rng.uniform(0.5, 0.62))
    if rng.random() < 0.4:  # long hair falls behind the shoulders
        painter.ellipse(hair, (0, 0.12), (0.06, float(rng.uniform(0.09, 0.15))))
    painter.limb(skin, [(0, 0.1), (0, 0.2)], 0.045)
    for side in (-1, 1):
        foot = side * float(rng.uniform(0.02, 0.1)) + float(rng.normal(0, 0.01))
        knee = side * hip * 0.6, 0.75
        painter.limb(below, [(side * hip * 0.6, waist), knee, (foot, 0.95)], float(rng.uniform(0.06, 0.085)))
        painter.ellipse(shoes, (foot + side * 0.01, 0.975), (0.035, 0.02))
    if rng.random() < 0.35:  # a skirt or a coat
        flare = float(rng.uniform(0.08, 0.16))
        end = float(rng.uniform(0.65, 0.85))
        painter.polygon(below, [(-hip, waist), (hip, waist), (flare, end), (-flare, end)])
    painter.polygon(top, [(-shoulder, 0.18), (shoulder, 0.18), (hip, hem), (-hip, hem)])
    for side in (-1, 1):
        elbow = side * (shoulder + float(rng.uniform(-0.01, 0.09))), float(rng.uniform(0.3, 0.38))
        hand = side * float(rng.uniform(0.0, 0.22)), float(rng.uniform(0.22, 0.55))
        painter.limb(top, [(side * (shoulder - 0.015), 0.2), elbow, hand], float(rng.uniform(0.04, 0.06)))
        painter.ellipse(skin, hand, (0.02, 0.022))
    painter.ellipse(hair, (0, 0.075), (0.056, 0.066))
    painter.ellipse(skin, (float(rng.normal(0, 0.008)), 0.085), (0.043, 0.057))
    return painter.cutout()


def _cloth(rng: np.random.Generator) -> Image.Image:
    """A drawn texture or a plain colour, lit from one side."""
    size = SIDE, SIDE // 2
    plain = np.broadcast_to(rng.random(3), (*size, 3))
    cloth = random_texture(rng, size) if rng.random() < 0.5 else plain
    light = np.linspace(rng.uniform(0.5, 1.1), rng.uniform(0.5, 1.1), size[1])[None, :, None]
    return Image.fromarray((np.clip(cloth * light, 0, 1) * 255).astype(np.uint8))

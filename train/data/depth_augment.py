"""How a scene becomes a training sample: the crop, the mirror, the camera's light and noise. All drawn from one rng."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch.utils.data import Dataset

from .depth import DepthSample, Scene, SceneSource, Shape, to_sample

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Share:
    """A source and how often it is drawn, relative to the others."""

    source: SceneSource
    weight: float


class DepthMix(Dataset[DepthSample]):
    """Endless random samples from several sources; sample i depends on (seed, i) alone.

    Args:
        shapes: (width, height) of the samples; a batch has one of them, drawn anew for each.
        batch: samples that are batched together, over all devices.
    """

    def __init__(self, shares: Sequence[Share], shapes: Sequence[Shape], batch: int, seed: int = 0) -> None:
        self.sources = [share.source for share in shares]
        self.weights = np.array([share.weight for share in shares]) / sum(share.weight for share in shares)
        self.shapes = shapes
        self.batch = batch
        self.seed = seed

    def __getitem__(self, index: int) -> DepthSample:
        shape = self.shapes[int(np.random.default_rng((self.seed, index // self.batch, 1)).integers(len(self.shapes)))]
        rng = np.random.default_rng((self.seed, index))
        scene = self.sources[rng.choice(len(self.sources), p=self.weights)].scene(rng)
        return augment(scene, shape, rng)


def augment(scene: Scene, shape: Shape, rng: np.random.Generator) -> DepthSample:
    """A random crop of a scene, resized to `shape`, mirrored and disturbed."""
    box = portrait_box(scene.subject, rng) if scene.subject is not None and rng.random() < 0.3 else None
    box = box or random_box(scene.image.size, shape[0] / shape[1], rng)
    sample = to_sample(scene, box, shape, mirror=rng.random() < 0.5)
    return sample._replace(image=disturb(sample.image, rng))


def random_box(extent: Shape, aspect: float, rng: np.random.Generator) -> Box:
    """A crop of a (width, height) picture, of `aspect` (width / height) up to a factor of 1.2: the largest that fits,
    or down to 60 % of its sides."""
    aspect = aspect * np.exp(rng.uniform(-0.18, 0.18))
    share = 1.0 if rng.random() < 0.3 else rng.uniform(0.6, 1)
    width = share * min(extent[0], extent[1] * aspect)
    return _place(width, width / aspect, rng.random(2), extent)


def portrait_box(subject: Image.Image, rng: np.random.Generator) -> Box | None:
    """A crop as a portrait photographer chooses it: from above the subject's top down to somewhere along the body.

    Photos of whole people so also teach half-length portraits and heads. None where the mask is empty.
    """
    bounds = subject.getbbox()
    if bounds is None:
        return None
    left, top, right, bottom = bounds
    extent = subject.size
    height = rng.uniform(0.3, 1.0) * (bottom - top)
    width = height * np.exp(rng.uniform(np.log(0.6), np.log(1.6)))
    above = rng.uniform(0.02, 0.25) * height
    centre = (left + right) / 2 + rng.normal(0, 0.1) * width
    width, height = min(width, extent[0]), min(height + above, extent[1])
    x = float(np.clip(centre - width / 2, 0, extent[0] - width))
    y = float(np.clip(top - above, 0, extent[1] - height))
    return x, y, x + width, y + height


def disturb(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Exposure, contrast, tint and gamma; now and then grey, soft, noisy or a poor JPEG. [3, H, W] in [0,1] both."""
    gain = np.exp(rng.normal(0, 0.15) + rng.normal(0, 0.06, 3)).astype(np.float32)
    pixels = image.numpy() * gain[:, None, None]
    pixels = (pixels - 0.5) * np.float32(np.exp(rng.normal(0, 0.15))) + 0.5
    pixels = np.clip(pixels, 0, 1) ** np.float32(np.exp(rng.normal(0, 0.2)))
    if rng.random() < 0.05:
        pixels = np.repeat(pixels.mean(axis=0, keepdims=True), 3, axis=0)
    if rng.random() < 0.3:
        pixels = _reencode(pixels, rng)
    if rng.random() < 0.2:
        pixels = pixels + rng.normal(0, rng.uniform(0, 0.04), pixels.shape).astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(np.clip(pixels, 0, 1), dtype=np.float32))


def _reencode(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    picture = Image.fromarray((pixels.transpose(1, 2, 0) * 255).astype(np.uint8))
    if rng.random() < 0.5:
        picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.2))))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=int(rng.integers(40, 95)))
    return np.asarray(Image.open(buffer), np.float32).transpose(2, 0, 1) / 255


def _place(width: float, height: float, at: np.ndarray, extent: tuple[int, int]) -> Box:
    width, height = min(width, extent[0]), min(height, extent[1])  # rounding may have made them a hair larger
    x, y = at[0] * (extent[0] - width), at[1] * (extent[1] - height)
    return float(x), float(y), min(float(x + width), extent[0]), min(float(y + height), extent[1])

"""From a photo sharp everywhere to a shallow one, by what was learned without any pair: scored on true pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from ...runtime_ref.pipeline.optics import NETWORK_RADIUS
from ..data.generated_set import GeneratedSet
from ..data.shallow_photos import ShallowPhoto
from ..networks.cyclegan import Translator
from ..networks.lens_blur import LensBlurNet
from ..rendering.lens import Array
from ..rendering.light_field import ApertureRenderer

Translate = Callable[[Array], Array]
"""Deep photo [S, S, 3] → shallow photo [S, S, 3], both sRGB-encoded in [0, 1]."""

TAP = 0.25
"""Radius of the middle that is put in focus, in units of half the side."""


@dataclass(frozen=True)
class PairScores:
    """How near translated photos are to the true shallow ones, means over photos: PSNR in dB, SSIM."""

    psnr: float
    ssim: float

    @classmethod
    def of(cls, translate: Translate, photos: Sequence[ShallowPhoto]) -> PairScores:
        """Of one way to translate."""
        ours = _stacked([translate(photo.sharp) for photo in photos])
        truth = _stacked([photo.image for photo in photos])
        psnr = peak_signal_noise_ratio(ours, truth, data_range=1.0, dim=(1, 2, 3), reduction="elementwise_mean")
        ssim = structural_similarity_index_measure(ours, truth, data_range=1.0)
        assert isinstance(ssim, torch.Tensor)
        return cls(float(psnr), float(ssim))


@dataclass(frozen=True)
class ThroughDepth:
    """Depth, then a lens: what Kaneko calls AR-GAN-DR where both were learned from generated photos.

    Attributes:
        depth: photo [S, S, 3] → disparity [S, S] in any unit.
        lens: blurs by a signed radius; a lens blur network or a generator's own lens.
        span: pixels of radius between the nearest and the farthest of a picture.
    """

    depth: Callable[[Array], Array]
    lens: ApertureRenderer | LensBlurNet
    span: float

    @torch.inference_mode()
    def __call__(self, image: Array) -> Array:
        """The photo with its middle in focus."""
        disparity = self.depth(image)
        side = image.shape[0]
        axis = (np.arange(side) + 0.5) * (2 / side) - 1
        focus = np.median(disparity[np.hypot(axis[None], axis[:, None]) < TAP])
        defocus = (disparity - focus) * np.float32(self.span / max(float(np.ptp(disparity)), 1e-6))
        picture, radius = _stacked([image]), torch.from_numpy(defocus.astype(np.float32))[None, None]
        return _blurred(self.lens, picture, radius)[0].permute(1, 2, 0).numpy()


def translated_by(network: Translator) -> Translate:
    """A CycleGAN's way."""

    @torch.inference_mode()
    def translate(image: Array) -> Array:
        return network(_stacked([image]))[0].permute(1, 2, 0).numpy()

    return translate


def unchanged(image: Array) -> Array:
    """The deep photo as it is."""
    return image


def span_of(made: GeneratedSet) -> float:
    """Pixels of radius between near and far at full aperture, the mean over a generated set; the 2 % nearest and
    farthest pixels of each photo are left out."""
    spans = []
    for number in made.numbers:
        far, near = np.percentile(made.disparity(number), [2, 98])
        spans.append(near - far)
    return float(np.mean(spans)) * made.record.settings.reach * made.record.settings.size * 2


def _blurred(lens: ApertureRenderer | LensBlurNet, picture: torch.Tensor, radius: torch.Tensor) -> torch.Tensor:
    if isinstance(lens, ApertureRenderer):
        return lens(picture, radius)
    halo = lens.halo
    share = (radius / NETWORK_RADIUS).clamp(-1, 1)
    edged = (F.pad(maps, (halo,) * 4, mode="replicate") for maps in (picture, share))
    return lens(*edged)[..., halo:-halo, halo:-halo].clamp(0, 1)


def _stacked(pictures: Sequence[Array]) -> torch.Tensor:
    """[N, 3, S, S]."""
    return torch.from_numpy(np.stack(pictures).transpose(0, 3, 1, 2).copy())

"""What is compared: the networks in their pipeline, other upsamplings, classical renderers, and the photo itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ...runtime_ref.enums import TextEnum
from ...runtime_ref.parity.reports.pictures import to_bytes
from ...runtime_ref.pipeline.optics import defocus
from ...runtime_ref.pipeline.portrait import PortraitPipeline, levels_for
from ...runtime_ref.pipeline.pyramid import as_float, build_levels, disparity_at_level
from ..rendering.baselines import Renderer, Upsampler
from ..rendering.layered import SceneLens
from ..rendering.lens import Array
from .scores import Bytes

VERSION = 1
"""Of the code behind all pictures: the pipeline, the networks' arithmetic, the baselines. Raise it when one of them
computes another picture of the same weights and settings, and kept scores are computed anew."""


class DisparitySource(TextEnum):
    """The disparity that a method is given."""

    TRUE = "true"
    CORRUPTED = "corrupted"  # the true one with a depth network's usual mistakes
    PREDICTED = "predicted"  # the depth network's, its scale and shift fitted to the true one


class Group(TextEnum):
    """The part of the table that a method belongs to; the value is its heading."""

    OURS = "ours"
    CLASSICAL = "classical renderers"
    UPSAMPLING = "ours with another upsampling"
    REPLACED = "another network in place of the lens blur"
    ABLATION = "ablations"
    PHOTO = "the photo itself"


ALL = tuple(DisparitySource)


class Method(Protocol):
    """Something that renders a scene.

    Attributes:
        name: unique in an evaluation.
        group: what it is compared as.
        source: a paper, or one line on what it is.
        kinds: the disparities it is scored with.
        fingerprint: of all that its pictures depend on besides the scene, `VERSION` included: a change computes them
            anew.
    """

    @property
    def name(self) -> str: ...
    @property
    def group(self) -> Group: ...
    @property
    def source(self) -> str: ...
    @property
    def kinds(self) -> tuple[DisparitySource, ...]: ...
    @property
    def fingerprint(self) -> str: ...

    def render(self, sharp: Bytes, disparity: Array, lens: SceneLens) -> Bytes:
        """[H, W, 3] of 8 bit through `lens`, by a disparity [H, W] in [0, 1]."""
        ...


def digest(*parts: object) -> str:
    """24 hexadecimal digits that stand for these parts' texts."""
    return hashlib.sha256("\n".join(str(part) for part in parts).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Unblurred:
    """The photo as it is: what must be beaten. It sees no disparity, so it is scored once."""

    name: str = "all in focus"
    group: Group = Group.PHOTO
    source: str = "no blur at all"
    kinds: tuple[DisparitySource, ...] = (DisparitySource.TRUE,)
    fingerprint: str = "unblurred"

    def render(self, sharp: Bytes, disparity: Array, lens: SceneLens) -> Bytes:
        return sharp


@dataclass(frozen=True)
class Classical:
    """A classical renderer at full resolution."""

    renderer: Renderer
    group: Group = Group.CLASSICAL
    kinds: tuple[DisparitySource, ...] = ALL

    @property
    def name(self) -> str:
        return self.renderer.name

    @property
    def source(self) -> str:
        return self.renderer.source

    @property
    def fingerprint(self) -> str:
        return digest(VERSION, self.renderer)

    def render(self, sharp: Bytes, disparity: Array, lens: SceneLens) -> Bytes:
        return to_bytes(self.renderer.render(as_float(sharp), disparity, lens))


@dataclass(frozen=True)
class Networks:
    """The networks as photographers use them: tiled, recurrent, 8-bit output.

    Attributes:
        pipeline: lens blur and guided upsampling over PyTorch sessions.
    """

    name: str
    pipeline: PortraitPipeline = field(repr=False)
    fingerprint: str
    group: Group = Group.OURS
    source: str = "lens blur and guided upsampling"
    kinds: tuple[DisparitySource, ...] = ALL

    def render(self, sharp: Bytes, disparity: Array, lens: SceneLens) -> Bytes:
        return self.pipeline.render(sharp, disparity, lens.alone(sharp))

    def lower_levels(self, sharp: Bytes, disparity: Array, lens: SceneLens) -> list[Array]:
        """The recurrence's pictures below the top, lowest first, [h, w, 3] in [0, 1].

        A level's picture is what the pipeline makes of the photo averaged down to that level: the levels below are the
        same (exactly so for sides that are multiples of 2^levels, but for the 16 bits that are kept between levels).
        """
        seen = lens.alone(sharp)
        images = build_levels(sharp, levels_for(sharp.shape, disparity, seen))[:-1]
        return [self.pipeline.render(image, disparity, seen, dtype=np.float32) for image in images]


@dataclass(frozen=True)
class OtherUpsampling:
    """The lens blur network at the lowest level, brought to full size in one step by something else."""

    networks: Networks
    upsampler: Upsampler
    group: Group = Group.UPSAMPLING
    kinds: tuple[DisparitySource, ...] = (DisparitySource.TRUE, DisparitySource.CORRUPTED)

    @property
    def name(self) -> str:
        return f"{self.networks.name}, {self.upsampler.name}"

    @property
    def source(self) -> str:
        return self.upsampler.source

    @property
    def fingerprint(self) -> str:
        return digest(VERSION, self.networks.fingerprint, self.upsampler)

    def render(self, sharp: Bytes, disparity: Array, lens: SceneLens) -> Bytes:
        seen = lens.alone(sharp)
        pyramid = levels_for(sharp.shape, disparity, seen)
        low = build_levels(sharp, pyramid)[0]
        blurred = self.networks.pipeline.render(low, disparity, seen, dtype=np.float32)
        if not pyramid.levels:
            return to_bytes(blurred)
        radius = defocus(disparity_at_level(disparity, pyramid, 0), seen.focus, seen.aperture, pyramid.long_side(0))
        image = _edged(as_float(sharp), pyramid.size(pyramid.levels))
        return to_bytes(self.upsampler.upsample(blurred, image, low, radius)[: sharp.shape[0], : sharp.shape[1]])


def _edged(image: Array, size: tuple[int, int]) -> Array:
    """Edge-padded to `size`, as the pyramid's levels are."""
    padding = [(0, goal - own) for goal, own in zip(size, image.shape, strict=False)]
    return np.pad(image, [*padding, (0, 0)], mode="edge")

"""Focal stacks to learn from: RGB-D pictures seen through a lens focused at several distances, cropped and disturbed.

Depth serves to make the stacks, and goes along for a comparison with supervised training; a self-supervised one does
not look at it. Everything of a sample is drawn from its index.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch.utils.data import Dataset

from ...runtime_ref.colour import to_linear, to_srgb
from ...runtime_ref.errors import DofkitError
from ..rendering.defocus import ThinLensCamera, spread_by_bank, spread_by_discs, through_lens
from ..rendering.focus_sweep import SWEEPS, FocusSweep
from .rgbd import RgbdPair, survey
from .rgbd_scenes import split
from .stack_sets import RecordedStack

Array = NDArray[np.float32]
Bytes = NDArray[np.uint8]
LEAST_KNOWN = 0.5
"""Share of a picture's pixels whose depth must be known."""


@dataclass(frozen=True, eq=False)
class DeepPicture:
    """A picture that is all in focus, and how far everything in it is.

    Attributes:
        name: of the pair.
        photo: uint8 [H, W, 3], sides multiples of 16.
        depth: float32 [H, W], in metres, finite everywhere: what is unknown got the nearest pixel's that is known.
        known: bool [H, W].
    """

    name: str
    photo: Bytes
    depth: Array
    known: NDArray[np.bool_]


def deep_picture(pair: RgbdPair, side: int) -> DeepPicture:
    """A pair with its longer side at most `side` pixels and both sides cut to multiples of 16.

    Raises:
        DofkitError: its depth is not in metres, or most of it is unknown.
    """
    metres = None if pair.depth is None else pair.depth.metres()
    if metres is None:
        raise DofkitError(f"{pair.files[0]}: its depth is not in metres, which a lens needs; give sets that are metric")
    photo = Image.fromarray(pair.photo)
    photo.thumbnail((side, side), Image.Resampling.BICUBIC)
    depth = np.asarray(Image.fromarray(metres).resize(photo.size, Image.Resampling.NEAREST))
    top, left = (photo.height % 16 // 2, photo.width % 16 // 2)
    rows, columns = slice(top, top + photo.height // 16 * 16), slice(left, left + photo.width // 16 * 16)
    depth = depth[rows, columns]
    known = np.isfinite(depth) & (depth > 0)
    if known.mean() < LEAST_KNOWN:
        raise DofkitError(f"{pair.files[0]}: less than half of its depth is known; remove it from the set")
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    filled = depth[tuple(np.asarray(nearest))].astype(np.float32)
    return DeepPicture(pair.name, np.ascontiguousarray(np.asarray(photo)[rows, columns]), filled, known)


def read_deep_pictures(folders: Sequence[Path], side: int) -> tuple[list[DeepPicture], list[DeepPicture]]:
    """(training, held out) pictures of metric RGB-D sets, held out by place; see `rgbd_scenes.split`.

    Raises:
        DofkitError: a set is not metric, or a file cannot be read.
    """
    training: list[DeepPicture] = []
    held: list[DeepPicture] = []
    for found in (one for folder in folders for one in survey(folder)):
        for part, numbers in zip((training, held), split(found), strict=True):
            part += [deep_picture(found[number], side) for number in numbers]
    if not training:
        raise DofkitError("no RGB-D pictures to make stacks of; give a folder of photos with depth in metres")
    return training, held


class StackSample(NamedTuple):
    """A stack; batched, each tensor gains a leading N.

    Attributes:
        stack: [S, 3, H, W] in [0, 1], sRGB-encoded, with what noise and compression do to it.
        clean: [S, 3, H, W], the same without.
        radius: [S, K], signed radii in pixels of each slice at K depths.
        linear: [] 1 where light was blurred linearly, 0 where encoded values were.
        picture: [3, H, W], all in focus; to measure with.
        place: [1, H, W] in [0, K − 1], the true place among the depths, NaN where unknown; to measure with.
    """

    stack: torch.Tensor
    clean: torch.Tensor
    radius: torch.Tensor
    linear: torch.Tensor
    picture: torch.Tensor
    place: torch.Tensor


@dataclass(frozen=True)
class StackSettings:
    """How training stacks are made.

    Attributes:
        crop: side of a sample in pixels, a multiple of 16.
        batch: samples that share a number of slices.
        depths: K of the network.
        usual: share of batches that are taken as `sweep` says, not otherwise.
        sweep: the usual camera and distances.
        recorded: share of batches that are taken from stacks that were recorded, where there are both kinds.
        reuse: samples drawn from a stack for each new one rendered.
        pool: stacks at hand to draw from.
    """

    crop: int = 128
    batch: int = 4
    depths: int = 24
    usual: float = 0.65
    sweep: FocusSweep = SWEEPS["nyu"]
    recorded: float = 0.5
    reuse: int = 8
    pool: int = 48


@dataclass(frozen=True, eq=False)
class _Rendered:
    """A stack of whole pictures in memory; `stack` uint8 [S, H, W, 3]."""

    stack: Bytes
    sweep: FocusSweep
    linear: bool
    source: DeepPicture


class TrainingStacks(Dataset[StackSample]):
    """Samples without end. Sample i is drawn from the stacks whose turn it is: each new one stays for some while.

    Args:
        pictures: to render stacks of.
        settings: how.
        seed: of everything.
        recorded: stacks as they are; at least one of a kind is needed.
    """

    def __init__(
        self,
        pictures: Sequence[DeepPicture],
        settings: StackSettings,
        seed: int,
        recorded: Sequence[RecordedStack] = (),
    ) -> None:
        sizes = [(one.name, one.photo.shape[:2]) for one in pictures]
        for name, (height, width) in [*sizes, *((one.name, one.stack.shape[1:3]) for one in recorded)]:
            if min(height, width) < settings.crop:
                raise DofkitError(
                    f"{name} is {width}×{height}, samples are {settings.crop} pixels wide; give a smaller --size, or "
                    "larger pictures"
                )
        self.pictures, self.settings, self.seed, self.recorded = pictures, settings, seed, recorded
        self._kept: OrderedDict[tuple[int, int], _Rendered] = OrderedDict()

    def __getitem__(self, index: int) -> StackSample:
        settings = self.settings
        rng = np.random.default_rng((self.seed, 1, index))
        shared = np.random.default_rng((self.seed, 2, index // settings.batch))
        slices = _slices(shared, settings)
        if self.recorded and (not self.pictures or shared.random() < settings.recorded):
            fewest = min(len(one.stack) for one in self.recorded)
            return self._recorded(rng, int(shared.integers(min(3, fewest), min(8, fewest) + 1)))
        number = index // settings.reuse + int(rng.integers(settings.pool))
        return self._sample(self._rendered(number, slices), rng, slices)

    def _rendered(self, number: int, slices: int | None) -> _Rendered:
        """A stack; of the usual kind where `slices` is None."""
        key = (number, int(slices is None))
        if key not in self._kept:
            rng = np.random.default_rng((self.seed, 3, *key))
            source = self.pictures[int(rng.integers(len(self.pictures)))]
            sweep, scale = (self.settings.sweep, 1.0) if slices is None else random_sweep(rng)
            discs, linear = bool(rng.random() < 0.5), bool(rng.random() < 0.6)
            source = replace(source, depth=source.depth * np.float32(scale))
            self._kept[key] = _Rendered(render_stack(source, sweep, discs, linear), sweep, linear, source)
            while len(self._kept) > 2 * self.settings.pool:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def _recorded(self, rng: np.random.Generator, slices: int) -> StackSample:
        """Some slices of a stack; what it looks like all in focus nobody knows."""
        source, crop = self.recorded[int(rng.integers(len(self.recorded)))], self.settings.crop
        top, left = (int(rng.integers(side - crop + 1)) for side in source.stack.shape[1:3])
        window = np.s_[top : top + crop, left : left + crop]
        order = sorted(rng.choice(len(source.stack), slices, replace=False).tolist())
        sample = recorded_sample(source, self.settings.depths, order, window)
        return _mirrored(
            sample._replace(stack=_tensor(disturbed(source.stack[order][(slice(None), *window)], rng))), rng
        )

    def _sample(self, rendered: _Rendered, rng: np.random.Generator, slices: int | None) -> StackSample:
        source, crop = rendered.source, self.settings.crop
        top, left = (int(rng.integers(side - crop + 1)) for side in source.depth.shape)
        window = np.s_[top : top + crop, left : left + crop]
        order = list(range(len(rendered.sweep.focus)))
        order = order if slices is None else sorted(rng.choice(order, slices, replace=False).tolist())
        sweep = rendered.sweep.ordered(order)
        clean = rendered.stack[order][(slice(None), *window)]
        metres = np.where(source.known, source.depth, np.nan)[window]
        sample = stack_sample(clean, source.photo[window], metres, sweep, self.settings.depths, rendered.linear)
        return _mirrored(sample._replace(stack=_tensor(disturbed(clean, rng))), rng)


def _mirrored(sample: StackSample, rng: np.random.Generator) -> StackSample:
    """Every other one."""
    if rng.random() < 0.5:
        return sample
    return sample._replace(**{name: getattr(sample, name).flip(-1) for name in ("stack", "clean", "picture", "place")})


def recorded_sample(
    source: RecordedStack,
    depths: int,
    order: Sequence[int] | None = None,
    window: tuple[slice, slice] = np.s_[:, :],
) -> StackSample:
    """A part of a recorded stack; its picture, and its places where depth is unknown, are NaN.

    Args:
        source: the stack.
        depths: K of the network.
        order: of its slices those that are taken; None: all.
        window: rows and columns.
    """
    chosen = list(range(len(source.stack))) if order is None else list(order)
    slices = source.stack[chosen][(slice(None), *window)]
    unknown = np.full(slices.shape[1:3], np.nan, np.float32)
    metres = unknown if source.metres is None else source.metres[window]
    sample = stack_sample(slices, slices[0], metres, source.sweep.ordered(chosen), depths, linear=True)
    return sample._replace(picture=torch.full_like(sample.picture, torch.nan))


def _slices(rng: np.random.Generator, settings: StackSettings) -> int | None:
    """Of a batch: None for the usual sweep, else 3 to 8."""
    return None if rng.random() < settings.usual else int(rng.integers(3, 9))


def stack_sample(
    stack: Bytes, photo: Bytes, metres: Array, sweep: FocusSweep, depths: int, linear: bool
) -> StackSample:
    """A sample of a stack uint8 [S, H, W, 3], its picture uint8 [H, W, 3] and metres [H, W], NaN where unknown."""
    known = torch.from_numpy(np.ascontiguousarray(metres, np.float32))
    place = sweep.place_of(known.nan_to_num(sweep.far), depths).where(known.isfinite(), torch.nan)
    return StackSample(
        _tensor(stack), _tensor(stack), sweep.radius(depths), torch.tensor(float(linear)), _tensor(photo), place[None]
    )


def _tensor(pixels: Bytes) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(pixels, -1, -3))).float() / 255


def random_sweep(rng: np.random.Generator) -> tuple[FocusSweep, float]:
    """Another camera with eight focus distances, and by what factor the scene's depths are shrunk for it."""
    scale = float(np.exp(rng.uniform(np.log(0.25), np.log(1.2))))
    near, far = 0.5 * scale * rng.uniform(0.8, 1.2), 10.0 * scale * rng.uniform(0.8, 1.1)
    strength = float(np.exp(rng.uniform(np.log(6.0), np.log(18.0)))) * scale  # pixels of radius a dioptre
    focal_length, f_number = 20e-3, 2.0
    camera = ThinLensCamera(focal_length, f_number, focal_length**2 / f_number / 2 / strength)
    first, last = 1 / (near * rng.uniform(1.2, 2.5)), 1 / (far * rng.uniform(0.4, 1.0))
    steps = np.linspace(first, last, 8) * np.exp(rng.normal(0, 0.04, 8))
    bent = steps if rng.random() < 0.5 else 1 / np.geomspace(1 / first, 1 / last, 8)
    return FocusSweep(camera, tuple(float(1 / one) for one in bent), near, far), scale


def render_stack(source: DeepPicture, sweep: FocusSweep, discs: bool, linear: bool) -> Bytes:
    """uint8 [S, H, W, 3]: the picture at each focus.

    Args:
        source: of all in focus and depth.
        sweep: camera and focus distances.
        discs: points become discs, not Gaussians.
        linear: light is blurred, not sRGB-encoded values.
    """
    pixels = source.photo.astype(np.float32) / np.float32(255)
    light = torch.from_numpy(np.ascontiguousarray((to_linear(pixels) if linear else pixels).transpose(2, 0, 1)))
    depth = torch.from_numpy(source.depth)[None, None]
    with torch.inference_mode():
        blur = spread_by_discs if discs else spread_by_bank
        stack = through_lens(light[None], depth, torch.tensor(sweep.focus), sweep.camera, blur)[0].numpy()
    stack = np.clip(stack.transpose(0, 2, 3, 1), 0, 1)
    return np.rint((to_srgb(stack) if linear else stack) * 255).astype(np.uint8)


def disturbed(stack: Bytes, rng: np.random.Generator) -> Bytes:
    """Noise and compression, drawn anew for every stack; nearly half stay as they are."""
    if rng.random() < 0.45:
        return stack
    deviation, quality = rng.uniform(0.5, 5.0), int(rng.integers(70, 98))
    noisy, compressed = rng.random() < 0.6, rng.random() < 0.6
    stack = noised(stack, deviation, rng) if noisy else stack
    return np.stack([as_jpeg(one, quality) for one in stack]) if compressed else stack


def noised(stack: Bytes, deviation: float, rng: np.random.Generator) -> Bytes:
    """uint8 pictures with noise of `deviation` of their 255 levels."""
    values = stack + rng.normal(0, deviation, stack.shape).astype(np.float32)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def as_jpeg(picture: Bytes, quality: int) -> Bytes:
    """uint8 [H, W, 3] → what a JPEG of it holds."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


class HeldOutStacks(Dataset[StackSample]):
    """One stack a picture, taken by one sweep, by discs of light: another point spread than the losses assume."""

    def __init__(self, pictures: Sequence[DeepPicture], sweep: FocusSweep, depths: int) -> None:
        self.pictures, self.sweep, self.depths = pictures, sweep, depths

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> StackSample:
        source = self.pictures[index]
        stack = render_stack(source, self.sweep, discs=True, linear=True)
        metres = np.where(source.known, source.depth, np.nan).astype(np.float32)
        return stack_sample(stack, source.photo, metres, self.sweep, self.depths, linear=True)


class RecordedStacks(Dataset[StackSample]):
    """Whole stacks as they were recorded."""

    def __init__(self, stacks: Sequence[RecordedStack], depths: int) -> None:
        self.stacks, self.depths = stacks, depths

    def __len__(self) -> int:
        return len(self.stacks)

    def __getitem__(self, index: int) -> StackSample:
        return recorded_sample(self.stacks[index], self.depths)

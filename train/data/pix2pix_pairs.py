"""Photos with disparity as square pairs for Pix2Pix, kept small in memory and jittered as in the paper."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import Dataset

from ...runtime_ref.errors import DofkitError
from .rgbd import FoundSet
from .rgbd_scenes import split
from .shallow_photos import PhotoSettings, shallow_photo

JITTER = 286 / 256
"""Pictures are read so much larger than the crops that are cut from them (Isola et al. 2017, 6.2)."""
DRAWN_SEED, DRAWN_SIDE = 20161121, 96
"""Of drawn pairs, of which held-out ones have indices of their own; larger ones are enlarged, which saves minutes."""


@dataclass(frozen=True, eq=False)
class SquarePairs:
    """Photos stretched to squares, with their disparity.

    Attributes:
        photos: uint8 [N, S, S, 3].
        disparity: float32 [N, S, S] in [0, 1], 1 is each picture's nearest, NaN where unknown.
    """

    photos: NDArray[np.uint8]
    disparity: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.photos)


class JitteredPairs(Dataset[dict[str, torch.Tensor]]):
    """Endless random crops of side `size`, mirrored or not; sample i depends on (seed, i) alone."""

    def __init__(self, pairs: SquarePairs, size: int, seed: int) -> None:
        self.pairs, self.size, self.seed = pairs, size, seed

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng((self.seed, index))
        number = int(rng.integers(len(self.pairs)))
        top, left = rng.integers(self.pairs.photos.shape[1] - self.size + 1, size=2)
        area = (slice(top, top + self.size), slice(left, left + self.size))
        photo, disparity = self.pairs.photos[number][area], self.pairs.disparity[number][area]
        if rng.random() < 0.5:
            photo, disparity = photo[:, ::-1], disparity[:, ::-1]
        return sample(photo, disparity)


class WholePairs(Dataset[dict[str, torch.Tensor]]):
    """Held-out pairs in their order, undisturbed."""

    def __init__(self, pairs: SquarePairs) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        if index >= len(self):
            raise IndexError(index)
        return sample(self.pairs.photos[index], self.pairs.disparity[index])


def sample(photo: NDArray[np.uint8], disparity: NDArray[np.float32]) -> dict[str, torch.Tensor]:
    """`image` [3, S, S] in [0, 1], `disparity` [1, S, S] in [0, 1], 0 where unknown, `known` [1, S, S] of 0 and 1."""
    known = np.isfinite(disparity)
    return {
        "image": torch.from_numpy(np.ascontiguousarray(photo.transpose(2, 0, 1))).float() / 255,
        "disparity": torch.from_numpy(np.where(known, disparity, 0).astype(np.float32))[None],
        "known": torch.from_numpy(known.astype(np.float32))[None],
    }


def read_pairs(
    sets: Sequence[FoundSet], size: int, progress: Callable[[int, int], None] | None = None
) -> tuple[SquarePairs, SquarePairs]:
    """(training, held out) of sets on disk; each set is split by `data.rgbd_scenes.split`, like the depth network's.

    Training pairs are read `JITTER` times as large as `size`, held-out ones at `size`.

    Args:
        sets: with depth.
        size: side of the network's pictures.
        progress: called with (pairs read, pairs in all).

    Raises:
        DofkitError: a set has masks only, a file cannot be read, or no pair is left for training.
    """
    parts: tuple[list[tuple[FoundSet, int]], list[tuple[FoundSet, int]]] = ([], [])
    for found in sets:
        for part, chosen in zip(parts, split(found), strict=True):
            part += [(found, number) for number in chosen]
    if not parts[0]:
        raise DofkitError("no pairs are left for training; give a folder with more of them")
    total, done = sum(map(len, parts)), 0
    stacked = []
    for part, side in zip(parts, (round(size * JITTER), size), strict=True):
        pairs = []
        for found, number in part:
            pairs.append(_square_pair(found, number, side))
            done += 1
            if progress is not None:
                progress(done, total)
        stacked.append(_stack(pairs, side))
    return stacked[0], stacked[1]


def drawn_square_pairs(count: int, held_out: int, size: int) -> tuple[SquarePairs, SquarePairs]:
    """(training, held out) of drawn photos, for a dry run that needs no data."""

    def drawn(numbers: Iterable[int], side: int) -> SquarePairs:
        settings = PhotoSettings(min(side, DRAWN_SIDE), deep=1.0)
        photos = (shallow_photo((DRAWN_SEED, number), settings) for number in numbers)
        return _stack([_squared(np.rint(p.sharp * 255).astype(np.uint8), p.disparity, side) for p in photos], side)

    return drawn(range(count), round(size * JITTER)), drawn(range(2**30, 2**30 + held_out), size)


def _square_pair(found: FoundSet, number: int, side: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    pair = found[number]
    if pair.depth is None:
        raise DofkitError(f"{found.folder} has masks and no depth; give image + depth folders")
    return _squared(pair.photo, pair.depth.disparity(), side)


def _squared(
    photo: NDArray[np.uint8], disparity: NDArray[np.float32], side: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Both stretched to a square, the disparity by its nearest value, then normalised within the picture."""
    image = Image.fromarray(photo).resize((side, side), Image.Resampling.BICUBIC)
    values = np.asarray(Image.fromarray(disparity.astype(np.float32)).resize((side, side), Image.Resampling.NEAREST))
    known = np.isfinite(values)
    low, high = (values[known].min(), values[known].max()) if known.any() else (0.0, 1.0)
    return np.asarray(image), ((values - low) / max(float(high - low), 1e-9)).astype(np.float32)


def _stack(pairs: list[tuple[NDArray[np.uint8], NDArray[np.float32]]], side: int) -> SquarePairs:
    photos = np.empty((len(pairs), side, side, 3), np.uint8)
    disparity = np.empty((len(pairs), side, side), np.float32)
    for number, (photo, values) in enumerate(pairs):
        photos[number], disparity[number] = photo, values
    return SquarePairs(photos, disparity)

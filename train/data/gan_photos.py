"""Unlabelled photos as a generator learns from them: small squares, all in memory, mirrored at random."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from torch.utils.data import Dataset

from .pictures import read_rgb
from .shallow_photos import PhotoSettings, shallow_photo
from .sources import image_files

Pictures = npt.NDArray[np.uint8]
"""[M, S, S, 3], sRGB-encoded."""

Report = Callable[[int], None]
"""Called with the number of pictures read or drawn so far."""


class GanPhotos(Dataset[torch.Tensor]):
    """Sample i: [3, S, S] in [0, 1], one of the pictures, mirrored or not, drawn from (seed, i)."""

    def __init__(self, pictures: Pictures, seed: int) -> None:
        self.pictures, self.seed = pictures, seed

    def __getitem__(self, index: int) -> torch.Tensor:
        rng = np.random.default_rng((self.seed, index))
        picture = self.pictures[rng.integers(len(self.pictures))]
        if rng.random() < 0.5:
            picture = picture[:, ::-1]
        return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))).float() / 255


def read_photos(folders: Sequence[Path], size: int, report: Report = lambda _: None) -> Pictures:
    """All photos below the folders: the square in the middle of each, at `size` pixels.

    Raises:
        DofkitError: a folder holds no photos, or a file cannot be read.
    """
    files = [file for folder in folders for file in image_files(folder)]
    pictures = np.empty((len(files), size, size, 3), np.uint8)
    for number, file in enumerate(files):
        pictures[number] = np.asarray(ImageOps.fit(read_rgb(file), (size, size), Image.Resampling.LANCZOS))
        report(number + 1)
    return pictures


def drawn_photos(count: int, seed: int, settings: PhotoSettings, report: Report = lambda _: None) -> Pictures:
    """The pictures of `count` drawn photos; see `shallow_photo`."""
    pictures = np.empty((count, settings.size, settings.size, 3), np.uint8)
    for number in range(count):
        pictures[number] = np.round(shallow_photo((seed, number), settings).image * 255)
        report(number + 1)
    return pictures


class UnpairedPhotos(Dataset[dict[str, torch.Tensor]]):
    """Sample i: `deep` and `shallow`, each [3, S, S] in [0, 1], drawn from (seed, i) independently of each other."""

    def __init__(self, deep: Pictures, shallow: Pictures, seed: int) -> None:
        # two seeds: with one, sets that are sorted alike would come in pairs
        self.sets = {"deep": GanPhotos(deep, 2 * seed), "shallow": GanPhotos(shallow, 2 * seed + 1)}

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {name: photos[index] for name, photos in self.sets.items()}


class HeldOutPhotos(Dataset[dict[str, torch.Tensor]]):
    """Sample i: `deep` and, where it is known, `shallow`, what a lens makes of it; each [3, S, S] in [0, 1]."""

    def __init__(self, deep: Pictures, shallow: Pictures | None = None) -> None:
        self.sets = {"deep": deep} if shallow is None else {"deep": deep, "shallow": shallow}

    def __len__(self) -> int:
        return len(self.sets["deep"])

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {
            name: torch.from_numpy(sets[index].transpose(2, 0, 1)).float() / 255 for name, sets in self.sets.items()
        }


def drawn_pairs(
    count: int, seed: int, settings: PhotoSettings, report: Report = lambda _: None
) -> tuple[Pictures, Pictures]:
    """`count` drawn photos through a pinhole, and the same through their lens; see `shallow_photo`."""
    deep, shallow = (np.empty((count, settings.size, settings.size, 3), np.uint8) for _ in range(2))
    for number in range(count):
        photo = shallow_photo((seed, number), settings)
        deep[number], shallow[number] = np.round(photo.sharp * 255), np.round(photo.image * 255)
        report(number + 1)
    return deep, shallow


class OneBatch(Dataset[torch.Tensor]):
    """A single item that says nothing: validations need a loader, and a generator is looked at without photos."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> torch.Tensor:
        if index:
            raise IndexError(index)
        return torch.zeros(1)

"""What a training of the depth network draws from, and how often: folders in, a mix and held-out scenes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...runtime_ref.errors import DofkitError
from ...runtime_ref.pipeline.aspects import size_of_aspect
from .depth import Folder, Scene, Shape, read_generated, read_photos
from .depth_augment import Share
from .depth_composites import Composites, Posters
from .depth_cutouts import AnyCutouts, CutoutSource, DrawnCutouts, MaskCutouts
from .depth_figures import DrawnFigures
from .depth_grounds import Grounds, Pages, Pictures
from .rgbd import survey
from .rgbd.plain import MASK_FORMAT
from .rgbd_scenes import read_scenes

HANDFUL = 50


@dataclass(frozen=True)
class SourceFolders:
    """What a user gives.

    Attributes:
        rgbd: image + depth, of any kind that `data.rgbd` recognises; several sets may lie in one folder.
        masks, standing: image + mask; of the latter the subjects stand on a ground.
        argan: sets of `dofkit generate argan`.
        photos: whose pictures cover the surfaces of built scenes.
    """

    rgbd: tuple[Path, ...] = ()
    masks: tuple[Path, ...] = ()
    standing: tuple[Path, ...] = ()
    argan: tuple[Path, ...] = ()
    photos: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Kinds:
    """How often each kind of sample is drawn, relative to the others, if its folders hold plenty; see `enough`."""

    known: float = 2.0
    generated: float = 0.5
    masks: float = 0.7
    rooms: float = 0.7
    grounds: float = 0.9
    flat: float = 0.2


@dataclass(frozen=True)
class Stock:
    """How much is drawn once, for samples to be made of.

    Attributes:
        figures, cutouts: subjects, whole people and any shape.
        textures: of surfaces.
        held_out: scenes to judge by where no folder gives any.
    """

    figures: int = 120
    cutouts: int = 160
    textures: int = 64
    held_out: int = 16


@dataclass(frozen=True)
class DepthSources:
    """What was read."""

    shares: list[Share]
    held_out: list[Scene]


def read_sources(
    folders: SourceFolders, side: int, kinds: Kinds | None = None, stock: Stock | None = None
) -> DepthSources:
    """Read all folders, pictures with their longer side at most `side` pixels.

    Raises:
        DofkitError: when one of them cannot be used.
    """
    kinds, stock = kinds or Kinds(), stock or Stock()
    known = [parts for folder in folders.rgbd for parts in _with_depth(folder, side)]
    generated = [read_generated(folder, side) for folder in folders.argan]
    masked = [parts for folder in folders.masks for parts in _with_masks(folder, side, stands=False)]
    masked += [parts for folder in folders.standing for parts in _with_masks(folder, side, stands=True)]
    photos = [read_photos(folder, side) for folder in folders.photos]
    held_out = [scene for _, held in known + generated + masked for scene in held.scenes]
    rooms = [training for training, _ in known]
    subjects = _subjects([training for training, _ in masked], stock)
    pictures = Pictures([*photos, *(training for training, _ in masked)], stock.textures)
    shares = _spread(rooms, kinds.known) + _spread([training for training, _ in generated], kinds.generated)
    shares += _spread([training for training, _ in masked], kinds.masks)
    shares += [Share(Composites(subjects, room), share) for room, share in _weights(rooms, kinds.rooms)]
    shares += [Share(Posters(pictures, room), share) for room, share in _weights(rooms, kinds.flat / 2)]
    shares += [Share(Grounds(subjects, pictures, side), kinds.grounds), Share(Pages(pictures, side), kinds.flat / 2)]
    return DepthSources(shares, held_out or _drawn(Grounds(subjects, pictures, side), stock.held_out))


def _with_depth(folder: Path, side: int) -> list[tuple[Folder, Folder]]:
    """(training, held out) of every image + depth set in a folder."""
    found = [one for one in survey(folder) if one.format.name != MASK_FORMAT]
    if not found:
        raise DofkitError(f"{folder} has masks and no depth; give it as --masks, or as --standing")
    return [read_scenes(one, side) for one in found]


def _with_masks(folder: Path, side: int, stands: bool) -> list[tuple[Folder, Folder]]:
    """(training, held out) of every image + mask set in a folder."""
    found = [one for one in survey(folder) if one.format.name == MASK_FORMAT]
    if not found:
        raise DofkitError(f"{folder} has no images/ with masks/; give image + mask folders")
    return [read_scenes(one, side, stands) for one in found]


def shapes(size: int, aspects: Sequence[str]) -> list[Shape]:
    """(width, height) of about size² pixels for every aspect, "3:4" being upright; multiples of the network's stride.

    Raises:
        ValueError: when an aspect is none.
    """
    sizes = (size_of_aspect(aspect, size) for aspect in aspects)
    return [(width, height) for height, width in sizes]


def _subjects(folders: list[Folder], stock: Stock) -> CutoutSource:
    """Mostly of the masks, if there are many; else drawn figures and shapes."""
    drawn = [(DrawnFigures(stock.figures), 0.5), (DrawnCutouts(stock.cutouts), 0.5)]
    masks = MaskCutouts(folders)
    if not masks.cutouts:
        return AnyCutouts(drawn)
    share = 0.85 * enough(len(masks.cutouts))
    return AnyCutouts([(masks, share), *((source, weight * (1 - share)) for source, weight in drawn)])


def _weights(folders: list[Folder], total: float) -> list[tuple[Folder, float]]:
    """`total`, less of it where there are only a `HANDFUL` of scenes, shared out by the square root of how many a
    folder holds: a small set still counts."""
    sizes = np.array([len(folder.scenes) for folder in folders])
    roots = np.sqrt(sizes)
    return [
        (folder, float(total * enough(int(sizes.sum())) * root / roots.sum()))
        for folder, root in zip(folders, roots, strict=True)
    ]


def enough(scenes: int) -> float:
    """How much of its share a kind gets, in [0, 1): few scenes would be seen too often."""
    return scenes / (scenes + HANDFUL)


def _spread(folders: list[Folder], total: float) -> list[Share]:
    return [Share(folder, share) for folder, share in _weights(folders, total)]


def _drawn(grounds: Grounds, count: int) -> list[Scene]:
    """Built scenes that no training index builds again."""
    return [grounds.scene(np.random.default_rng((2**31, index))) for index in range(count)]

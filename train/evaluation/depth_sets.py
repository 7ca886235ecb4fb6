"""Pictures whose depth or subject is known, brought to the sizes at which methods are asked and maps are compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from PIL import Image

from ...runtime_ref.bundle import file_sha256
from ...runtime_ref.errors import DofkitError
from ...runtime_ref.parity.reports.pictures import to_bytes
from ..data.rgbd import DepthMap, DepthMeaning, FoundSet, RgbdPair
from ..data.rgbd_scenes import split
from ..data.shallow_photos import PhotoSettings, shallow_photo
from ..rendering.lens import Array
from ..systems.depth_metrics import Mask
from .depth_scores import VERSION
from .methods import digest
from .scores import Bytes

PHOTO_SIDE = 1024
"""Long side of the photo that methods are given; networks look at less than half of it."""
TRUTH_SIDE = 640
"""Long side at which maps are compared: that of depth cameras."""
SUBJECT = 0.5
"""Coverage from which a pixel is the subject's."""
DRAWN_SEED = 20181204
"""Of the drawn pictures: no training draws them by chance."""
DRAWN = PhotoSettings(size=192, deep=1.0)


class DepthSet(Protocol):
    """Pictures of one kind.

    Attributes:
        name: unique in an evaluation.
        about: what they are, in words.
    """

    @property
    def name(self) -> str: ...
    @property
    def about(self) -> str: ...

    def __len__(self) -> int: ...

    def title(self, index: int) -> str:
        """Of a picture."""
        ...

    def identity(self, index: int) -> str:
        """Stands for all that decides a picture; found without decoding it."""
        ...

    def pair(self, index: int) -> RgbdPair:
        """The picture; raises `DofkitError` where its files cannot be read."""
        ...


@dataclass(frozen=True)
class EvaluatedSet:
    """A set on disk, or the pictures of it that are evenly chosen.

    Attributes:
        found: what was recognised.
        indices: of its entries.
    """

    name: str
    found: FoundSet
    indices: tuple[int, ...]

    @classmethod
    def of(cls, name: str, found: FoundSet, count: int | None = None) -> EvaluatedSet:
        """At most `count` pictures, evenly chosen from all over the set."""
        number = len(found) if count is None else min(count, len(found))
        return cls(name, found, tuple(np.linspace(0, len(found) - 1, number).astype(int).tolist()))

    @property
    def about(self) -> str:
        return f"{self.found.format.title}; {self.found.format.declares}"

    def __len__(self) -> int:
        return len(self.indices)

    def title(self, index: int) -> str:
        return self.found.entries[self.indices[index]].name

    def identity(self, index: int) -> str:
        files = self.found.entries[self.indices[index]].files
        return digest(self.found.format.name, *(file_sha256(file) for file in files))

    def pair(self, index: int) -> RgbdPair:
        return self.found[self.indices[index]]


def kept_for_judging(found: FoundSet) -> FoundSet:
    """The part that `dofkit train depth` keeps out of its training; see `data.rgbd_scenes.split`.

    Raises:
        DofkitError: the set is too small for any to be held out.
    """
    held = sorted(split(found)[1])
    if not held:
        raise DofkitError(f"{found.folder} has {len(found)} pictures, too few to hold any out; leave --held-out away")
    return replace(found, entries=tuple(found.entries[number] for number in held))


@dataclass(frozen=True)
class DrawnSet:
    """Drawn photos of known depth, for whoever has no data."""

    count: int
    name: str = "drawn"
    about: str = "drawn blossoms, the subjects, before a ground or a wall"

    def __len__(self) -> int:
        return self.count

    def title(self, index: int) -> str:
        return f"{index + 1}"

    def identity(self, index: int) -> str:
        return digest(VERSION, DRAWN_SEED, index, DRAWN)

    def pair(self, index: int) -> RgbdPair:
        drawn = shallow_photo((DRAWN_SEED, index), DRAWN)
        depth = DepthMap(drawn.disparity, DepthMeaning.PROPORTIONAL)
        return RgbdPair(self.title(index), to_bytes(drawn.sharp), depth, drawn.subject, self.name, ())


@dataclass(frozen=True)
class JudgedPair:
    """A picture with its truth at the sizes of the evaluation.

    Attributes:
        pair: as it was read.
    """

    pair: RgbdPair

    @cached_property
    def photo(self) -> Bytes:
        """uint8 [H, W, 3], as the methods get it."""
        image = Image.fromarray(self.pair.photo)
        image.thumbnail((PHOTO_SIDE, PHOTO_SIDE), Image.Resampling.BICUBIC)
        return np.asarray(image)

    @cached_property
    def truth(self) -> Array | None:
        """Disparity [h, w] in the source's unit, NaN where unknown; None where nothing is known."""
        if self.pair.depth is None:
            return None
        disparity = thinned(self.pair.depth.disparity())
        return disparity if np.isfinite(disparity).any() else None

    @property
    def ratios_known(self) -> bool:
        """Whether ratios of depth follow from the truth."""
        return self.pair.depth is not None and self.pair.depth.meaning.infinity_known

    @cached_property
    def metres(self) -> Array | None:
        """Depth [h, w] in metres, NaN where unknown; None where it does not follow."""
        metres = self.pair.depth.metres() if self.pair.depth is not None else None
        return None if metres is None else thinned(metres)

    @cached_property
    def subject(self) -> Mask | None:
        """[h, w]; None without a mask, or where it is empty or full."""
        if self.pair.mask is None:
            return None
        mask = thinned(self.pair.mask) >= SUBJECT
        return mask if mask.any() and not mask.all() else None


def thinned(values: Array) -> Array:
    """Every n-th row and column, so that the long side is at most `TRUTH_SIDE`: a mean across an edge would be a depth
    that exists nowhere."""
    step = -(-max(values.shape) // TRUTH_SIDE)
    return np.ascontiguousarray(values[step // 2 :: step, step // 2 :: step])

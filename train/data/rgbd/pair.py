"""What every reader gives: a photo with what is known of its depth, where it is from, and what its values mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....runtime_ref.enums import TextEnum

Array = NDArray[np.float32]
Bytes = NDArray[np.uint8]


class DepthMeaning(TextEnum):
    """What the values of a depth map are."""

    METRES = "depth in metres"
    INVERSE_METRES = "disparity in 1/m, 0 at infinity"
    PROPORTIONAL = "disparity up to scale, 0 at infinity"
    AFFINE = "disparity up to scale and shift"

    @property
    def metric(self) -> bool:
        """Whether distances in metres follow from it."""
        return self in (DepthMeaning.METRES, DepthMeaning.INVERSE_METRES)

    @property
    def infinity_known(self) -> bool:
        """Whether ratios of distances follow from it: all but `AFFINE`."""
        return self is not DepthMeaning.AFFINE


@dataclass(frozen=True, eq=False)
class DepthMap:
    """The map of a picture as its source means it.

    Attributes:
        values: float32 [h, w], NaN where nothing is known; see `meaning`.
        meaning: of the values.
    """

    values: Array
    meaning: DepthMeaning

    @property
    def known(self) -> NDArray[np.bool_]:
        """[h, w], where there is a value."""
        return np.isfinite(self.values)

    def disparity(self) -> Array:
        """[h, w], larger is nearer, NaN where unknown. In 1/m where the map is metric, else in the map's own unit."""
        if self.meaning is not DepthMeaning.METRES:
            return self.values
        with np.errstate(divide="ignore"):
            inverse = 1 / self.values
        return np.where(self.values > 0, inverse, np.float32(np.nan)).astype(np.float32)

    def metres(self) -> Array | None:
        """[h, w] distances, NaN where unknown and inf at infinity; None where the map is not metric."""
        if self.meaning is DepthMeaning.METRES:
            return self.values
        if self.meaning is not DepthMeaning.INVERSE_METRES:
            return None
        with np.errstate(divide="ignore"):
            return np.where(self.values >= 0, 1 / self.values, np.float32(np.nan)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class RgbdPair:
    """A picture with what is known of it.

    Attributes:
        name: of the pair in its set.
        photo: uint8 [H, W, 3], upright.
        depth: of the same picture at a resolution of its own; None for image + mask sets.
        mask: float32 [h, w] in [0, 1], 1 on the subject, at a resolution of its own; None without.
        source: name of the format that it was read as.
        files: what was read.
    """

    name: str
    photo: Bytes
    depth: DepthMap | None
    mask: Array | None
    source: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Content:
    """What a reader makes of an entry's files."""

    photo: Bytes
    depth: DepthMap | None = None
    mask: Array | None = None


@dataclass(frozen=True)
class SetEntry:
    """A pair that was found and not yet read.

    Attributes:
        name: unique in its set; neighbours in time have neighbouring names.
        files: that it is made of, the photo first.
        load: reads them.
    """

    name: str
    files: tuple[Path, ...]
    load: Callable[[], Content]


@dataclass(frozen=True)
class SetFormat:
    """A kind of source.

    Attributes:
        name: for options and records.
        title: whose it is and what it is recognised by.
        declares: what its values mean, in words.
        find: the pairs of a folder (or of a file) that has this layout, [] where it has not; raises `DofkitError` for
            a folder that has it but whose tables cannot be read.
        whole_scenes: each folder is one scene, and folders of a set belong together.
    """

    name: str
    title: str
    declares: str
    find: Callable[[Path], list[SetEntry]]
    whole_scenes: bool = False


@dataclass(frozen=True)
class FoundSet:
    """A set that was recognised; pairs are read when asked for, one at a time.

    Attributes:
        format: what it is read as.
        folder: where it lies.
        entries: in the order of their names.
    """

    format: SetFormat
    folder: Path
    entries: tuple[SetEntry, ...]

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[RgbdPair]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> RgbdPair:
        """The pair at an index.

        Raises:
            DofkitError: a file is missing, damaged, or not what its format says.
        """
        entry = self.entries[index]
        content = entry.load()
        return RgbdPair(entry.name, content.photo, content.depth, content.mask, self.format.name, entry.files)

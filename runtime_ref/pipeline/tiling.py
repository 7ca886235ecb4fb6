"""Tiles: cores that cover a picture without overlap, each computed with a halo around it.

An exported graph has one fixed input size, core + 2·halo. When the halo is at least the receptive field's radius, the
core of every tile equals what the network computes on the whole picture; beyond the picture's border the edge is
repeated, for a tile as for the whole, so this holds at the border too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class PictureLike(Protocol):
    """`[H, W, ...]`, as far as tiles look at it."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __getitem__(self, part: tuple[slice, slice], /) -> NDArray[Any]: ...


@dataclass(frozen=True)
class Tile:
    """The part of the picture that one core covers: rows [top, top+height), columns [left, left+width)."""

    top: int
    left: int
    height: int
    width: int

    def scaled(self, factor: int) -> Tile:
        """The same part of a picture `factor` times as large."""
        return Tile(*(factor * n for n in (self.top, self.left, self.height, self.width)))


@dataclass(frozen=True)
class TilePlan:
    """How a picture is cut into tiles.

    Attributes:
        height, width: the picture, in pixels.
        core_height, core_width: what each tile contributes; the last row and column contribute what is left.
        halo: pixels around the core that are computed and thrown away.
    """

    height: int
    width: int
    core_height: int
    core_width: int
    halo: int

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.core_height, self.core_width) < 1 or self.halo < 0:
            raise ValueError(f"a tile plan needs positive sizes and a halo of 0 or more, got {self}")

    @classmethod
    def fixed(cls, size: tuple[int, int], tile: int, halo: int) -> TilePlan:
        """Square tiles of `tile` pixels, halo included (an exported graph's input size)."""
        core = tile - 2 * halo
        return cls(size[0], size[1], core, core, halo)

    @classmethod
    def whole(cls, size: tuple[int, int], halo: int, align: int = 1) -> TilePlan:
        """One tile that covers the picture, its core rounded up to a multiple of `align`: the untiled computation."""
        height, width = (-(-side // align) * align for side in size)
        return cls(size[0], size[1], height, width, halo)

    @property
    def tile_size(self) -> tuple[int, int]:
        """(height, width) of a tile with its halo: the network's input size."""
        return self.core_height + 2 * self.halo, self.core_width + 2 * self.halo

    @property
    def count(self) -> int:
        """Number of tiles."""
        return -(-self.height // self.core_height) * -(-self.width // self.core_width)

    def scaled(self, factor: int) -> TilePlan:
        """The same tiles on a picture `factor` times as large."""
        return TilePlan(*(factor * n for n in (self.height, self.width, self.core_height, self.core_width, self.halo)))

    def __iter__(self) -> Iterator[Tile]:
        for top in range(0, self.height, self.core_height):
            for left in range(0, self.width, self.core_width):
                height = min(self.core_height, self.height - top)
                yield Tile(top, left, height, min(self.core_width, self.width - left))

    def extract(self, picture: PictureLike, tile: Tile) -> NDArray[Any]:
        """The tile with its halo, the picture's edge repeated beyond its border.

        Args:
            picture: `[H, W, ...]`; it may be smaller than the plan (an unpadded photo under a padded plan).

        Returns:
            `[core_height + 2·halo, core_width + 2·halo, ...]`.
        """
        height, width = self.tile_size
        top, left = tile.top - self.halo, tile.left - self.halo
        rows, above, below = _inside(top, height, picture.shape[0])
        columns, before, after = _inside(left, width, picture.shape[1])
        inside = picture[rows, columns]
        if not (above or below or before or after):
            return inside
        # Not np.pad, which takes up to four times as long: every tile at a border comes by.
        result = np.empty((height, width, *picture.shape[2:]), picture.dtype)
        middle = result[above : height - below]
        middle[:, before : width - after] = inside
        middle[:, :before] = inside[:, :1]
        middle[:, width - after :] = inside[:, -1:]
        result[:above] = middle[:1]
        result[height - below :] = middle[-1:]
        return result

    def rows(self, top: int, side: int) -> slice:
        """Of a picture of `side` rows those that a tile at `top` sees, its halo included."""
        return _inside(top - self.halo, self.tile_size[0], side)[0]

    def core(self, result: NDArray[Any], tile: Tile) -> NDArray[Any]:
        """The part of a computed tile `[core + 2·halo, ...]` that belongs to the picture."""
        return result[self.halo : self.halo + tile.height, self.halo : self.halo + tile.width]


def _inside(start: int, length: int, side: int) -> tuple[slice, int, int]:
    """What of [start, start + length) lies inside [0, side), at least its nearest pixel, and how much is missing before
    and after it."""
    first = min(max(start, 0), side - 1)
    last = max(min(start + length, side), first + 1)
    before = min(max(first - start, 0), length - 1)
    return slice(first, last), before, length - (last - first) - before

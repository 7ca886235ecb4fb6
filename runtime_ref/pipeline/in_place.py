"""A picture that tiles are read from while the results of others are already written over it."""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .tiling import Tile, TilePlan


class Band:
    """Some rows of a picture, addressed as in the whole of it: `tiling.PictureLike`.

    Args:
        rows: `[rows, W, ...]`.
        first: which row of the picture the first one is.
        height: of the picture.
    """

    def __init__(self, rows: NDArray[Any], first: int, height: int) -> None:
        self.rows, self.first = rows, first
        self.shape, self.dtype = (height, *rows.shape[1:]), rows.dtype

    def __getitem__(self, part: tuple[slice, slice]) -> NDArray[Any]:
        """Rows and columns, both with a start and a stop; the rows are to be of the band."""
        return self.rows[part[0].start - self.first : part[0].stop - self.first, part[1]]


class Bands:
    """What the tiles of a plan see of a picture whose own memory takes their results: each row of tiles a copy.

    Tiles are to be begun in the plan's order, by any number of threads, and a result to be written only by whoever has
    got its tile's band.

    Args:
        picture: `[H, W, ...]`, perhaps smaller than the plan.
    """

    def __init__(self, picture: NDArray[Any], plan: TilePlan) -> None:
        self._picture, self._plan = picture, plan
        self._lock = Lock()
        self._kept: dict[int, Band] = {}
        self._made = 0  # bands so far
        self._waiting: dict[int, int] = {}  # tiles of each that have not asked yet

    def of(self, tile: Tile) -> Band:
        """The rows that a tile sees as they were at first; each tile may ask once."""
        wanted = tile.top // self._plan.core_height
        with self._lock:
            # In their order, so that what a row above has overwritten is still in its band.
            while self._made <= wanted:
                self._make(self._made)
            band = self._kept[wanted]
            self._waiting[wanted] -= 1
            for index in [index for index, tiles in self._waiting.items() if not tiles and index < self._made - 1]:
                del self._kept[index], self._waiting[index]
            return band

    def _make(self, index: int) -> None:
        rows = self._plan.rows(index * self._plan.core_height, self._picture.shape[0])
        above = self._kept.get(index - 1)
        seen = rows.start if above is None else max(rows.start, above.first + len(above.rows))
        parts = [self._picture[seen : rows.stop]]
        if above is not None:
            parts.insert(0, above.rows[rows.start - above.first :])
        self._kept[index] = Band(np.concatenate(parts), rows.start, self._picture.shape[0])
        self._waiting[index] = -(-self._plan.width // self._plan.core_width)
        self._made += 1

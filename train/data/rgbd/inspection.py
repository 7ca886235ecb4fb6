"""What is in a set before anybody trains on it: ranges, holes, and pairs that look wrong.

A suspicion is a hint to look at the contact sheet, not a verdict: some ceilings are nearer than the floor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ....runtime_ref.errors import DofkitError
from .pair import Array, Bytes, FoundSet, RgbdPair

SIDE = 160
"""Long side in pixels at which edges are compared."""
ASPECT = 0.02
"""How far the aspects of photo and map may lie apart, as a share."""
FLAT_SHARE = 0.99
"""A map with so many equal values says nothing."""
SHIFT, SHIFT_GAIN, MIRROR_GAIN = 0.02, 0.06, 0.06
"""Edges that fit better elsewhere are suspicious from this share of the long side on, or mirrored, if their correlation
grows by so much. Of 121 pairs of sensors, stereo and phones 5 are suspected in place, 118 when moved by 4 % of the
side; none in place and 113 when mirrored."""
SPARSE = 0.6
"""With less of the map known its edges are those of its holes."""
INVERTED = -0.6
"""Rank correlation of rows from top to bottom with their mean disparity, below which near and far seem exchanged: none
of the 121 pairs, 106 of them when inverted."""
SENSIBLE_METRES = (0.05, 500.0)
"""Median depth of a picture; beyond it is a mistake of units."""


@dataclass(frozen=True)
class PairFacts:
    """What was seen in one pair.

    Attributes:
        name: of the pair.
        photo: (height, width).
        map: (height, width) of the depth map, or of the mask where there is no depth; None where nothing was read.
        known: share of the map's pixels with a value; of a mask, the subject's share.
        range: 2nd, 50th and 98th percentile of the known values, in metres or in the map's own unit.
        row_order: rank correlation of rows, from top to bottom, with their mean disparity; None without depth.
        suspicions: sentences; empty where nothing is wrong.
        error: why the pair cannot be read, in one line; None where it can.
    """

    name: str
    photo: tuple[int, int] | None = None
    map: tuple[int, int] | None = None
    known: float = 0.0
    range: tuple[float, float, float] | None = None
    row_order: float | None = None
    suspicions: tuple[str, ...] = ()
    error: str | None = None


@dataclass(frozen=True)
class SetFacts:
    """What was seen in a set.

    Attributes:
        found: the set.
        pairs: one a pair, in order.
    """

    found: FoundSet = field(repr=False)
    pairs: tuple[PairFacts, ...]

    @property
    def read(self) -> list[PairFacts]:
        """Those that could be read."""
        return [pair for pair in self.pairs if pair.error is None]

    @property
    def suspicious(self) -> list[PairFacts]:
        """Those that look wrong or cannot be read."""
        return [pair for pair in self.pairs if pair.suspicions or pair.error]

    @property
    def range(self) -> tuple[float, float, float] | None:
        """The least 2nd percentile, the median of medians, the greatest 98th percentile."""
        ranges = [pair.range for pair in self.read if pair.range is not None]
        if not ranges:
            return None
        low, middle, high = zip(*ranges, strict=True)
        return min(low), float(np.median(middle)), max(high)

    @property
    def known(self) -> float:
        """Mean share of pixels with a value, or of the subject."""
        return float(np.mean([pair.known for pair in self.read])) if self.read else 0.0

    @property
    def warning(self) -> str | None:
        """What holds for the set as a whole; None where nothing does."""
        orders = [pair.row_order for pair in self.read if pair.row_order is not None]
        if len(orders) >= 3 and float(np.median(orders)) < 0:
            return "in most pairs the top is nearer than the bottom: near and far may be exchanged"
        return None

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "format": self.found.format.name,
            "title": self.found.format.title,
            "declares": self.found.format.declares,
            "folder": str(self.found.folder),
            "pairs": len(self.pairs),
            "known": self.known,
            "range": self.range,
            "warning": self.warning,
            "each": [asdict(pair) for pair in self.pairs],
        }


def inspect_set(found: FoundSet, progress: Callable[[int], None] | None = None) -> SetFacts:
    """Read every pair and look at it; those that cannot be read are listed with the reason.

    Args:
        found: the set.
        progress: called with the pairs done.
    """
    pairs = []
    for number, entry in enumerate(found.entries):
        try:
            pairs.append(inspect_pair(found[number]))
        except DofkitError as error:
            pairs.append(PairFacts(entry.name, error=str(error)))
        if progress is not None:
            progress(number + 1)
    return SetFacts(found, tuple(pairs))


def inspect_pair(pair: RgbdPair) -> PairFacts:
    """Look at one pair."""
    photo = pair.photo.shape[:2]
    if pair.depth is None:
        assert pair.mask is not None
        share = float((pair.mask >= 0.5).mean())
        suspicions = (*_size_suspicions(photo, pair.mask.shape), *_mask_suspicions(share))
        return PairFacts(pair.name, photo, _size(pair.mask), share, suspicions=suspicions)
    values, known = pair.depth.values, pair.depth.known
    if not known.any():
        return PairFacts(pair.name, photo, _size(values), suspicions=("nothing is known",))
    low, middle, high = np.percentile(values[known], [2, 50, 98])
    suspicions = [*_size_suspicions(photo, values.shape)]
    order = None
    if _is_flat(values[known]):
        suspicions.append("all one value")
    else:
        disparity = pair.depth.disparity()
        order = row_order(disparity)
        if order is not None and order < INVERTED:
            suspicions.append(f"the top is nearer than the bottom (rank correlation {order:.2f}): inverted?")
        if not suspicions and known.mean() >= SPARSE:
            suspicions += _place_suspicions(pair.photo, disparity)
    metres = pair.depth.metres()
    if (
        metres is not None
        and not SENSIBLE_METRES[0] <= (typical := float(np.median(metres[known]))) <= (SENSIBLE_METRES[1])
    ):
        suspicions.append(f"a median depth of {typical:.3g} m: is the unit right?")
    range_ = (float(low), float(middle), float(high))
    return PairFacts(pair.name, photo, _size(values), float(known.mean()), range_, order, tuple(suspicions))


def _size(values: NDArray[Any]) -> tuple[int, int]:
    return values.shape[0], values.shape[1]


def _size_suspicions(photo: tuple[int, ...], stored: tuple[int, ...]) -> tuple[str, ...]:
    """A map covers the whole photo, so both have one aspect."""
    apart = abs(np.log((stored[0] / stored[1]) / (photo[0] / photo[1])))
    if apart <= ASPECT + 1 / min(stored):  # a small map's sides are rounded
        return ()
    sizes = f"{stored[1]}×{stored[0]} over a photo of {photo[1]}×{photo[0]}"
    turned = abs(np.log((stored[1] / stored[0]) / (photo[0] / photo[1]))) <= ASPECT
    return (f"{sizes}: turned by 90°?" if turned else f"{sizes}: another aspect",)


def _mask_suspicions(share: float) -> tuple[str, ...]:
    if share in (0.0, 1.0):
        return ("the mask is all one value",)
    return (f"the mask covers {share:.0%}: inverted?",) if share > 0.9 else ()


def _is_flat(values: Array) -> bool:
    middle = np.median(values)
    return float((values == middle).mean()) >= FLAT_SHARE


def row_order(disparity: Array) -> float | None:
    """Rank correlation of rows, from top to bottom, with their mean disparity: nearly always above 0, as grounds come
    nearer downwards and skies are far. None where fewer than three rows have a value.

    Args:
        disparity: [h, w], NaN where unknown.
    """
    rows = np.isfinite(disparity).any(axis=1)
    if rows.sum() < 3:
        return None
    means = np.array([np.nanmean(row) for row in disparity[rows]])
    ranks = np.argsort(np.argsort(means))
    if np.ptp(means) == 0:
        return None
    return float(np.corrcoef(ranks, np.arange(len(ranks)))[0, 1])


def _place_suspicions(photo: Bytes, disparity: Array) -> list[str]:
    """Whether the map's edges lie on the photo's, or would elsewhere."""
    here, shift, moved, mirrored = alignment(photo, disparity)
    if mirrored > here + MIRROR_GAIN and mirrored >= moved:
        return ["its edges fit the photo's better when mirrored"]
    if moved > here + SHIFT_GAIN and np.hypot(*shift) >= SHIFT:
        return [f"its edges fit the photo's better {_percent(shift[1])} right, {_percent(shift[0])} down: misaligned?"]
    return []


def _percent(share: float) -> str:
    return f"{100 * share:+.1f} %"


def alignment(photo: Bytes, disparity: Array) -> tuple[float, tuple[float, float], float, float]:
    """How well the edges of map and photo fall together, at a long side of `SIDE` pixels.

    Returns:
        (correlation of edge strengths in place; the shift (down, right) of the map, as shares of the long side and at
        most 8 % each, that gives the greatest correlation; that correlation; the correlation of the mirrored map).
    """
    scale = SIDE / max(photo.shape[:2])
    size = (max(8, round(photo.shape[1] * scale)), max(8, round(photo.shape[0] * scale)))
    grey = np.asarray(Image.fromarray(photo).convert("L").resize(size, Image.Resampling.BOX), np.float64)
    filled = np.where(np.isfinite(disparity), disparity, np.nanmedian(disparity)).astype(np.float32)
    small = np.asarray(Image.fromarray(filled).resize(size, Image.Resampling.BOX), np.float64)
    first, second = _edges(grey), _edges(small)
    reach = round(0.08 * SIDE)
    table = _correlations(first, second, reach)
    place = np.unravel_index(int(table.argmax()), table.shape)
    shift = (int(place[0]) - reach) / SIDE, (int(place[1]) - reach) / SIDE
    mirrored = _correlations(first, second[:, ::-1], 0)[0, 0]
    return float(table[reach, reach]), shift, float(table.max()), float(mirrored)


def _edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Strength of edges, of mean 0 and deviation 1; strong ones do not outweigh all others."""
    down, right = np.gradient(values)
    strength = np.sqrt(np.hypot(down, right))
    return (strength - strength.mean()) / max(float(strength.std()), 1e-9)


def _correlations(first: NDArray[np.float64], second: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """[2·reach + 1, 2·reach + 1]: mean of first · second moved by (down, right), each from −reach to reach."""
    shape = tuple(side + reach for side in first.shape)
    product = np.fft.irfft2(np.fft.rfft2(first, shape) * np.conj(np.fft.rfft2(second, shape)), shape)
    steps = np.arange(-reach, reach + 1)
    overlap = [(side - np.abs(steps)) for side in first.shape]
    return product[np.ix_(steps, steps)] / np.outer(*overlap)

"""Whether a network's near is near: five photos and four cues, each of which nearly every photo has right.

Single photos are right in 92 to 100 of 100 (what is below is nearer, skies are far, another network agrees); the median
of five practically always. What the numbers are beyond their sign, 1/z or z, no photo can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime_ref.errors import DofkitError
from ...runtime_ref.pipeline.pyramid import resize

Array = NDArray[Any]
Disparity = Callable[[NDArray[np.uint8]], Array]

# A cue below this says nothing: differences are shares of the map's range, the others are correlations.
_LEAST = 0.05
# Sky: in the upper half, bright, no redder than blue, and smooth; on at least a hundredth of the photo.
_BRIGHT, _SMOOTH, _ENOUGH = 0.6, 0.02, 0.01
_SIDE = 96  # of the maps that are compared, in pixels


@dataclass(frozen=True)
class SignCues:
    """What a photo says of a map's sign: positive, it is right; None, nothing.

    Attributes:
        thirds: the lower third's mean less the upper's, as a share of the map's range.
        rows: Spearman's correlation of the rows' means with their numbers.
        sky: the rest's mean less the sky's, as a share of the range; None without a sky.
        ours: Pearson's correlation with the disparity of dofkit's own network.
    """

    thirds: float
    rows: float
    sky: float | None
    ours: float

    @property
    def votes(self) -> tuple[int, ...]:
        """+1, −1 or 0 of each cue."""
        cues = (self.thirds, self.rows, self.sky, self.ours)
        return tuple(0 if cue is None or abs(cue) < _LEAST else int(np.sign(cue)) for cue in cues)


def sign_cues(photo: NDArray[np.uint8], disparity: Array, ours: Array) -> SignCues:
    """The cues of a photo.

    Args:
        photo: `[H, W, 3]`.
        disparity: of the network in question, `[h, w]`, 1 said to be nearest.
        ours: of dofkit's own network, `[h, w]`.
    """
    side = (_SIDE, _SIDE)
    found, known = (resize(values.astype(np.float32), side) for values in (disparity, ours))
    spread = float(np.ptp(found)) or 1.0
    third = _SIDE // 3
    sky = _sky(resize(photo.astype(np.float32) / 255, side))
    there = _ENOUGH <= sky.mean() <= 1 - _ENOUGH
    return SignCues(
        thirds=float(found[-third:].mean() - found[:third].mean()) / spread,
        rows=_correlation(_ranks(found.mean(axis=1)), np.arange(_SIDE)),
        sky=float(found[~sky].mean() - found[sky].mean()) / spread if there else None,
        ours=_correlation(found, known),
    )


def _sky(picture: Array) -> Array:
    """Where a picture `[h, w, 3]` in [0, 1] shows a sky, as far as colour and smoothness tell."""
    luma = picture.mean(axis=2)
    rough = sum(np.abs(np.diff(luma, axis=axis, append=np.take(luma, [-1], axis=axis))) for axis in (0, 1))
    upper = np.arange(len(luma))[:, None] < len(luma) / 2
    return (luma > _BRIGHT) & (picture[..., 2] >= picture[..., 0]) & (rough < _SMOOTH) & upper


def _ranks(values: Array) -> Array:
    """Places in the order of size, equal ones for equal values."""
    return np.unique(values, return_inverse=True)[1]


def _correlation(one: Array, other: Array) -> float:
    """Pearson's; 0 where one of them does not vary."""
    first, second = (np.asarray(values, np.float64).reshape(-1) for values in (one, other))
    first, second = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / scale if scale > 0 else 0.0


def check_sign(photos: Iterable[NDArray[np.uint8]], network: Disparity, ours: Disparity, source: str) -> str:
    """Ask photos whether a network's near is near.

    Args:
        photos: `[H, W, 3]`; five suffice.
        network: photo → its disparity.
        ours: photo → the disparity of dofkit's own network.
        source: what the network is called.

    Returns:
        A warning where they are split or say nothing; empty where they agree that it is right.

    Raises:
        DofkitError: they agree on the contrary.
    """
    votes = np.array([sign_cues(photo, network(photo), ours(photo)).votes for photo in photos])
    cues = np.sign(np.median(votes, axis=0))  # one vote a cue: the median photo's
    words = f"{int((votes > 0).sum())} cues for it, {int((votes < 0).sum())} against it in {len(votes)} photos"
    agree = 2  # one cue may come from chance
    if (cues < 0).sum() >= agree and not (cues > 0).any() and votes.mean() < -0.5:
        raise DofkitError(
            f"{source} gives near as far ({words}): say what it really gives with --depth-kind, or --assume-sign if "
            "the photos are wrong"
        )
    if (cues > 0).sum() >= agree and not (cues < 0).any():
        return ""
    return f"photos do not tell whether {source} gives near as near ({words}); look at a portrait of yours"

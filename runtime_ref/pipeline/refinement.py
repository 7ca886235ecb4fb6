"""Small depth maps brought to a photo's size, their edges moved onto the photo's, their holes filled. Numpy only.

Phones store 768×576 values and less for twelve megapixels. Stretched bilinearly, such a map has ramps where the photo
has edges: hair and shoulders get a rim that is neither sharp nor blurred. Here a value near an edge is taken from the
side whose colours are the pixel's own (joint bilateral upsampling, Kopf et al. 2007), then once more from those of its
neighbours that say about the same (a step of mean shift, Comaniciu and Meer 2002), which undoes what both averaged.
Away from edges the map stays as linear interpolation has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .pyramid import white_of
from .resampling import resize

Map = NDArray[np.float32]
Positions = NDArray[np.float64]

LONGEST = 1536
"""Long side up to which maps are brought: half of a twelve megapixel photo's, about what its last level looks at."""
COARSE = 4.5
"""Pixels of a photo's long side to one of a map's, from which on `render` brings the map to another size first.
Portraits of two Middlebury pairs from maps reduced by 8 come 3.5 dB nearer to those from the whole maps (47.5 → 51.0),
by 4 they lose 0.4 dB (52.7 → 52.2): the pipeline makes good use of values that are exact means. A phone's 768 of 4032
are 5.25."""
REACH = 1
"""Values of the small map to each side of the one behind a pixel that it may take its own from; with 2 it gains nothing
(40.4 dB instead of 41.3 of the whole map, five Middlebury pairs reduced by 4; the same pairs chose the next three)."""
SPATIAL = 0.6
"""Standard deviation of their weights, in the small map's pixels."""
COLOUR = 0.1
"""Standard deviation in colour, the Euclidean distance of RGB in [0, 1]."""
AGREEING = 0.05
"""Standard deviation in disparity around the first estimate, for the second."""
LEAST_AGREEING = 1e-6
"""What of its weight a value keeps that does not agree at all: there is always one."""
EDGE = 0.02
"""Disparities within reach that differ by more hold an edge; a slope of less is left to linear interpolation."""
_PIXELS_AT_ONCE = 1 << 16


@dataclass(frozen=True, eq=False)
class _Small:
    """The small map, flat, with the colours of the photo behind each value.

    Attributes:
        values: [h·w].
        colours: [h·w, 3] in [0, 1].
        height, width: h and w.
    """

    values: Map
    colours: Map
    height: int
    width: int


def is_coarse(disparity: Map, photo: NDArray[Any]) -> bool:
    """Whether a portrait of the photo gains by `upsampled_disparity`; see `COARSE`."""
    return max(photo.shape[:2]) >= COARSE * max(disparity.shape)


def refined_disparity(disparity: Map, photo: NDArray[Any]) -> Map:
    """A measured map as a portrait is made with it (step 5): where it is coarse, brought nearer to the photo's size.

    Args:
        disparity: float32 `[h, w]` in [0, 1], 1 = nearest, over the whole photo.
        photo: `[H, W, 3]`, uint8, uint16 or float32 in [0, 1], upright.
    """
    return upsampled_disparity(disparity, photo, LONGEST) if is_coarse(disparity, photo) else disparity


def upsampled_disparity(disparity: Map, photo: NDArray[Any], longest: int) -> Map:
    """A disparity map at the photo's size, or at a smaller size of the same aspect with the long side `longest`.

    A map that is as large already only gets its holes filled.

    Args:
        disparity: float32 `[h, w]` in [0, 1], over the whole photo; NaN where unknown, but not everywhere.
        photo: `[H, W, 3]`, uint8, uint16 or float32 in [0, 1], upright.
        longest: pixels.

    Returns:
        float32 `[H', W']` in the range of the known values.

    Raises:
        ValueError: nothing is known.
    """
    if not np.isfinite(disparity).any():
        raise ValueError("a map of which nothing is known cannot be brought to another size")
    filled = filled_disparity(disparity, photo)
    size = _goal(photo.shape, longest)
    if max(size) <= max(disparity.shape):
        return filled
    small = _small(filled, _colours(photo, filled.shape))
    guide = _colours(photo, size).reshape(-1, 3)
    result = resize(filled, size)
    rows, columns = (_positions(*sides) for sides in zip(size, filled.shape, strict=True))
    holds_edge = _spread(filled, REACH) > EDGE
    near_edges = np.flatnonzero(holds_edge[rows.astype(np.intp)[:, None], columns.astype(np.intp)])
    flat = result.reshape(-1)
    for start in range(0, len(near_edges), _PIXELS_AT_ONCE):
        places = near_edges[start : start + _PIXELS_AT_ONCE]
        down, right = np.divmod(places, size[1])
        flat[places] = _from_own_side(small, rows[down], columns[right], guide[places])
    return result


def filled_disparity(disparity: Map, photo: NDArray[Any]) -> Map:
    """The map without holes: each gets the mean of known neighbours, weighted by the likeness of their colours, from
    its border inwards.

    Args:
        disparity: float32 `[h, w]`, NaN where unknown, but not everywhere.
        photo: `[H, W, 3]` of any size over the same picture, uint8, uint16 or float32 in [0, 1].
    """
    if np.isfinite(disparity).all():
        return disparity
    small = _small(disparity.copy(), _colours(photo, disparity.shape))
    holes = np.flatnonzero(~np.isfinite(small.values))
    while len(holes):
        rows, columns = np.divmod(holes, small.width)
        places, weights = _neighbours(small, rows + 0.5, columns + 0.5, small.colours[holes])
        values = small.values[places]
        known = np.isfinite(values)
        weights = np.where(known, weights + np.float32(1e-30), 0)  # known ones count, however unlike they look
        reached = known.any(axis=1)
        total = weights[reached].sum(axis=1)
        small.values[holes[reached]] = (weights * np.nan_to_num(values))[reached].sum(axis=1) / total
        holes = holes[~reached]
    return small.values.reshape(disparity.shape)


def _from_own_side(small: _Small, rows: Positions, columns: Positions, colours: Map) -> Map:
    """The values [N] of pixels near edges, by their positions in the small map and their colours [N, 3]."""
    taken, weights = _neighbours(small, rows, columns, colours)
    values = small.values[taken]
    first = (weights * values).sum(axis=1) / weights.sum(axis=1)
    weights *= np.exp(np.square(values - first[:, None]) * np.float32(-0.5 / AGREEING**2)) + np.float32(LEAST_AGREEING)
    return (weights * values).sum(axis=1) / weights.sum(axis=1)


def _neighbours(small: _Small, rows: Positions, columns: Positions, colours: Map) -> tuple[NDArray[np.intp], Map]:
    """Flat places [N, 9] of the values around positions [N] in the small map, and their weights by distance and by
    likeness to `colours` [N, 3]. At the border the outermost value stands for what is beyond."""
    steps = np.arange(-REACH, REACH + 1)
    down, right = rows.astype(np.intp)[:, None] + steps, columns.astype(np.intp)[:, None] + steps
    fall = np.float32(-0.5 / SPATIAL**2)
    away = (np.square(at + 0.5 - position[:, None]) for at, position in ((down, rows), (right, columns)))
    distance = np.add(next(away)[:, :, None], next(away)[:, None, :])
    down, right = np.clip(down, 0, small.height - 1), np.clip(right, 0, small.width - 1)
    places = (down[:, :, None] * small.width + right[:, None, :]).reshape(len(rows), -1)
    unlike = np.zeros(places.shape, np.float32)
    for channel in range(3):
        unlike += np.square(small.colours[places, channel] - colours[:, channel, None])
    exponent = distance.reshape(len(rows), -1).astype(np.float32) * fall + unlike * np.float32(-0.5 / COLOUR**2)
    exponent -= exponent.max(axis=1, keepdims=True)  # where no colour is alike, the likest counts
    return places, np.exp(exponent)


def _small(values: Map, colours: Map) -> _Small:
    return _Small(np.ascontiguousarray(values, np.float32).reshape(-1), colours.reshape(-1, 3), *values.shape)


def _colours(photo: NDArray[Any], size: tuple[int, ...]) -> Map:
    """[height, width, 3] in [0, 1]: the photo, each pixel the mean of what it covers."""
    return np.asarray(resize(photo, (size[0], size[1])) / white_of(photo), np.float32)


def _positions(count: int, side: int) -> Positions:
    """Where the centres of `count` pixels lie over `side` values, from their corner: the whole part is the value that
    one lies on. Quotients of whole numbers, so that every client counts alike."""
    return (2 * np.arange(count) + 1) * side / (2 * count)


def _goal(shape: tuple[int, ...], longest: int) -> tuple[int, int]:
    scale = min(1.0, longest / max(shape[:2]))
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _spread(values: Map, reach: int) -> Map:
    """Greatest minus least value within `reach` of each, [h, w]."""
    most, least = values, values
    for axis in (0, 1):
        pads = [(reach, reach) if one == axis else (0, 0) for one in (0, 1)]
        most = np.lib.stride_tricks.sliding_window_view(np.pad(most, pads, mode="edge"), 2 * reach + 1, axis).max(-1)
        least = np.lib.stride_tricks.sliding_window_view(np.pad(least, pads, mode="edge"), 2 * reach + 1, axis).min(-1)
    return most - least

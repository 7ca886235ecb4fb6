"""Contact sheets of image + depth sets: photo, map, and the map's edges over the photo, to see what is wrong."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ....runtime_ref.errors import DofkitError
from .inspection import SetFacts
from .pair import Array, Bytes, RgbdPair

Mask = NDArray[np.bool_]

HEIGHT, WIDTH = 120, 160
"""Of a picture on the sheet, at most, in pixels."""
LINE, GAP = 14, 6
"""Height of a line of text, and the space between pairs."""
COLUMNS = 2
UNKNOWN = (140, 90, 190)
"""Of what is not known; no grey."""
EDGE = (255, 40, 40)
STEEP = 0.04
"""A step of the normalised map from pixel to pixel that is drawn as an edge."""


def contact_sheet(sets: Sequence[SetFacts], count: int = 24) -> bytes:
    """A PNG of up to `count` pairs of each set: those that look wrong first, then others from all over the set.

    Pairs that cannot be read are left out.
    """
    strips = []
    for one in sets:
        strips.append(_strip(_title(one), 2 * LINE, COLUMNS * 3 * WIDTH))
        cells = [cell for place in shown_pairs(one, count) if (cell := _cell(one, place)) is not None]
        strips += [_row(cells[start : start + COLUMNS]) for start in range(0, len(cells), COLUMNS)]
    stream = io.BytesIO()
    Image.fromarray(np.concatenate(strips)).save(stream, "PNG")
    return stream.getvalue()


def shown_pairs(one: SetFacts, count: int) -> list[int]:
    """Places of pairs on the sheet: at most half of them suspicious ones."""
    suspicious = [place for place, pair in enumerate(one.pairs) if pair.suspicions]
    first = suspicious[: -(-count // 2)]
    rest = [place for place, pair in enumerate(one.pairs) if place not in first and pair.error is None]
    number = min(count - len(first), len(rest))
    evenly = np.linspace(0, len(rest) - 1, number).astype(int).tolist() if number else []
    return first + [rest[place] for place in evenly]


def _title(one: SetFacts) -> str:
    warning = f"  ! {one.warning}" if one.warning else ""
    return f"{one.found.folder.name}: {one.found.format.title}, {len(one.pairs)} pairs{warning}"


def _cell(one: SetFacts, place: int) -> Bytes | None:
    """Three pictures side by side over a line of text."""
    try:
        pair = one.found[place]
    except DofkitError:
        return None
    photo = _fitted(Image.fromarray(pair.photo))
    values = _map_of(pair)
    grey, edges = _grey(values, photo.size), _edges(values, photo.size)
    over = np.asarray(photo).copy()
    over[edges] = EDGE
    canvas = np.full((HEIGHT, 3 * WIDTH, 3), 255, np.uint8)
    for number, picture in enumerate((np.asarray(photo), grey, over)):
        canvas[: picture.shape[0], number * WIDTH : number * WIDTH + picture.shape[1]] = picture
    text = f"{pair.name}  {'; '.join(one.pairs[place].suspicions)}"
    below = _strip(text, LINE, 3 * WIDTH, alarming=bool(one.pairs[place].suspicions))
    return np.concatenate([canvas, below, np.full((GAP, 3 * WIDTH, 3), 255, np.uint8)])


def _map_of(pair: RgbdPair) -> Array:
    """[h, w]: disparity, or the mask where there is no depth."""
    if pair.depth is not None:
        return pair.depth.disparity()
    assert pair.mask is not None
    return pair.mask


def _fitted(photo: Image.Image) -> Image.Image:
    small = photo.copy()
    small.thumbnail((WIDTH - GAP, HEIGHT), Image.Resampling.BOX)
    return small


def _normalised(values: Array, size: tuple[int, int]) -> tuple[Array, Mask]:
    """(values in [0, 1], where they are known) at `size`, without a mean across edges."""
    known = np.isfinite(values)
    low, high = np.percentile(values[known], [1, 99]) if known.any() else (0.0, 1.0)
    share = np.clip((np.nan_to_num(values) - low) / max(float(high - low), 1e-9), 0, 1).astype(np.float32)
    shown = Image.fromarray(share).resize(size, Image.Resampling.NEAREST)
    mask = Image.fromarray(known).resize(size, Image.Resampling.NEAREST)
    return np.asarray(shown), np.asarray(mask)


def _grey(values: Array, size: tuple[int, int]) -> Bytes:
    share, known = _normalised(values, size)
    grey = np.repeat(np.rint(share * 255).astype(np.uint8)[..., None], 3, axis=2)
    return np.where(known[..., None], grey, np.array(UNKNOWN, np.uint8))


def _edges(values: Array, size: tuple[int, int]) -> Mask:
    share, known = _normalised(values, size)
    edges = np.zeros(share.shape, bool)
    both = known[1:] & known[:-1]
    edges[1:] |= (np.abs(np.diff(share, axis=0)) > STEEP) & both
    both = known[:, 1:] & known[:, :-1]
    edges[:, 1:] |= (np.abs(np.diff(share, axis=1)) > STEEP) & both
    return edges


def _row(cells: list[Bytes]) -> Bytes:
    blank = np.full_like(cells[0], 255)
    return np.concatenate([*cells, *[blank] * (COLUMNS - len(cells))], axis=1)


def _strip(text: str, height: int, width: int, alarming: bool = False) -> Bytes:
    """A white strip with a line of text, cut at its right border."""
    strip = Image.new("RGB", (width, height), "white")
    drawable = text.encode("latin-1", "replace").decode("latin-1")  # what the built-in font has
    colour = (200, 0, 0) if alarming else (0, 0, 0)
    ImageDraw.Draw(strip).text((2, (height - LINE) // 2), drawable, colour, ImageFont.load_default())
    return np.asarray(strip)

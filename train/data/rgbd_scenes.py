"""Any set that `data.rgbd` recognises as scenes for the depth network's training, split like its other folders."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .depth import Folder, Scene, hold_out
from .rgbd import DepthMap, FoundSet, RgbdPair
from .rgbd.pair import Array
from .rgbd.plain import TABLE_FORMAT

NEAREST_M = 0.1  # nearer readings of a depth camera are noise


def split(found: FoundSet) -> tuple[list[int], list[int]]:
    """(training, held out): places in the set's entries; see `data.depth.hold_out`.

    Of a set that a table declares every third picture is held out: such sets are small, and their neighbours unlike.
    """
    numbers = {entry.name: number for number, entry in enumerate(found.entries)}
    if found.format.name == TABLE_FORMAT:
        ordered = [numbers[name] for name in sorted(numbers)]
        return [number for place, number in enumerate(ordered) if place % 3 != 1], ordered[1::3]
    training, held = ([numbers[name] for name in part] for part in hold_out(list(numbers)))
    return training, held


def read_scenes(found: FoundSet, side: int, stands: bool = False) -> tuple[Folder, Folder]:
    """(training, held out) of a set, kept with the longer side at most `side` pixels.

    Args:
        stands: whether the subjects of masks stand on a ground, as people in the street do.

    Raises:
        DofkitError: a file cannot be read.
    """
    training, held = (Folder([scene_of(found[number], side, stands) for number in part]) for part in split(found))
    return training, held


def scene_of(pair: RgbdPair, side: int, stands: bool = False) -> Scene:
    """A pair as a scene: disparity in [0, 1], see `scene_disparity`, and the subject's mask where there is one."""
    photo = Image.fromarray(pair.photo)
    photo.thumbnail((side, side), Image.Resampling.BICUBIC)
    disparity = subject = None
    if pair.depth is not None:
        values = Image.fromarray(scene_disparity(pair.depth))
        disparity = values.resize(photo.size, Image.Resampling.NEAREST)
    if pair.mask is not None:
        mask = Image.fromarray(np.rint(pair.mask * 255).astype(np.uint8))
        subject = mask.resize(photo.size, Image.Resampling.BILINEAR)
    return Scene(photo, disparity, subject, stands=stands)


def scene_disparity(depth: DepthMap) -> Array:
    """[h, w] in [0, 1], 1 at the picture's nearest point, NaN where unknown.

    Where infinity is known, 0 is at infinity and the map stays proportional to 1 / depth, which is what a lens blur
    needs; where it is not, 0 is the picture's farthest. What is nearer than 0.1 m is unknown.
    """
    disparity = depth.disparity()
    known = np.isfinite(disparity) & ((disparity >= 0) | (not depth.meaning.infinity_known))
    if depth.meaning.metric:
        known &= disparity <= 1 / NEAREST_M
    if not known.any():
        return np.full(disparity.shape, np.nan, np.float32)
    far = 0.0 if depth.meaning.infinity_known else float(disparity[known].min())
    span = max(float(disparity[known].max()) - far, np.finfo(np.float32).tiny)
    return np.where(known, (disparity - far) / span, np.nan).astype(np.float32)

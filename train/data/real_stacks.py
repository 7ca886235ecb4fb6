"""Focal stacks as a camera wrote them: read, and freed of focus breathing, the change of magnification with focus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from ...runtime_ref.errors import DofkitError
from ..rendering.lens import Array
from .pictures import read_rgb

Bytes = NDArray[np.uint8]
ALIGNED = 320
"""Longer side in pixels at which slices are aligned."""
SOFT = 2.5
"""Deviation of the blur in pixels under which slices are compared: what their own defocus changes is mostly gone."""
ROUNDS = 12


@dataclass(frozen=True)
class Similarity:
    """Where a slice's points lie in another: p' = (1 + zoom)·(p − centre) + centre + shift.

    Attributes:
        zoom: growth, 0 for none.
        right, down: shift as shares of the longer side.
    """

    zoom: float = 0.0
    right: float = 0.0
    down: float = 0.0

    def after(self, first: Similarity) -> Similarity:
        """First that one, then this one."""
        grown = 1 + self.zoom
        return Similarity(
            grown * (1 + first.zoom) - 1, grown * first.right + self.right, grown * first.down + self.down
        )


def read_stack(paths: Sequence[Path]) -> list[Image.Image]:
    """The slices in RGB, in the order given.

    Raises:
        DofkitError: there are fewer than two, one cannot be read, or their sizes differ.
    """
    if len(paths) < 2:
        raise DofkitError("a focal stack has two slices at least; give the folder, or the pictures in order of focus")
    slices = [read_rgb(path) for path in paths]
    for path, one in zip(paths, slices, strict=True):
        if one.size != slices[0].size:
            raise DofkitError(
                f"{path} is {one.width}×{one.height}, {paths[0].name} is {slices[0].width}×{slices[0].height}; "
                "give slices of one size, as the camera wrote them"
            )
    return slices


def breathing(slices: Sequence[Image.Image]) -> list[Similarity]:
    """For each slice where the middle slice's points lie in it; neighbours are compared, which look most alike."""
    small = [_softened(one) for one in slices]
    steps = [_between(first, second) for first, second in pairwise(small)]
    middle = len(slices) // 2
    found = [Similarity()] * len(slices)
    for number in range(middle + 1, len(slices)):
        found[number] = steps[number - 1].after(found[number - 1])
    for number in range(middle - 1, -1, -1):
        found[number] = _between(small[number + 1], small[number]).after(found[number + 1])
    return found


def without_breathing(slices: Sequence[Image.Image]) -> tuple[list[Image.Image], list[Similarity]]:
    """The slices as if all had the middle one's magnification, and what each was moved by."""
    moves = breathing(slices)
    return [_moved(one, move) for one, move in zip(slices, moves, strict=True)], moves


def _softened(image: Image.Image) -> Array:
    grey = image.convert("L")
    grey.thumbnail((ALIGNED, ALIGNED), Image.Resampling.BOX)
    values = np.asarray(grey, np.float32) / np.float32(255)
    return np.asarray(ndimage.gaussian_filter(values, SOFT), np.float32)


def _between(first: Array, second: Array) -> Similarity:
    """Where the first's points lie in the second: Gauss-Newton on the squared difference (Lucas and Kanade 1981), with
    a gain and an offset of brightness as further unknowns."""
    height, width = first.shape
    unit = max(height, width)
    y, x = (np.mgrid[:height, :width] - np.array([(height - 1) / 2, (width - 1) / 2])[:, None, None]) / unit
    slopes_y, slopes_x = np.gradient(first * unit)
    rim = max(3, unit // 20)
    inside = np.s_[rim : height - rim, rim : width - rim]
    basis = [slopes_x * x + slopes_y * y, slopes_x, slopes_y, first, np.ones_like(first)]
    columns = np.stack([one[inside].ravel() for one in basis], axis=1).astype(np.float64)
    found = Similarity()
    for _ in range(ROUNDS):
        rows = ((1 + found.zoom) * y + found.down) * unit + (height - 1) / 2
        across = ((1 + found.zoom) * x + found.right) * unit + (width - 1) / 2
        seen = ndimage.map_coordinates(second, [rows, across], order=1, mode="nearest")
        change, *_ = np.linalg.lstsq(columns, (seen - first)[inside].ravel().astype(np.float64), rcond=None)
        # what is seen equals the first moved by `change`: moving the other way takes it back
        found = found.after(Similarity(-change[0], -change[1], -change[2]))
        if np.abs(change[:3]).max() < 1e-5:
            break
    return found


def _moved(image: Image.Image, move: Similarity) -> Image.Image:
    if move == Similarity():
        return image
    grown, unit = 1 + move.zoom, max(image.size)
    left = (1 - grown) * image.width / 2 + move.right * unit
    top = (1 - grown) * image.height / 2 + move.down * unit
    return image.transform(
        image.size, Image.Transform.AFFINE, (grown, 0, left, 0, grown, top), Image.Resampling.BICUBIC
    )

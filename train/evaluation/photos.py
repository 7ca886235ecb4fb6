"""Real photos: no truth is known, so people look at the pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from ...runtime_ref.bundle import file_sha256
from ...runtime_ref.errors import DofkitError
from ...runtime_ref.imageio import eight_bits, embedded_disparity, read_photo, write_photo
from ...runtime_ref.parity.reports.pictures import Window
from ...runtime_ref.pipeline.optics import defocus, widen_focus
from ...runtime_ref.pipeline.portrait import Lens
from ...runtime_ref.pipeline.resampling import resize
from ...runtime_ref.pipeline.subject import auto_focus
from ..data.sources import SUFFIXES
from ..rendering.lens import Array
from .methods import Networks, digest
from .render import DepthSource, busiest_window
from .scores import EDGE_SHARE, Bytes

APERTURE = 0.7
"""Wide enough that mistakes show."""


@dataclass(frozen=True)
class PhotoView:
    """A photo as ours renders it.

    Attributes:
        sharp, ours: [H, W, 3].
        disparity: [h, w] in [0, 1].
        window: where the picture changes most, at depth edges if there are any.
        note: where the disparity is from, and the focus.
    """

    name: str
    sharp: Bytes
    ours: Bytes
    disparity: Array
    window: Window
    note: str


def find_photos(folder: Path) -> list[Path]:
    """Photos of a folder, itself only.

    Raises:
        DofkitError: it holds none.
    """
    wanted = SUFFIXES | {".heic", ".heif"}
    files = sorted(f for f in folder.glob("*") if f.suffix.lower() in wanted) if folder.is_dir() else []
    if not files:
        raise DofkitError(f"no photos in {folder}; give a folder with .jpg, .png, .webp or .heic files")
    return files


def photo_views(
    files: Sequence[Path],
    ours: Networks,
    depth: DepthSource,
    focus_range: float,
    cache: Path,
    progress: Callable[[int, int, str], None] | None = None,
) -> Iterator[PhotoView]:
    """Photos rendered as `dofkit render` does it, one at a time: embedded depth if there is any, the subject in focus.

    Args:
        files: photos.
        ours, depth: the networks.
        focus_range: disparities this close to the focus stay sharp where the depth network predicts them.
        cache: folder of finished pictures, from which a killed run goes on.
        progress: called with (done, all, name).
    """
    for number, file in enumerate(files):
        if progress is not None:
            progress(number, len(files), file.name)
        yield _view(file, ours, depth, focus_range, cache)


def _view(file: Path, ours: Networks, depth: DepthSource, focus_range: float, cache: Path) -> PhotoView:
    sharp = eight_bits(read_photo(file).pixels)
    disparity, source = embedded_disparity(file), "embedded in the photo"
    if disparity is None:
        disparity, source = depth(sharp), "predicted by the depth network"
    else:
        focus_range = 0.0
    focus = auto_focus(disparity)
    disparity = np.asarray(widen_focus(disparity, focus, focus_range), np.float32)
    key = digest(file_sha256(file), ours.fingerprint, depth.fingerprint, focus, focus_range, APERTURE)
    rendered = cache / f"{file.stem}-{key}.png"
    if not rendered.exists():
        cache.mkdir(parents=True, exist_ok=True)
        write_photo(rendered, ours.pipeline.render(sharp, disparity, Lens(focus, APERTURE)))
    pixels = eight_bits(read_photo(rendered).pixels)
    note = f"{sharp.shape[1]}×{sharp.shape[0]}, disparity {source}, focus {focus:.2f}, aperture {APERTURE:g}"
    return PhotoView(file.name, sharp, pixels, disparity, _window(sharp, pixels, disparity, focus), note)


def _window(sharp: Bytes, ours: Bytes, disparity: Array, focus: float) -> Window:
    """The busiest window along the border between what is in focus and what is not."""
    shape = (sharp.shape[0], sharp.shape[1])
    blurred = np.abs(resize(defocus(disparity, focus, APERTURE, max(shape)), shape)) > 2
    border = np.zeros(shape, bool)
    border[1:] |= blurred[1:] != blurred[:-1]
    border[:, 1:] |= blurred[:, 1:] != blurred[:, :-1]
    reach = 2 * max(1, round(max(shape) / EDGE_SHARE)) + 1
    return busiest_window(sharp, ours, np.asarray(ndimage.maximum_filter(border, reach)))

"""A photo's file in, a portrait's file out: what `dofkit render` does with each photo."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .api import open_pipeline
from .runtime_ref.imageio import (
    DisparityKind,
    check_goal,
    disparity_for,
    embedded_disparity,
    flatness_of,
    format_of,
    pixels_of,
    read_photo,
    write_disparity,
    write_photo,
)
from .runtime_ref.memory import give_back
from .runtime_ref.pipeline.focus import Focus
from .runtime_ref.pipeline.optics import USUAL_APERTURE
from .runtime_ref.pipeline.pyramid import over_photo
from .runtime_ref.pipeline.refinement import refined_disparity
from .runtime_ref.pipeline.stage import TILED
from .runtime_ref.target import Precision, Target
from .train.brought.naming import NetworkNames

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .runtime_ref.imageio import Photo
    from .runtime_ref.pipeline.portrait import Focused, PortraitPipeline


@dataclass(frozen=True)
class Computed:
    """What computes portraits, as `open_pipeline` takes it.

    Attributes:
        bundle: folder of a bundle; None: PyTorch.
        target, precision: which of the bundle's files.
        weights: folder of weights for PyTorch.
        threads: CPU threads of the runtime.
        brought: networks that were brought, for PyTorch.
    """

    bundle: Path | None = None
    target: Target | None = None
    precision: Precision | None = None
    weights: Path | None = None
    threads: int = 2
    brought: NetworkNames = field(default_factory=NetworkNames)

    def open(self) -> PortraitPipeline:
        """The pipeline; errors as of `open_pipeline`."""
        blur, upsampling = map(self.brought.of_stage, TILED)
        return open_pipeline(
            self.bundle,
            target=self.target,
            precision=self.precision,
            weights=self.weights,
            threads=self.threads,
            depth=self.brought.depth,
            lens_blur=blur and blur.model,
            upsampling=upsampling and upsampling.model,
        )


@dataclass(frozen=True)
class Look:
    """How portraits are to look.

    Attributes:
        focus: what is in focus.
        aperture: 0 blurs nothing, 1 the most.
        predict: whether the depth network is asked even where a photo brings depth.
    """

    focus: Focus = field(default_factory=Focus)
    aperture: float = USUAL_APERTURE
    predict: bool = False


@dataclass(frozen=True)
class DisparityFile:
    """A disparity of one photo as a file.

    Attributes:
        path: 8- or 16-bit PNG.
        kind: what it holds; None: disparity.
        stretch: whether it covers the whole photo, whatever its sides.
    """

    path: Path
    kind: DisparityKind | None = None
    stretch: bool = False


@dataclass(frozen=True)
class Rendered:
    """What was done with a photo.

    Attributes:
        out: the portrait's file.
        width, height: in pixels.
        disparity: where it was from: file, embedded or predicted.
        focus: disparity in focus.
        aperture: of the rendering.
        runtime: what computed.
        seconds: from reading to writing.
        notes: what was lost or odd.
    """

    out: str
    width: int
    height: int
    disparity: str
    focus: float
    aperture: float
    runtime: str
    seconds: float
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {**asdict(self), "notes": list(self.notes)}


@dataclass(frozen=True)
class _Stored:
    """The disparity that comes with a photo; `values` are None where the depth network is to be asked."""

    values: NDArray[np.float32] | None
    source: str
    notes: tuple[str, ...] = ()


def render_file(
    pipeline: Callable[[], PortraitPipeline],
    image: Path,
    goal: Path,
    look: Look,
    file: DisparityFile | None = None,
    save_disparity: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Rendered:
    """Render a photo with a shallow depth of field, whole or not at all.

    Args:
        pipeline: opens what computes; called in another thread, once the file is known to be a photo.
        image: the photo.
        goal: JPEG, PNG, HEIC or WebP.
        look: how it is to look.
        file: its disparity. Default: the embedded one, else the depth network's.
        save_disparity: 16-bit PNG to write the disparity to.
        progress: called with (tiles done, tiles in all).

    Raises:
        DofkitError: the photo cannot be read, or the goal not be written; see also `pipeline`.
    """
    started = time.perf_counter()
    with ThreadPoolExecutor(1) as beside:
        # While the photo is decoded; not for what is none, which a word answers at once.
        opening = beside.submit(pipeline) if pixels_of(image) else None
        photo = read_photo(image, format_of(goal).keep)
        for path in filter(None, (goal, save_disparity)):
            check_goal(path, *photo.pixels.shape[:2])
        stored = _stored_disparity(image, photo, file, look.predict)
    opened = pipeline() if opening is None else opening.result()
    focused, flat = _focused(opened, photo, stored.values, look, save_disparity)
    source, notes = stored.source, stored.notes
    del stored  # a map of 48 megapixels takes 200 MB
    give_back()
    taken, photo = photo.pixels, replace(photo, pixels=photo.pixels[:0].copy())
    pixels = opened.render_defocused(
        taken, focused.levels, taken.dtype.type, progress=progress, overwrite=taken.flags.writeable
    )
    lens = focused.lens
    del focused, taken  # encoders make copies, of 48 megapixels another 190 MB: what is not needed any more goes before
    give_back()
    lost = write_photo(goal, pixels, photo)
    said = (
        *(f"{image} {note}" for note in photo.notes),
        *notes,
        *([f"the disparity ({source}) {flat}"] if flat else []),
        *(f"{goal}: {note}" for note in lost),
    )
    return Rendered(
        out=str(goal),
        width=pixels.shape[1],
        height=pixels.shape[0],
        disparity=source,
        focus=round(lens.focus, 4),
        aperture=look.aperture,
        runtime=", ".join(opened.runtimes),
        seconds=round(time.perf_counter() - started, 2),
        notes=said,
    )


def _stored_disparity(image: Path, photo: Photo, file: DisparityFile | None, predict: bool) -> _Stored:
    """The disparity that comes with the photo. A map that dofkit saved is taken as it is, others are refined."""
    if file is not None:
        brought = disparity_for(photo, file.path, file.kind, file.stretch)
        values = brought.values if brought.ours else refined_disparity(brought.values, photo.pixels)
        return _Stored(values, "file", tuple(f"{file.path} {note}" for note in brought.notes))
    embedded = None if predict else embedded_disparity(image)
    if embedded is None:
        return _Stored(None, "predicted")
    return _Stored(refined_disparity(embedded, photo.pixels), "embedded")


def _focused(
    pipeline: PortraitPipeline,
    photo: Photo,
    stored: NDArray[np.float32] | None,
    look: Look,
    save_disparity: Path | None,
) -> tuple[Focused, str | None]:
    """The photo's defocus, and what is to be said of a disparity that is flat."""
    predicted = stored is None
    disparity = pipeline.disparity(photo.pixels) if stored is None else stored
    if save_disparity is not None:
        write_disparity(save_disparity, over_photo(disparity, photo.pixels.shape) if predicted else disparity)
    focused = pipeline.focused(photo.pixels.shape, disparity, look.focus, look.aperture, predicted=predicted)
    return focused, flatness_of(disparity)

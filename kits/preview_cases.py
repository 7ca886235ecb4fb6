"""Tests of a preview's host side in a kit: what its graph is to be given of the step cases' photos, and what becomes of
a result. The graph's place takes one that gives its image back.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..runtime_ref.bundle import Bundle, ModelEntry, StepCase
from ..runtime_ref.bundle.steps import MAP, PHOTO, encoded, read_steps, write_steps
from ..runtime_ref.pipeline.framing import Frame
from ..runtime_ref.pipeline.optics import widen_focus
from ..runtime_ref.pipeline.pyramid import as_float
from ..runtime_ref.pipeline.refinement import refined_disparity
from ..runtime_ref.pipeline.stage import Stage

FOLDER = "golden/previews"
_EVERY = 7  # rows and columns are kept: beside a photo of 1280 x 960 all would be megabytes


def write_preview_cases(bundle: Bundle, models: Sequence[ModelEntry], folder: Path) -> None:
    """A file for each step case, named like it, where there is a preview graph among the models.

    Of `image` and `disparity` (uint8 and uint16, the greatest being 1) and of the `portrait` of an echo (uint8) every
    seventh row and column is kept, from the first on; `aperture` is the graph's, float32 `[1]`.
    """
    entry = next((model for model in models if model.stage is Stage.PREVIEW), None)
    if entry is None:
        return
    height, width = entry.outputs[0].sides
    rows, columns = next(tensor for tensor in entry.inputs if tensor.name == "disparity").sides
    (folder / FOLDER).mkdir(parents=True)
    for case in bundle.manifest.steps:
        stored = read_steps(bundle.path(case.path))
        frame = Frame(stored[PHOTO].shape[:2], (height, width), (rows, columns))
        write_steps(folder / FOLDER / f"{case.name}.safetensors", _case(case, stored[PHOTO], stored[MAP], frame))


def _case(
    case: StepCase, photo: NDArray[np.uint8], stored: NDArray[np.unsignedinteger], frame: Frame
) -> dict[str, NDArray]:
    known = as_float(stored)
    disparity = (
        widen_focus(known, case.focus, case.focus_range) if case.focus_range else refined_disparity(known, photo)
    )
    image = frame.image_of(photo)
    pictures = {"image": image, "portrait": frame.result_of(image)}
    kept = {name: np.rint(255 * values[::_EVERY, ::_EVERY]).astype(np.uint8) for name, values in pictures.items()}
    kept["disparity"] = encoded("disparity", frame.map_of(disparity))[::_EVERY, ::_EVERY]
    return {**kept, "aperture": np.array([frame.aperture(case.aperture)], np.float32)}

"""The loop: every depth method on every picture of every set, one picture in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ...runtime_ref.errors import DofkitError
from ...runtime_ref.parity.reports.pictures import to_bytes
from ...runtime_ref.pipeline.resampling import resize
from ..rendering.lens import Array
from ..systems.depth_metrics import normalised, ordinal_agreement
from . import depth_scores
from .depth_methods import DepthMethod
from .depth_scores import VERSION, DepthFigures
from .depth_sets import DepthSet, JudgedPair
from .methods import digest
from .scores import Bytes
from .store import Partials

CROPPED = 10
"""For the crop's figure a tenth of each side is cut away at each border."""
COMPARED = 320
"""Long side at which maps of one photo are compared with each other, and shown."""

Progress = Callable[[int, int, str], None]
"""Called with (pictures done, pictures in all, what is being scored)."""


@dataclass(frozen=True)
class DepthEntry:
    """The scores of one picture by one method.

    Attributes:
        path: of the partial file, beside which the map lies where it is shown.
    """

    dataset: str
    index: int
    method: str
    figures: DepthFigures
    path: Path


@dataclass(frozen=True)
class DepthEvaluation:
    """All scores.

    Attributes:
        methods, sets: in the order of the tables.
        entries: one a picture and method.
        shown: set's name -> indices of the pictures that the report shows.
    """

    methods: tuple[DepthMethod, ...]
    sets: tuple[DepthSet, ...]
    entries: tuple[DepthEntry, ...]
    shown: dict[str, tuple[int, ...]]

    def of(self, dataset: DepthSet, method: DepthMethod) -> list[DepthEntry]:
        """A method's entries on one set, by picture."""
        return [entry for entry in self.entries if (entry.dataset, entry.method) == (dataset.name, method.name)]

    def means(self, dataset: DepthSet, method: DepthMethod) -> dict[str, float | None]:
        """Mean of each figure; see `depth_scores.means`."""
        return depth_scores.means([entry.figures for entry in self.of(dataset, method)])


def evaluate_depth(
    sets: Sequence[DepthSet],
    methods: Sequence[DepthMethod],
    store: Partials,
    shown: int = 4,
    progress: Progress | None = None,
) -> DepthEvaluation:
    """Score every method on every picture; what the store holds is not computed again.

    Args:
        sets, methods: with distinct names each.
        store: of finished scores.
        shown: of how many pictures a set each method's map is kept.
        progress: see `Progress`.

    Raises:
        DofkitError: a picture cannot be read, or a method gives what is no map.
    """
    total = sum(map(len, sets)) * len(methods)
    entries: list[DepthEntry] = []
    places = {one.name: tuple(sorted(set(np.linspace(0, len(one) - 1, shown).astype(int).tolist()))) for one in sets}
    for dataset in sets:
        for index in range(len(dataset)):
            judged, identity = None, dataset.identity(index)
            for method in methods:
                if progress is not None:
                    progress(len(entries), total, f"{dataset.name} {index + 1}: {method.name}")
                key = digest(VERSION, identity, method.name, method.fingerprint)
                path = store.file(f"{index:05d}", f"{dataset.name} {method.name}", key)
                kept = index in places[dataset.name]
                figures = _stored(store, path, kept)
                if figures is None:
                    judged = judged or JudgedPair(dataset.pair(index))
                    figures, predicted = score(judged, method)
                    store.keep(path, asdict(figures), to_bytes(reduced(predicted)) if kept else None)
                entries.append(DepthEntry(dataset.name, index, method.name, figures, path))
    if progress is not None:
        progress(total, total, "done")
    return DepthEvaluation(tuple(methods), tuple(sets), tuple(entries), places)


def _stored(store: Partials, path: Path, with_map: bool) -> DepthFigures | None:
    values = store.values(path)
    if values is None or (with_map and store.crop(path) is None):
        return None
    try:
        return DepthFigures.from_json(values)
    except (TypeError, ValueError):
        return None


def score(judged: JudgedPair, method: DepthMethod) -> tuple[DepthFigures, Array]:
    """Every figure of one picture that its truth allows, and the normalised map [h, w] that was scored.

    Raises:
        DofkitError: the method gives what is no finite map.
    """
    predicted = ask(method, judged.photo)
    figures: dict[str, float | None] = {}
    if judged.truth is not None:
        figures |= _against_truth(normalised(resized(predicted, judged.truth.shape)), judged, judged.truth)
    if judged.subject is not None:
        guess = normalised(resized(predicted, judged.subject.shape))
        figures |= depth_scores.subject_figures(guess, judged.subject)
    figures["flip"] = depth_scores.flip_change(predicted, ask(method, judged.photo[:, ::-1]))
    figures["crop"] = _crop_change(predicted, judged.photo, method)
    return DepthFigures(**figures), predicted


def ask(method: DepthMethod, photo: Bytes) -> Array:
    """A method's normalised map [h, w] in [0, 1] of a photo [H, W, 3].

    Raises:
        DofkitError: the method gives another shape, or values that are not finite.
    """
    found = np.asarray(method(np.ascontiguousarray(photo)), np.float32)
    if found.ndim != 2 or found.size == 0 or not np.isfinite(found).all():
        raise DofkitError(f"{method.name}: its output {list(found.shape)} is no finite map [h, w]; mend the method")
    return normalised(found)


def _against_truth(guess: Array, judged: JudgedPair, truth: Array) -> dict[str, float | None]:
    goal = normalised(truth)
    figures: dict[str, float | None] = {
        "mae": depth_scores.mean_absolute_error(guess, goal),
        "mae_fitted": depth_scores.mean_absolute_error(depth_scores.monotone_fit(guess, goal), goal),
        "ordinal": ordinal_agreement(guess, truth),
    }
    if judged.ratios_known and np.nanmax(truth) > 0:
        figures |= depth_scores.aligned_depth(guess, truth, judged.metres)
    return figures


def _crop_change(predicted: Array, photo: Bytes, method: DepthMethod) -> float | None:
    """None where the crop would have no pixels left to compare."""
    top, left = (side // CROPPED for side in photo.shape[:2])
    if min(top, left) < 1:
        return None
    of_crop = ask(method, photo[top:-top, left:-left])
    whole = reduced(resized(predicted, photo.shape[:2]))
    scale = whole.shape[0] / photo.shape[0], whole.shape[1] / photo.shape[1]
    rows, columns = round(top * scale[0]), round(left * scale[1])
    inside = whole[rows : whole.shape[0] - rows, columns : whole.shape[1] - columns]
    return depth_scores.crop_change(inside, resized(of_crop, inside.shape))


def resized(values: Array, size: tuple[int, ...]) -> Array:
    """[h, w] of this size; the map as it is where it has it."""
    return values if values.shape == size else resize(values, (size[0], size[1])).astype(np.float32)


def reduced(values: Array) -> Array:
    """[h, w] or [h, w, 3] with the long side at most `COMPARED`."""
    scale = min(1.0, COMPARED / max(values.shape[:2]))
    size = (max(1, round(values.shape[0] * scale)), max(1, round(values.shape[1] * scale)))
    return values if scale == 1 else resize(values, size).astype(np.float32)

"""What an evaluation of depth leaves: scores.json for machines, report.html with pictures for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...runtime_ref.files import write_file
from ...runtime_ref.parity.reports.pictures import data_uri, to_bytes
from ...runtime_ref.pipeline.pyramid import as_float
from ..systems.depth_metrics import normalised
from .depth import DepthEvaluation, reduced, resized
from .depth_methods import DepthMethod
from .depth_scores import FIGURES, Figure
from .depth_sets import DepthSet, JudgedPair
from .page import page
from .scores import Bytes
from .store import Partials

UNKNOWN = (0.55, 0.35, 0.75)
"""The colour of what is not known in a truth: no grey."""


@dataclass(frozen=True)
class Cell:
    """A figure in a table.

    Attributes:
        text: the value, '–' where there is none.
        best: whether no method of the table is better.
    """

    text: str
    best: bool = False


@dataclass(frozen=True)
class Table:
    """The scores on one set.

    Attributes:
        dataset: the set.
        figures: its columns.
        rows: (method, cells).
    """

    dataset: DepthSet
    figures: tuple[Figure, ...]
    rows: tuple[tuple[DepthMethod, tuple[Cell, ...]], ...]


@dataclass(frozen=True)
class Shown:
    """A picture on the page.

    Attributes:
        title: where it is from.
        pictures: (caption, data URI): photo, truth, each method's map.
    """

    title: str
    pictures: tuple[tuple[str, str], ...]


def to_json(evaluation: DepthEvaluation, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that was found, in a form that JSON holds.

    Args:
        evaluation: the scores.
        facts: versions and settings.
    """
    return {
        "format": 1,
        **facts,
        "figures": {name: figure.meaning for name, figure in FIGURES.items()},
        "methods": [
            {"name": method.name, "source": method.source, "fingerprint": method.fingerprint}
            for method in evaluation.methods
        ],
        "sets": [
            {
                "name": dataset.name,
                "about": dataset.about,
                "pictures": len(dataset),
                "mean": {method.name: evaluation.means(dataset, method) for method in evaluation.methods},
                "per_picture": {
                    method.name: [
                        {"picture": dataset.title(entry.index), **entry.figures.known()}
                        for entry in evaluation.of(dataset, method)
                    ]
                    for method in evaluation.methods
                },
            }
            for dataset in evaluation.sets
        ],
    }


def write_scores(path: Path, evaluation: DepthEvaluation, facts: Mapping[str, Any]) -> None:
    """Write scores.json, whole or not at all."""
    write_file(path, (json.dumps(to_json(evaluation, facts), indent=1, ensure_ascii=False) + "\n").encode())


def write_report(path: Path, evaluation: DepthEvaluation, facts: Mapping[str, Any]) -> None:
    """Write report.html: a table a set, and pictures of photo, truth and each method's map.

    Raises:
        MissingExtraError: Jinja2 is not installed.
    """
    filled = page(
        "depth.html.j2",
        tables=score_tables(evaluation),
        shown={dataset.name: _shown(evaluation, dataset) for dataset in evaluation.sets},
        figures=list(FIGURES.values()),
        facts=list(facts.items()),
    )
    write_file(path, filled)


def score_tables(evaluation: DepthEvaluation) -> list[Table]:
    """A table a set, with the figures that its truth allows; the best value of each is marked."""
    tables = []
    for dataset in evaluation.sets:
        means = {method.name: evaluation.means(dataset, method) for method in evaluation.methods}
        names = [name for name in FIGURES if any(row[name] is not None for row in means.values())]
        best = {name: _best(FIGURES[name], [row[name] for row in means.values()]) for name in names}
        rows = tuple(
            (method, tuple(_cell(name, means[method.name][name], best[name]) for name in names))
            for method in evaluation.methods
        )
        tables.append(Table(dataset, tuple(FIGURES[name] for name in names), rows))
    return tables


def _best(figure: Figure, values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return figure_text(max(known) if figure.higher else min(known))


def _cell(name: str, value: float | None, best: str) -> Cell:
    """Some figures have no best: who says the same of every photo does not change, and has no step at the feet."""
    text = "–" if value is None else figure_text(value)
    return Cell(text, text == best and name not in ("contact", "flip", "crop"))


def figure_text(value: float) -> str:
    """A number for people."""
    return f"{value:.3f}"


def _shown(evaluation: DepthEvaluation, dataset: DepthSet) -> list[Shown]:
    found = []
    for index in evaluation.shown[dataset.name]:
        judged = JudgedPair(dataset.pair(index))
        photo = to_bytes(reduced(as_float(judged.photo)))
        pictures = [("photo", data_uri(photo, lossless=False))]
        if judged.truth is not None:
            pictures.append(("truth", data_uri(_truth(judged))))
        if judged.subject is not None:
            pictures.append(("subject", data_uri(to_bytes(reduced(judged.subject.astype(np.float32))))))
        for entry in (entry for entry in evaluation.entries if (entry.dataset, entry.index) == (dataset.name, index)):
            stored = Partials.crop(entry.path)
            if stored is not None:
                pictures.append((entry.method, data_uri(_stretched_like(stored, photo), lossless=False)))
        found.append(Shown(dataset.title(index), tuple(pictures)))
    return found


def _stretched_like(stored: Bytes, photo: Bytes) -> Bytes:
    """A network's map may be square: it lies over the whole photo."""
    return to_bytes(resized(as_float(stored)[..., 0], photo.shape[:2]))


def _truth(judged: JudgedPair) -> Bytes:
    """[h, w, 3], white is near, in colour where nothing is known."""
    assert judged.truth is not None
    step = max(1, max(judged.truth.shape) // 320)
    grey = normalised(judged.truth)[::step, ::step]
    colours = np.repeat(np.nan_to_num(grey)[..., None], 3, axis=2)
    return to_bytes(np.where(np.isfinite(grey)[..., None], colours, np.array(UNKNOWN, np.float32)).astype(np.float32))

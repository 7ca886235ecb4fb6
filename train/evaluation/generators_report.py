"""What an evaluation of generators leaves: scores.json for machines, report.html with pictures for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...runtime_ref.files import write_file, write_json
from ...runtime_ref.parity.reports.pictures import data_uri, to_bytes
from ..data.generated_set import GeneratedSet
from ..data.shallow_photos import ShallowPhoto
from ..rendering.lens import Array
from .depth_reading import KINDS
from .generators import SHOWN, GeneratorScores
from .page import page

ENLARGED = 2
"""Pixels of the page for one of a picture."""


def write_scores(path: Path, rows: Sequence[GeneratorScores], facts: Mapping[str, Any]) -> None:
    """Write scores.json, whole or not at all."""
    found = {"format": 1, **facts, "generators": [row.facts() for row in rows]}
    write_json(path, found)


def write_report(
    path: Path, rows: Sequence[GeneratorScores], photos: Mapping[str, Sequence[ShallowPhoto]], facts: Mapping[str, Any]
) -> None:
    """Write report.html, one self-contained page.

    Raises:
        MissingExtraError: Jinja2 is not installed.
    """
    filled = page(
        "generators.html.j2",
        rows=rows,
        kinds=KINDS,
        photos=sum(len(of_kind) for of_kind in photos.values()),
        readings=_readings(rows, photos),
        sheets=[(row.name, _uri(_sheet(row.folder))) for row in rows if row.folder is not None],
        facts=list(facts.items()),
    )
    write_file(path, filled)


def _readings(rows: Sequence[GeneratorScores], photos: Mapping[str, Sequence[ShallowPhoto]]) -> list[tuple[str, str]]:
    """Photos, their true disparity, and each reading of them, as rows of pictures with a title."""
    shown = [photo for kind in KINDS for photo in photos[kind][: SHOWN // 2]]
    found = [("photos", [photo.image for photo in shown]), ("truth", [_grey(photo.disparity) for photo in shown])]
    for row in rows:
        if row.reading is None:
            continue
        maps = [disparity for kind in KINDS for disparity in row.reading.maps[kind][: SHOWN // 2]]
        found.append((row.name, [_grey(disparity) for disparity in maps]))
    return [(title, _uri(np.concatenate(pictures, axis=1))) for title, pictures in found]


def _sheet(folder: Path) -> Array:
    """The first samples of a generated set: deep above shallow above defocus."""
    samples = GeneratedSet.open(folder)
    columns = []
    for index in range(min(SHOWN, len(samples))):
        photo = samples[index]
        columns.append(np.concatenate([photo.deep, photo.shallow, photo.colours]))
    return np.concatenate(columns, axis=1)


def _grey(disparity: Array) -> Array:
    """[S, S] → [S, S, 3], its least value black and its greatest white."""
    span = max(float(np.ptp(disparity)), 1e-6)
    return np.repeat(((disparity - disparity.min()) / span)[..., None], 3, axis=2).astype(np.float32)


def _uri(picture: Array) -> str:
    return data_uri(to_bytes(picture.repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1)))

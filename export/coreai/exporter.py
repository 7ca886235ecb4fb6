"""Core AI's part of an export."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ...runtime_ref.bundle import ModelEntry
from ...runtime_ref.target import Precision
from ..each_stage import Files, export_each_stage
from ..job import Job
from ..labels import Stamp
from ..ranges import Ranges
from ..stages import StageGraph
from .convert import convert
from .quantise import quantise
from .stored import operators, stored_weights
from .tools import write_metadata

DEPLOYMENT = "iOS 27, macOS 27"


def export(job: Job) -> list[ModelEntry]:
    """Write a model for every stage in every precision; see `export_each_stage`."""
    return export_each_stage(job, Files(DEPLOYMENT, convert, _derive, stored_weights(), operators, _stamp))


def _derive(
    graph: StageGraph, float32: Path, goal: Path, precision: Precision, ranges: Ranges | None, kept: Collection[str]
) -> None:
    del graph
    quantise(float32, goal, precision, ranges, kept)


def _stamp(asset: Path, stamp: Stamp) -> None:
    """What the model says of itself; Xcode shows these fields."""
    own = {"author": stamp.author, "license": stamp.licence}
    said = {name: text for name, text in own.items() if text} | {"description": stamp.description}
    version = {"version": stamp.version} if stamp.version else {}
    write_metadata(asset, {**said, "creatorDefinedMetadata": {**stamp.keys, **version}})

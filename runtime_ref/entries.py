"""Entries of the cache: each a model of pydantic in a JSON file, there whole or not at all."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from .errors import DofkitError
from .files import write_file

Entry = TypeVar("Entry", bound=BaseModel)


def read_entry(path: Path, kind: type[Entry]) -> Entry | None:
    """An entry; None where there is none or it is damaged."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def write_entry(path: Path, entry: BaseModel) -> None:
    """Keep an entry, its folder made if need be; a cache that cannot be written costs time, nothing else."""
    with suppress(OSError, DofkitError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, entry.model_dump_json(indent=1).encode())

"""What was measured of a file of somebody's, remembered by its bytes: trying a network costs as much as a picture."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...runtime_ref.cache import cache_folder
from ...runtime_ref.errors import DofkitError
from ...runtime_ref.files import write_file
from ...runtime_ref.pipeline.stage import Stage
from ...version import __version__
from .reach import Reach


class _Entry(BaseModel):
    """A remembered reach."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    halo: int = Field(ge=0)
    align: int = Field(ge=1)


def remembered_reach(stage: Stage, digest: str, measure: Callable[[], Reach]) -> Reach:
    """How far a network sees; measured where this dofkit and PyTorch have not measured it before.

    Args:
        stage: what it computes.
        digest: of its file.
        measure: tries it; what it refuses is not remembered.
    """
    parts = (__version__, torch.__version__, stage.value, digest)
    path = cache_folder() / "reach" / f"{hashlib.sha256(json.dumps(parts).encode()).hexdigest()}.json"
    if (known := _read(path)) is not None:
        return known
    found = measure()
    with suppress(OSError, DofkitError):  # a cache that cannot be written costs time, nothing else
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, _Entry(halo=found.halo, align=found.align).model_dump_json().encode())
    return found


def _read(path: Path) -> Reach | None:
    """An entry of the cache; None where there is none or it is damaged."""
    try:
        entry = _Entry.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    return Reach(entry.halo, entry.align)

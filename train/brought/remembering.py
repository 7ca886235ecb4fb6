"""What was measured of a file of somebody's, remembered by its bytes: trying a network costs as much as a picture."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import torch
from pydantic import BaseModel, ConfigDict, Field

from ...runtime_ref.cache import cache_folder
from ...runtime_ref.entries import read_entry, write_entry
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
    if (known := read_entry(path, _Entry)) is not None:
        return Reach(known.halo, known.align)
    found = measure()
    write_entry(path, _Entry(halo=found.halo, align=found.align))
    return found

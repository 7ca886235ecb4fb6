"""The bundle that the web demo takes where none is given: the networks that ship, as ONNX, exported once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from .. import __version__
from ..runtime_ref.bundle import SUFFIX, file_sha256
from ..runtime_ref.cache import cache_folder
from ..runtime_ref.pipeline.stage import PIPELINE_STAGES
from ..runtime_ref.target import Target
from ..train.shipped import SHIPPED, weights_file
from .pipeline import ExportRequest, export_bundle


def shipped_bundle(watch: Callable[[str, int, int], None]) -> Path:
    """Its folder, below the cache; exported when it is not there.

    Args:
        watch: called with what is done, how much is done, and of how much.

    Raises:
        DofkitError: as of an export.
    """
    parts = [__version__, *(file_sha256(weights_file(stage, SHIPPED)) for stage in PIPELINE_STAGES)]
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
    folder = cache_folder() / "demo" / f"shipped-{digest}{SUFFIX}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        export_bundle(ExportRequest(out=folder, targets=(Target.ONNX,)), watch)
    return folder

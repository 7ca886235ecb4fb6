"""Where things are remembered between runs; all of it can be deleted at any time."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """`$DOFKIT_CACHE`, or the user's folder for caches as the system has it; nothing is created."""
    if chosen := os.environ.get("DOFKIT_CACHE"):
        return Path(chosen)
    try:
        usual = platformdirs.user_cache_path("dofkit", appauthor=False)
    except RuntimeError:  # an account without a home
        usual = Path()
    # Older versions of platformdirs give such an account "~/…", which would be a folder of that name right here.
    return usual if usual.is_absolute() else Path(os.devnull) / "dofkit"

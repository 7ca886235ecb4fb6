"""A bundle to be spoiled."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dofkit.runtime_ref.bundle import Bundle


@pytest.fixture
def unsealed(bundle_path: Path, tmp_path: Path) -> Bundle:
    """A copy whose files a test may exchange; its hashes are not verified again."""
    root = shutil.copytree(bundle_path, tmp_path / "copy.dofbundle")
    return Bundle(root, Bundle.open(root).manifest)

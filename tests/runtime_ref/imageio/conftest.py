"""Embedded depth of bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dofkit.runtime_ref.imageio import embedded_disparity


@pytest.fixture
def found(tmp_path: Path):
    def read(data: bytes) -> np.ndarray | None:
        (tmp_path / "photo").write_bytes(data)
        return embedded_disparity(tmp_path / "photo")

    return read

"""Processes of Python's own pools run nothing that lies in the working folder."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from dofkit.runtime_ref.processes import safe_path


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has no such switch")
def test_a_pools_process_executes_nothing_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "was-here"
    for module in ("json", "struct", "multiprocessing", "numpy"):
        (tmp_path / f"{module}.py").write_text(f"open({str(mark)!r}, 'w')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    with safe_path(), ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert pool.submit(abs, -2).result() == 2
    assert not mark.exists()
    assert "PYTHONSAFEPATH" not in os.environ

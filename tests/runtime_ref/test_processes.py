"""Processes of Python's own pools run nothing that lies in the working folder."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from dofkit.runtime_ref.files import is_running
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


_OWNER = """
import os, sys, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from dofkit.runtime_ref.processes import end_with_owner

if __name__ == "__main__":
    with ProcessPoolExecutor(1, get_context("spawn"), end_with_owner) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        time.sleep(600)
"""


def test_a_pools_process_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    (tmp_path / "owner.py").write_text(_OWNER)
    owner = subprocess.Popen([sys.executable, str(tmp_path / "owner.py")], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    worker = owner.stdout.readline().strip()
    assert is_running(worker)
    owner.kill()
    owner.wait()
    deadline = time.monotonic() + 60
    while is_running(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    owner.stdout.close()
    assert not is_running(worker)

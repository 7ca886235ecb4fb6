"""Files are written whole or not at all, and what a killed process left of one is cleared."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.files import is_running, write_file


@pytest.fixture
def ended() -> int:
    """The number of a process that has come to its end."""
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


def test_what_a_killed_process_left_of_a_file_is_cleared_when_it_is_written_again(tmp_path: Path, ended: int) -> None:
    stale, foreign = tmp_path / f".a.png.{ended}-0f0f.part", tmp_path / ".a.png.notes.part"
    other, live = tmp_path / f".b.png.{ended}-0f0f.part", tmp_path / f".a.png.{os.getpid()}-0f0f.part"
    for path in (stale, foreign, other, live):
        path.write_bytes(b"half")
    write_file(tmp_path / "a.png", b"whole")
    assert (tmp_path / "a.png").read_bytes() == b"whole"
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", foreign.name, other.name, live.name}


def test_a_write_that_fails_leaves_the_older_file_and_nothing_else(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "a.png").write_bytes(b"older")

    def full(source: object, goal: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(DofkitError, match="No space left"):
        write_file(tmp_path / "a.png", b"newer")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"older"


def test_a_process_is_known_to_run_or_not(ended: int) -> None:
    assert is_running(str(os.getpid()))
    assert not is_running(str(ended))
    assert not is_running("9" * 30)
    assert not is_running("old")

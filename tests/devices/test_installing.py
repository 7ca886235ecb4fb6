"""An installation's parts are whole or not there, and it goes on where it stopped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dofkit.devices.installing import Part, install, run_tool
from dofkit.runtime_ref.errors import DofkitError


def _writes(text: str, made: list[str]):
    def make(folder: Path) -> None:
        (folder / "file").write_text(text)
        made.append(text)

    return make


def _fails(folder: Path) -> None:
    (folder / "half").write_text("half")
    raise DofkitError("the mirror is gone")


def test_what_is_there_is_not_made_again_and_a_failure_leaves_nothing_of_its_part(tmp_path: Path) -> None:
    made: list[str] = []
    said: list[str] = []
    parts = [Part("first", tmp_path / "x" / "first", _writes("1", made)), Part("second", tmp_path / "x" / "2", _fails)]
    with pytest.raises(DofkitError, match="the mirror is gone"):
        install(parts, said.append)
    assert os.listdir(tmp_path / "x") == ["first"]
    mended = [parts[0], Part("second", parts[1].folder, _writes("2", made))]
    install(mended, said.append)
    assert made == ["1", "2"]
    assert said[0] == "1/2 first …"
    assert said[2] == f"1/2 first: there already ({parts[0].folder})"
    assert (parts[1].folder / "file").read_text() == "2"


def test_what_a_killed_installation_left_is_removed_and_what_a_running_one_makes_is_not(tmp_path: Path) -> None:
    dead, alive = tmp_path / ".system.99999999.part", tmp_path / f".emulator.{os.getppid()}.part"
    dead.mkdir()
    alive.mkdir()
    install([Part("one", tmp_path / "one", _writes("1", []))], lambda line: None)
    assert not dead.exists()
    assert alive.exists()


def test_a_folder_that_cannot_be_written_is_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DofkitError, match=r"cannot be made .*set DOFKIT_CACHE to a folder with space"):
        install([Part("one", tmp_path / "file" / "one", _writes("1", []))], lambda line: None)


def test_a_tool_that_fails_is_quoted_and_one_that_is_missing_is_named(tmp_path: Path) -> None:
    assert run_tool(["echo", "fine"], tmp_path, "saying") == "fine\n"
    with pytest.raises(DofkitError, match="saying failed: sh says E: no such package; mend that"):
        run_tool(["sh", "-c", "echo 'E: no such package' >&2; exit 100"], tmp_path, "saying")
    with pytest.raises(DofkitError, match="saying needs the program no-such-tool"):
        run_tool(["no-such-tool"], tmp_path, "saying")

"""Goals: whole or not at all, links stay links, none destroys another; what a killed process left is cleared."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.files import _part_of, check_folder, check_goals, is_running, same_file, write_file


def test_a_symbolic_link_stays_one_and_what_it_points_at_is_written(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    kept = tmp_path / "store" / "kept.png"
    kept.write_bytes(b"old")
    link = tmp_path / "link.png"
    link.symlink_to(kept)
    write_file(link, b"new")
    assert link.is_symlink()
    assert kept.read_bytes() == b"new"
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["kept.png"]


def test_a_link_to_what_is_not_there_yet_makes_it(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("goal")
    write_file(tmp_path / "link", b"new")
    assert (tmp_path / "goal").read_bytes() == b"new"


def test_links_in_a_circle_and_into_nowhere_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "c").symlink_to("missing/goal")
    for name in ("a", "c"):
        with pytest.raises(DofkitError) as found:
            write_file(tmp_path / name, b"new")
        assert "\n" not in str(found.value)


def test_a_device_is_no_goal(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DofkitError, match="device or a pipe"):
        check_folder(tmp_path / "pipe")


def test_a_name_as_long_as_the_system_allows_is_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 251 + ".png")
    write_file(path, b"new")
    assert path.read_bytes() == b"new"


def test_one_file_is_known_by_all_its_names(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"x")
    (tmp_path / "soft.jpg").symlink_to(photo)
    (tmp_path / "hard.jpg").hardlink_to(photo)
    (tmp_path / "folder").symlink_to(tmp_path)
    for name in ("soft.jpg", "hard.jpg", "folder/photo.jpg", "../" + tmp_path.name + "/photo.jpg"):
        assert same_file(tmp_path / name, photo), name
    (tmp_path / "other.jpg").write_bytes(b"x")
    assert not same_file(tmp_path / "other.jpg", photo)


def test_names_that_a_mac_does_not_tell_apart_are_one_goal(tmp_path: Path) -> None:
    assert same_file(tmp_path / "Z.png", tmp_path / "z.PNG")
    assert same_file(tmp_path / "u\u0308.png", tmp_path / "\u00fc.png")
    assert not same_file(tmp_path / "y.png", tmp_path / "z.png")
    assert not same_file(tmp_path / "z.png", tmp_path / "folder" / "z.png")


def test_goals_that_are_one_file_and_goals_that_are_read_are_refused(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"x")
    one, other = tmp_path / "one.png", tmp_path / "other.png"
    check_goals({"--out": one, "--save": other, "--log": None}, [photo, None])
    with pytest.raises(DofkitError, match=r"one\.png: is what both --out and --save would write"):
        check_goals({"--out": one, "--save": one}, [photo])
    with pytest.raises(DofkitError, match=r"--out would replace it; name another file$"):
        check_goals({"--out": photo}, [None, photo])
    with pytest.raises(DofkitError, match="or say --overwrite"):
        check_goals({"--out": photo}, [photo], overwrite=False)
    check_goals({"--out": photo}, [photo], overwrite=True)


@pytest.fixture
def ended() -> int:
    """The number of a process that has come to its end."""
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


def test_what_a_killed_process_left_of_a_file_is_cleared_when_it_is_written_again(tmp_path: Path, ended: int) -> None:
    mine, others = _part_of(tmp_path / "a.png"), _part_of(tmp_path / "b.png")
    stale, foreign = tmp_path / f"{mine}{ended}-0f0f.part", tmp_path / f"{mine}notes.part"
    other, live = tmp_path / f"{others}{ended}-0f0f.part", tmp_path / f"{mine}{os.getpid()}-0f0f.part"
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

"""Files, folders and patterns stand for the photos that a user means; what is left out is said."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.imageio import find_photos, means_many


@pytest.fixture
def trip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as a camera leaves it, and the working folder above it."""
    for name in ("b.JPG", "a.heic", "._a.heic", ".hidden.jpg", "notes.txt", "day 2/c.png", "day 2/deep/d.webp"):
        path = tmp_path / "trip" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "trip"


def places(*texts: str, without: Path | None = None) -> list[str]:
    return [photo.place.as_posix() for photo in find_photos(texts, without).photos]


def test_a_folder_is_its_photos_by_name_and_what_is_left_out_is_said(trip: Path) -> None:
    assert places("trip") == ["a.heic", "b.JPG"]
    notes = find_photos(["trip"]).notes
    assert [word in " ".join(notes) for word in ("notes.txt", "day 2", "trip/**/*", "hidden")] == [True] * 3 + [False]


def test_a_pattern_keeps_the_folders_below_its_fixed_part(trip: Path) -> None:
    assert places("trip/**/*") == ["a.heic", "b.JPG", "day 2/c.png", "day 2/deep/d.webp"]
    assert places("trip/day*/*.png") == ["day 2/c.png"]
    assert places(f"{trip}/*.heic") == ["a.heic"]


def test_a_file_is_taken_as_it_is_and_nothing_twice(trip: Path) -> None:
    assert places("trip/notes.txt", "trip/a.heic", "trip") == ["notes.txt", "a.heic", "b.JPG"]
    assert places("nowhere.jpg") == ["nowhere.jpg"]  # told when it is read


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(trip: Path) -> None:
    (trip / "a[1].jpg").touch()
    assert not means_many("trip/a[1].jpg")
    assert means_many("trip/a[2].jpg")
    assert means_many("trip")


def test_where_results_go_is_left_out(trip: Path) -> None:
    (trip / "out").mkdir()
    (trip / "out" / "a.heic").touch()
    assert places("trip/**/*.heic", without=trip / "out") == ["a.heic"]
    with pytest.raises(DofkitError, match=r"lies in .*trip, where the results are to go; name another folder"):
        places("trip", without=trip)


@pytest.mark.parametrize("text", ["trip/*.gif", "trip/day 2/deep/empty"])
def test_what_stands_for_no_photo_is_refused(trip: Path, text: str) -> None:
    (trip / "day 2/deep/empty").mkdir()
    with pytest.raises(DofkitError, match="no photo is there; name a folder with photos"):
        places(text)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_folder_that_may_not_be_looked_into_is_refused(trip: Path) -> None:
    trip.chmod(0)
    try:
        with pytest.raises(DofkitError, match="cannot be looked into"):
            places("trip")
    finally:
        trip.chmod(0o755)

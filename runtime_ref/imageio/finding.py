"""Which photos a user means by files, folders and patterns, and what each is called in a folder of results."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import DofkitError
from ..files import same_file
from .formats import is_photo_name

_SIGNS = "*?["


@dataclass(frozen=True)
class FoundPhoto:
    """A photo's file.

    Attributes:
        path: where it is.
        place: where it stands below the folder, or the fixed part of the pattern, that it was found by.
    """

    path: Path
    place: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class FoundPhotos:
    """What was found.

    Attributes:
        photos: in the order of their names, those of each argument together.
        notes: what was left out, one line each.
    """

    photos: tuple[FoundPhoto, ...]
    notes: tuple[str, ...]


def means_many(text: str) -> bool:
    """Whether a text is a folder or a pattern, not one file."""
    return Path(text).is_dir() or _is_pattern(text)


def find_photos(texts: Sequence[str], without: Path | None = None) -> FoundPhotos:
    """The photos that files, folders and patterns stand for.

    Args:
        texts: each a file, taken as it is; a folder, all of whose photos are meant, not those of its sub-folders; or a
            pattern such as `trip/**/*.jpg`.
        without: a folder whose files are left out, where results go.

    Raises:
        DofkitError: a folder or pattern stands for no photo.
    """
    photos: dict[Path, FoundPhoto] = {}
    notes: list[str] = []
    for text in texts:
        found = _of_one(text, notes) if means_many(text) else [FoundPhoto(Path(text), Path(Path(text).name))]
        kept = [photo for photo in found if without is None or not _below(photo.path, without)]
        if found and not kept:
            raise DofkitError(f"{text}: lies in {without}, where the results are to go; name another folder for them")
        if not kept:
            raise DofkitError(f"{text}: no photo is there; name a folder with photos, or a pattern such as '*.jpg'")
        photos |= {photo.path: photo for photo in kept if photo.path not in photos}
    return FoundPhotos(tuple(photos.values()), tuple(notes))


def _is_pattern(text: str) -> bool:
    return any(sign in text for sign in _SIGNS) and not Path(text).exists()


def _of_one(text: str, notes: list[str]) -> list[FoundPhoto]:
    base = Path(text) if Path(text).is_dir() else _fixed_part(text)
    entries = sorted(_listed(Path(text)) if Path(text).is_dir() else map(Path, glob.iglob(text, recursive=True)))
    files = [path for path in entries if path.is_file() and not path.name.startswith(".")]
    others = [path.name for path in files if not is_photo_name(path.name)]
    if others:
        notes.append(f"{text}: left out what has no name of a photo: {_first_few(others)}")
    if Path(text).is_dir() and (folders := [path.name for path in entries if path.is_dir()]):
        notes.append(
            f"{text}: {len(folders)} folders in it were not entered ({_first_few(folders)}); '{text}/**/*' does"
        )
    return [FoundPhoto(path, path.relative_to(base)) for path in files if is_photo_name(path.name)]


def _listed(folder: Path) -> Iterator[Path]:
    try:
        yield from folder.iterdir()
    except OSError as error:
        raise DofkitError(f"{folder}: cannot be looked into ({error.strerror}); check its permissions") from error


def _fixed_part(pattern: str) -> Path:
    """The folder before the first part of a pattern that is not fixed."""
    fixed = []
    for part in Path(pattern).parts[:-1]:
        if any(sign in part for sign in _SIGNS):
            break
        fixed.append(part)
    return Path(*fixed)


def _below(path: Path, folder: Path) -> bool:
    return any(same_file(parent, folder) for parent in path.resolve().parents)


def _first_few(names: Sequence[str], most: int = 3) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")

"""Which kind of source a folder or file is. Only layouts decide, and only those that say what their values mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ....runtime_ref.errors import DofkitError
from . import middlebury, phones, plain, sensors
from .pair import FoundSet, SetEntry, SetFormat

FORMATS: tuple[SetFormat, ...] = (
    *plain.FORMATS,  # a table that declares its values goes before any layout
    *sensors.FORMATS,
    *middlebury.FORMATS,
    *phones.FORMATS,  # last: every photo of a folder is looked into
)


def recognise(path: Path) -> FoundSet:
    """The one set that a folder (with all below it) or a file holds.

    Raises:
        DofkitError: there is none, or several; see `survey`.
    """
    found = survey(path)
    if len(found) > 1:
        names = ", ".join(str(one.folder.relative_to(path)) for one in found[:4])
        more = ", …" if len(found) > 4 else ""
        raise DofkitError(f"{path} holds {len(found)} sets ({names}{more}); name one of them")
    return found[0]


def survey(path: Path) -> list[FoundSet]:
    """Every set that a folder, with all below it, or a file holds.

    Scenes of one kind that lie in folders of their own are one set; a folder that was recognised is not searched below.

    Raises:
        DofkitError: there is no such folder or file, nothing in it is recognised, or a table in it cannot be read.
    """
    if not path.exists():
        raise DofkitError(f"{path}: no such folder or file; check the path")
    merged: dict[object, FoundSet] = {}
    for found in _search(path):
        key = found.format.name if found.format.whole_scenes else found.folder
        if key not in merged:
            merged[key] = replace(found, folder=path if found.format.whole_scenes else found.folder, entries=())
        before = merged[key]
        entries = _named_from(found, before.folder) if found.format.whole_scenes else found.entries
        merged[key] = replace(before, entries=(*before.entries, *entries))
    if not merged:
        raise DofkitError(
            f"{path}: no image + depth or image + mask set is recognised; lay it out as `dofkit data formats` "
            "lists, or declare its files in an index.csv (name,image,depth,kind,scale,offset)"
        )
    return list(merged.values())


def _search(path: Path) -> Iterator[FoundSet]:
    found = _as_one(path)
    if found is not None:
        yield found
    elif path.is_dir():
        for below in sorted(path.iterdir()):
            if below.is_dir() and not below.name.startswith(".") and not below.is_symlink():
                yield from _search(below)


def _as_one(path: Path) -> FoundSet | None:
    """What the first format that fits finds."""
    for form in FORMATS:
        if entries := form.find(path):
            return FoundSet(form, path, tuple(entries))
    return None


def _named_from(found: FoundSet, top: Path) -> tuple[SetEntry, ...]:
    """Entries whose names say in which of the scenes' folders they lie."""
    scene = found.folder.relative_to(top) if found.folder != top else Path()
    if scene == Path():
        return found.entries
    named = (entry.name if entry.name == scene.name else f"{scene.name}/{entry.name}" for entry in found.entries)
    return tuple(
        replace(entry, name=str(scene.parent / name)) for entry, name in zip(found.entries, named, strict=True)
    )

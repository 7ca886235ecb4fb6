"""How a bundle is written: in a temporary folder that takes the goal's place at the very end."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import DofkitError
from ..files import is_running
from .manifest import MANIFEST

_PARTIAL = ".partial-"
_OLD = "-old"


def refuse_foreign(goal: Path) -> None:
    """Refuse to write a bundle over something that is not one.

    Raises:
        DofkitError: when the goal exists and is no bundle, or cannot be created.
    """
    if goal.exists() and not (goal / MANIFEST).is_file():
        raise DofkitError(f"{goal} exists and is not a bundle; give another --out, or remove it yourself")
    if not goal.absolute().parent.is_dir():
        raise DofkitError(f"folder {goal.absolute().parent} does not exist; create it or give another --out")


@contextmanager
def new_bundle(goal: Path) -> Iterator[Path]:
    """A temporary folder beside the goal that becomes the bundle there; see `new_folder`, `refuse_foreign`."""
    refuse_foreign(goal)
    with new_folder(goal) as folder:
        yield folder


@contextmanager
def new_folder(goal: Path) -> Iterator[Path]:
    """A temporary folder beside the goal that becomes the goal when the block ends without an error.

    An interrupted block leaves no goal; a killed process leaves a hidden `.NAME.partial-PID`, which the next one to
    write the same goal removes. An older folder at the goal is replaced, and only at the very end; where a process was
    killed between the two steps of that, the next one puts the older folder back before it begins.

    Raises:
        DofkitError: the folder cannot be made.
    """
    goal = goal.absolute()
    _clear_stale(goal)
    folder = goal.parent / f".{goal.name}{_PARTIAL}{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        raise DofkitError(f"cannot write to {goal.parent} ({error.strerror}); give another --out") from error
    try:
        yield folder
        _replace(folder, goal)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _clear_stale(goal: Path) -> None:
    """Remove what killed processes left; an older bundle that stepped aside for nothing returns."""
    for stale in sorted(goal.parent.glob(f".{glob.escape(goal.name)}{_PARTIAL}*")):
        pid = stale.name.rpartition(_PARTIAL)[2].removesuffix(_OLD)
        if is_running(pid):
            continue
        if stale.name.endswith(_OLD) and not goal.exists():
            stale.rename(goal)
        else:
            shutil.rmtree(stale, ignore_errors=True)


def _replace(folder: Path, goal: Path) -> None:
    """Move the finished folder to the goal; an older bundle there steps aside first and is then removed."""
    if not goal.exists():
        folder.rename(goal)
        return
    old = folder.with_name(folder.name + _OLD)
    goal.rename(old)
    folder.rename(goal)
    shutil.rmtree(old, ignore_errors=True)

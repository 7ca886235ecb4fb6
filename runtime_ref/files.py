"""Whole files in and out, with errors that a user can mend. What they mean is not known here."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sys
import unicodedata
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .errors import DofkitError

if sys.version_info >= (3, 11):
    import tomllib
else:  # the same parser, as a package
    import tomli as tomllib

_PART = ".part"


def read_file(path: Path) -> bytes:
    """All bytes of a file.

    Raises:
        DofkitError: the file is missing, a folder, empty, or may not be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DofkitError(f"{path}: no such file; check the path") from None
    except IsADirectoryError:
        raise DofkitError(f"{path}: is a folder; name a file in it") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        raise DofkitError(f"{path}: cannot be read ({_reason(error)}); check its permissions") from error
    if not data:
        raise DofkitError(f"{path}: is empty (0 bytes); copy it again from where it came")
    return data


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file holds.

    Raises:
        DofkitError: as `read_file`, or it is no UTF-8 text or no TOML.
    """
    try:
        return tomllib.loads(read_file(path).decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DofkitError(f"{path}: is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise DofkitError(f"{path}: is not TOML: {error}; mend it there") from error


def check_folder(path: Path) -> None:
    """Refuse a goal that `write_file` could not write.

    Raises:
        DofkitError: the folder is missing or not writable, or the goal is a folder, or no plain file.
    """
    goal = _behind_links(path)
    if not goal.parent.is_dir():
        folder = goal.parent if path.is_symlink() else path.parent
        raise DofkitError(f"{path}: cannot be written, there is no folder {folder}; create it first")
    if goal.is_dir():
        raise DofkitError(f"{path}: cannot be written, it is a folder; name a file in it")
    if goal.exists() and not goal.is_file():
        raise DofkitError(f"{path}: cannot be written, it is a device or a pipe; name a file")
    if not os.access(goal.parent, os.W_OK):
        raise DofkitError(f"{path}: cannot be written, {goal.parent} is not writable; choose another folder")


def check_goals(goals: Mapping[str, Path | None], inputs: Iterable[Path | None], overwrite: bool | None = None) -> None:
    """Refuse goals of one command that would destroy each other, or what is read.

    Args:
        goals: option (`--out`) to the file that it writes; None where it is not given.
        inputs: the files that are read.
        overwrite: whether the inputs may be written over; None where the command has no option for it.

    Raises:
        DofkitError: two goals are one file, or one is an input.
    """
    inputs = [source for source in inputs if source is not None]
    given = [(option, path) for option, path in goals.items() if path is not None]
    for index, (option, path) in enumerate(given):
        for other, earlier in given[:index]:
            if same_file(path, earlier):
                raise DofkitError(f"{path}: is what both {other} and {option} would write; name two files")
        source = next((source for source in inputs if same_file(path, source)), None)
        if source is not None and not overwrite:
            remedy = "name another file" + ("" if overwrite is None else ", or say --overwrite")
            raise DofkitError(f"{path}: is read by this command and {option} would replace it; {remedy}")


def same_file(first: Path, second: Path) -> bool:
    """Whether two paths are one file: by links, or by names that some file systems do not tell apart.

    Of files that are not there yet, names that differ in case only count as one: on most Macs and on Windows they are.
    """
    try:
        return os.path.samefile(first, second)
    except (OSError, ValueError):  # one of them is not there
        one, other = _behind_links(first), _behind_links(second)
    if one.exists() or other.exists():  # and the other is not, so the system tells them apart
        return False
    return _folded(one.name) == _folded(other.name) and (
        one.parent == other.parent or (one.parent.is_dir() and same_file(one.parent, other.parent))
    )


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: a temporary file beside the goal is renamed over it at the end.

    A symbolic link stays one: what it points at is written. A process that is killed meanwhile leaves a hidden file,
    which the next one to write the goal removes.

    Raises:
        DofkitError: the folder is missing or not writable, the goal is a folder, or the disk is full.
    """
    check_folder(path)
    goal = _behind_links(path)
    # Not tempfile: its files are readable by their owner only, and the goal would inherit that.
    temporary = goal.with_name(f"{_part_of(goal)}{os.getpid()}-{secrets.token_hex(4)}{_PART}")
    try:
        _clear_stale(goal)
        with temporary.open("xb") as file:
            file.write(data)
        os.replace(temporary, goal)
    except OSError as error:
        raise DofkitError(
            f"{path}: cannot be written ({_reason(error)}); choose a folder that is writable and has space"
        ) from error
    finally:
        with suppress(OSError):  # it is gone after a success, and was never there where the folder is none
            temporary.unlink()


def write_json(path: Path, document: object) -> None:
    """Write a document as JSON that people can read and change; errors as of `write_file`."""
    write_file(path, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())


def _behind_links(path: Path) -> Path:
    """The file that a path leads to, through all symbolic links; it need not be there."""
    try:
        return path.resolve() if path.is_symlink() else path.parent.resolve() / path.name
    except (OSError, RuntimeError, ValueError):  # links in a circle, a name that cannot be one
        raise DofkitError(f"{path}: leads nowhere (links in a circle, or no name of a file); name another") from None


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def is_running(process: str) -> bool:
    """Whether a process of this number runs; False for what is no number."""
    if not process.isdigit():
        return False
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _clear_stale(path: Path) -> None:
    """Remove what killed processes left of a file."""
    start = _part_of(path)
    with os.scandir(path.parent) as entries:
        parts = [entry.name for entry in entries if entry.name.startswith(start) and entry.name.endswith(_PART)]
    for name in parts:
        process, sign, _ = name.removeprefix(start).partition("-")
        if sign and process.isdigit() and not is_running(process):
            path.with_name(name).unlink(missing_ok=True)


def _part_of(goal: Path) -> str:
    """How the temporary files of a goal begin. Not with its name, which may be as long as the system allows."""
    return f".{hashlib.sha256(os.fsencode(goal.name)).hexdigest()[:16]}."


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)

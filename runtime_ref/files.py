"""Whole files in and out, with errors that a user can mend. What the bytes mean is not known here."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from .errors import DofkitError

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


def check_folder(path: Path) -> None:
    """Refuse a goal that `write_file` could not write.

    Raises:
        DofkitError: the folder is missing or not writable, or the goal is a folder.
    """
    if not path.parent.is_dir():
        raise DofkitError(f"{path}: cannot be written, there is no folder {path.parent}; create it first")
    if path.is_dir():
        raise DofkitError(f"{path}: cannot be written, it is a folder; name a file in it")
    if not os.access(path.parent, os.W_OK):
        raise DofkitError(f"{path}: cannot be written, {path.parent} is not writable; choose another folder")


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: a temporary file beside the goal is renamed over it at the end.

    A process that is killed meanwhile leaves its hidden `.NAME.PID-….part`; the next one to write the goal removes it.

    Raises:
        DofkitError: the folder is missing or not writable, the goal is a folder, or the disk is full.
    """
    check_folder(path)
    # Not tempfile: its files are readable by their owner only, and the goal would inherit that.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{_PART}")
    try:
        _clear_stale(path)
        with temporary.open("xb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError as error:
        raise DofkitError(
            f"{path}: cannot be written ({_reason(error)}); choose a folder that is writable and has space"
        ) from error
    finally:
        with suppress(OSError):  # it is gone after a success, and was never there where the folder is none
            temporary.unlink()


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
    start = f".{path.name}."
    with os.scandir(path.parent) as entries:
        parts = [entry.name for entry in entries if entry.name.startswith(start) and entry.name.endswith(_PART)]
    for name in parts:
        process, sign, _ = name.removeprefix(start).partition("-")
        if sign and process.isdigit() and not is_running(process):
            path.with_name(name).unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)

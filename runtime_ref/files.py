"""Whole files in and out, with errors that a user can mend. What they mean is not known here."""

from __future__ import annotations

import json
import os
import secrets
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from .errors import DofkitError

if sys.version_info >= (3, 11):
    import tomllib
else:  # the same parser, as a package
    import tomli as tomllib


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

    Raises:
        DofkitError: the folder is missing or not writable, the goal is a folder, or the disk is full.
    """
    check_folder(path)
    # Not tempfile: its files are readable by their owner only, and the goal would inherit that.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
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


def write_json(path: Path, document: object) -> None:
    """Write a document as JSON that people can read and change; errors as of `write_file`."""
    write_file(path, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)

"""What devices need beside Python packages, installed by `dofkit doctor --install`: parts that are whole or not there.

A part is a folder below `cache_folder()`. It is made under another name and renamed at the end, so that an installation
that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..runtime_ref.errors import DofkitError
from ..runtime_ref.files import is_running

Say = Callable[[str], None]
_LAST_LINES = 3  # of a command that failed, in the error


@dataclass(frozen=True)
class Part:
    """One folder of an installation.

    Attributes:
        title: what it is, for people.
        folder: where it lies once it is complete.
        make: fills an empty folder.
    """

    title: str
    folder: Path
    make: Callable[[Path], None]

    @property
    def is_there(self) -> bool:
        """Whether it is complete."""
        return self.folder.is_dir()


def install(parts: Sequence[Part], say: Say) -> None:
    """Make the parts that are missing, in their order.

    Raises:
        DofkitError: one cannot be made; those before it stay.
    """
    for number, part in enumerate(parts, 1):
        place = f"{number}/{len(parts)} {part.title}"
        if part.is_there:
            say(f"{place}: there already ({part.folder})")
            continue
        say(f"{place} …")
        _make(part)


def _make(part: Part) -> None:
    beside = part.folder.parent
    unfinished = beside / f".{part.folder.name}.{os.getpid()}.part"
    try:
        beside.mkdir(parents=True, exist_ok=True)
        _clear_stale(beside)
        unfinished.mkdir()
        part.make(unfinished)
        os.replace(unfinished, part.folder)
    except OSError as error:
        raise DofkitError(
            f"{part.folder}: cannot be made ({error.strerror or error}); set DOFKIT_CACHE to a folder with space"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _clear_stale(folder: Path) -> None:
    """Remove what killed installations left."""
    for left in folder.glob(".*.part"):
        if not is_running(left.name.split(".")[-2]):
            shutil.rmtree(left, ignore_errors=True)


def run_tool(command: Iterable[str | Path], cwd: Path, doing: str, env: Mapping[str, str] | None = None) -> str:
    """Run a system's tool; what it printed on stdout.

    Args:
        command: program and arguments.
        cwd: where it runs.
        doing: what it is for, as the sentence's subject ("fetching the packages").
        env: variables beside those of this process.

    Raises:
        DofkitError: it is not there, or failed; repeats its last words.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words, cwd=cwd, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, errors="replace", check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise DofkitError(f"{doing} needs the program {words[0]}, which is not installed; install it first") from None
    if done.returncode:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        reason = " / ".join(said[-_LAST_LINES:]) or f"exit code {done.returncode}"
        raise DofkitError(f"{doing} failed: {words[0]} says {reason}; mend that and run the command again")
    return done.stdout

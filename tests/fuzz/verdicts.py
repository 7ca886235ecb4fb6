"""One case in this process: what reads it must give a result, or refuse it in one line, soon and in little memory."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.memory import peak_memory

from .entries import KINDS
from .seeds import Tree, write_tree

SECONDS = 10  # of a core's time: what the clock says depends on what else the machine does
MEGABYTES = 2048


class Hang(BaseException):
    """The time is up; no `except Exception` swallows it."""


@dataclass(frozen=True)
class Verdict:
    """What became of a case.

    Attributes:
        number, kind: the case.
        outcome: "read", "refused", or what is wrong: "traceback", "hang", "memory", "lines", "crash".
        detail: the refusal, or the traceback.
        seconds: of a core's time.
        megabytes: beyond what the process held before.
        noise: bytes that libraries wrote to the terminal meanwhile.
    """

    number: int
    kind: str
    outcome: str
    detail: str
    seconds: float
    megabytes: float
    noise: int = 0

    @property
    def failed(self) -> bool:
        return self.outcome not in ("read", "refused")


def judge(number: int, kind: str, tree: Tree) -> Verdict:
    """Have a case read."""
    reader, suffix = KINDS[kind]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"case{suffix}"
        write_tree(tree, path)
        before = _reset_peak()
        started = time.process_time()
        with _silent() as noise:
            outcome, detail = _read(lambda: reader(path))
        seconds = time.process_time() - started
    megabytes = max(0.0, (peak_memory() - before) / 2**20)
    if outcome in ("read", "refused") and megabytes > MEGABYTES:
        outcome, detail = "memory", f"{megabytes:.0f} MB; {detail}"
    return Verdict(number, kind, outcome, detail.replace(folder, ""), seconds, megabytes, noise[0])


def _read(read: Any) -> tuple[str, str]:
    with _alarm():
        try:
            read()
        except DofkitError as error:
            text = str(error)
            # What a hostile file says must not move a terminal's cursor, nor make a second line.
            return ("refused" if text.isprintable() and text else "lines"), text
        except Hang:
            return "hang", traceback.format_exc()
        except Exception:
            return "traceback", traceback.format_exc()
    return "read", ""


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    def ring(number: int, frame: Any) -> None:
        del number, frame
        raise Hang

    previous = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)


@contextlib.contextmanager
def _silent() -> Iterator[list[int]]:
    """Keep libraries off the terminal; gives how many bytes they wrote."""
    written = [0]
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.dup2(file.fileno(), 2)
        try:
            yield written
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            written[0] = file.tell()


def _reset_peak() -> int:
    """Forget the greatest memory so far (Linux); returns what is held now, in bytes."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return peak_memory()

"""Silence for libraries that write to stdout or stderr while they load or convert, some of them from C++."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def silence() -> Iterator[None]:
    """Send everything that this process writes to file descriptors 1 and 2 to nowhere, from C++ too.

    Errors still travel as exceptions. Whoever draws a progress bar must hold its own duplicate of stderr.
    """
    kept: list[tuple[int, int]] = []
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        for stream in (sys.stdout, sys.stderr):
            with suppress(ValueError, OSError):  # a closed stream has nothing to flush
                stream.flush()
        for descriptor in (1, 2):
            with suppress(OSError):  # a closed descriptor needs no silence
                kept.append((descriptor, os.dup(descriptor)))
                os.dup2(sink, descriptor)
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(ValueError, OSError):
                stream.flush()
        for descriptor, copy in kept:
            os.dup2(copy, descriptor)
            os.close(copy)
        os.close(sink)


@contextmanager
def stderr_kept() -> Iterator[Callable[[], str]]:
    """Keep what this process writes to file descriptor 2, from C++ too, from the terminal; yields what tells it."""
    with tempfile.TemporaryFile() as log:

        def said() -> str:
            log.seek(0)
            return log.read().decode(errors="replace")

        try:
            terminal = os.dup(2)
        except OSError:  # a closed descriptor: nothing is seen of it anyway
            yield said
            return
        os.dup2(log.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)

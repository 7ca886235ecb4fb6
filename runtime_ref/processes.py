"""Processes that Python's own pools start: they must not run what lies in the working folder, nor outlive their owner.

`multiprocessing` starts a fresh Python by `python -c …`, which looks for modules in the working folder before anything
of ours has run. Processes of a runtime have a start of their own: `backends._process`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import connection, parent_process
from threading import Thread

SAFE_PATH = "PYTHONSAFEPATH"  # since Python 3.11; 3.10 does not know it and goes on looking there


@contextmanager
def safe_path() -> Iterator[None]:
    """Inside it, a fresh Python that is started does not put the working folder on its path."""
    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[SAFE_PATH]
        else:
            os.environ[SAFE_PATH] = before


def end_with_owner() -> None:
    """In a process of a pool: end when the process that started it has ended, however that was. A killed owner tells
    its workers nothing, and they would wait for work for ever."""
    owner = parent_process()
    if owner is not None:
        Thread(target=_end_after, args=(owner.sentinel,), daemon=True).start()


def _end_after(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)

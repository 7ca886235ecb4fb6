"""Processes that Python's own pools start: they must not run what lies in the working folder, nor outlive their owner.

`multiprocessing` starts a fresh Python by `python -c …`, which looks for modules in the working folder before anything
of ours has run. Processes of a runtime have a start of their own: `backends._process`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import connection, parent_process
from threading import Thread

SAFE_PATH = "PYTHONSAFEPATH"  # since Python 3.11; 3.10 does not know it and goes on looking there


@contextmanager
def variable_set(name: str) -> Iterator[None]:
    """Inside it, a variable of the environment is "1"; afterwards it is as before."""
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def safe_path() -> AbstractContextManager[None]:
    """Inside it, a fresh Python that is started does not put the working folder on its path."""
    return variable_set(SAFE_PATH)


def end_with_owner() -> None:
    """In a process of a pool: end when the process that started it has ended, however that was. A killed owner tells
    its workers nothing, and they would wait for work for ever."""
    owner = parent_process()
    if owner is not None:
        Thread(target=_end_after, args=(owner.sentinel,), daemon=True).start()


def _end_after(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)

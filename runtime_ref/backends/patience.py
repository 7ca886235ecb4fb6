"""How long a process may take: what it spent ready to compute, while others had the cores, is not held against it.

A loaded machine makes a runtime twenty times slower; stopping it for that would say that its file is at fault.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..errors import DofkitError

VARIABLE = "DOFKIT_RUNTIME_SECONDS"
"""Of the environment: seconds that opening a model or computing a stage may take."""
USUAL = 600.0
SLOW = 0.25
"""Part of that for a runtime that is made to be right, not fast: an evaluator computes the same. Apple's on Linux
converts every operand of fp16 by a call: Depth Anything V2 Small at 518×518 was not done after 1100 s of CPU,
where fp32 took 19."""
_LEAST_LOOK = 0.02  # seconds between two looks at a process whose time is nearly over

Waits = Callable[[], Mapping[str, float]]


def patience() -> float:
    """Seconds that opening a model or computing a stage may take.

    Raises:
        DofkitError: the variable of the environment is no number of seconds.
    """
    said = os.environ.get(VARIABLE)
    try:
        seconds = USUAL if said is None else float(said)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < threading.TIMEOUT_MAX:
        raise DofkitError(f"{VARIABLE}={said} is no number of seconds above 0; leave it out for {USUAL:g}")
    return seconds


def core_waits(process: int) -> dict[str, float]:
    """Seconds that each thread of a process has been ready to compute and had no core; empty where it is not told."""
    waits = {}
    for thread in Path(f"/proc/{process}/task").glob("*"):
        try:
            waits[thread.name] = int((thread / "schedstat").read_text().split()[1]) / 1e9
        except (OSError, IndexError, ValueError):  # it ended meanwhile, or this system does not count
            continue
    return waits


@contextmanager
def deadline(seconds: float, waits: Waits, expire: Callable[[], None]) -> Iterator[None]:
    """Call `expire` unless what is inside ends in time; afterwards it either has been called or never will be.

    Args:
        seconds: allowed, without the time that the thread that waited longest had to wait for a core.
        waits: of the threads of the process that computes, see `core_waits`.
    """
    ended = threading.Event()
    begun = time.monotonic()

    def watch() -> None:
        before, left = waits(), seconds  # read here: half a millisecond that the caller need not spend
        while left > 0 and not ended.wait(max(left, _LEAST_LOOK)):
            waited = max((now - before.get(name, 0.0) for name, now in waits().items()), default=0.0)
            left = seconds - (time.monotonic() - begun - waited)
        if left <= 0:
            expire()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()

"""The time that a process may take: its own, and not what others took of the machine."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping

import pytest

from dofkit.runtime_ref.backends.patience import USUAL, VARIABLE, core_waits, deadline, patience
from dofkit.runtime_ref.errors import DofkitError


def _expires_within(limit: float, waits: Mapping[str, float], seconds: float) -> bool:
    """Whether a call of so many seconds expires whose threads wait for such parts of the time for a core."""
    begun, expired = time.monotonic(), threading.Event()

    def waiting() -> dict[str, float]:
        return {name: 1000 + part * (time.monotonic() - begun) for name, part in waits.items()}

    with deadline(limit, waiting, expired.set):
        return expired.wait(seconds)


def test_a_wait_for_a_core_is_not_held_against_a_process() -> None:
    assert _expires_within(0.05, {}, 30), "a system that does not count waits"
    assert _expires_within(0.05, {"main": 0.0, "worker": 0.5}, 30)
    assert not _expires_within(0.05, {"main": 0.0, "worker": 1.0}, 0.3), "its first thread waits for the other"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux counts what a thread waits for a core")
def test_processes_that_share_a_core_wait_for_each_other() -> None:
    core = min(os.sched_getaffinity(0))
    busy = f"import os; os.sched_setaffinity(0, {{{core}}})\nwhile True: pass"
    processes = [subprocess.Popen([sys.executable, "-S", "-c", busy]) for _ in range(2)]
    try:
        end = time.monotonic() + 30
        while not all(max(core_waits(one.pid).values(), default=0.0) > 0.05 for one in processes):
            assert time.monotonic() < end
            time.sleep(0.02)
    finally:
        for one in processes:
            one.kill()
            one.wait()
    assert core_waits(processes[0].pid) == {}, "a process that has ended waits for nothing"


def test_the_environment_may_say_another_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert patience() == USUAL
    monkeypatch.setenv(VARIABLE, "3600")
    assert patience() == 3600
    for nonsense in ("long", "0", "-1", "nan", "inf"):
        monkeypatch.setenv(VARIABLE, nonsense)
        with pytest.raises(DofkitError, match=f"{VARIABLE}={nonsense} is no number of seconds above 0; leave it out"):
            patience()

"""How much memory a process used at most, and how much the machine has."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path


def peak_memory() -> int:
    """Greatest resident memory of this process so far, in bytes; 0 where the system does not tell.

    On Linux the program's own high-water mark: `getrusage` also counts that of the process which started it.
    """
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:", 1)[1].split()[0]) * 1024
    except (OSError, IndexError, ValueError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, others kilobytes


def physical_memory() -> int:
    """Memory of the machine in bytes; 0 where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows, or a name that is not known
        return 0


def free_memory() -> int:
    """Memory that may still be taken, in bytes: what Linux says is available, less where a container is given less;
    elsewhere half of the machine's. 0 where the system tells nothing."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, IndexError, ValueError):
        return physical_memory() // 2
    return min(free, _left_to_container(free))


def give_back() -> None:
    """Return to the system what the C library keeps of freed memory, where it is glibc: after tiles on several threads
    up to 160 MB. Takes milliseconds, and what is asked for next some more; for before what takes much at once."""
    with suppress(OSError, AttributeError, TypeError):  # musl, macOS, Windows
        ctypes.CDLL(None).malloc_trim(0)


def _left_to_container(otherwise: int) -> int:
    """Of a control group's limit, version 2, what is not taken yet."""
    try:
        limit, taken = (int(Path("/sys/fs/cgroup", name).read_text()) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # no such limit: "max"
        return otherwise
    return max(0, limit - taken)

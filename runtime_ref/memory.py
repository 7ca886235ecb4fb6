"""How much memory a process used at most, and how much the machine has."""

from __future__ import annotations

import os
import sys
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

"""How much memory a process used at most."""

from __future__ import annotations

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

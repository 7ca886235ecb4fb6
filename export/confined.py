"""Converters of brought networks run in a process of their own, with a limit on its memory.

What somebody brings may become far larger in a converter than it is: Depth Pro's `unfold` becomes a convolution of 3 GB
in coremltools, and one conversion took 21 GB. Then one line says so, where otherwise the system would end everything.

The process is a fresh Python: a copy of this one (fork) would have the locks that other threads held, and wait for them
for ever. How the conversion gets there: `sending`; what it does there: `_converter`. How much a process takes is known
on Linux only.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

from ..runtime_ref.backends._process import module_path
from ..runtime_ref.errors import DofkitError
from ..runtime_ref.memory import free_memory
from ..runtime_ref.target import Target
from ._converter import ANSWER, JOB, Raised
from .sending import send
from .stages import StageGraph

Result = TypeVar("Result")

VARIABLE = "DOFKIT_CONVERTER_GB"
"""Of the environment: the limit in gigabytes; 0: no process of its own."""
_SHARE = 0.8  # of the free memory; the rest is for what else is running
_GIGABYTE = 1e9
_LOOK = 0.05  # seconds between two looks at the memory: far less than a converter needs to fill what is left free


_START = f"import sys; sys.path[:] = sys.argv[2:]; from {__package__}._converter import main; main()"


def confined(graph: StageGraph, target: Target, work: Callable[[], Result]) -> Result:
    """What `work` gives, computed in a process with a limit on its memory if the graph's network was brought.

    Args:
        graph: what is converted.
        target: what for.
        work: converts it, and writes files; a function of a module or a partial of one, see `sending`.

    Raises:
        DofkitError: it needs more memory than the limit, the process was ended, or what `work` raises.
    """
    limit = _limit()
    if not graph.rewritten or limit == 0 or not sys.platform.startswith("linux"):
        return work()
    with tempfile.TemporaryDirectory() as folder:
        with Path(folder, JOB).open("wb") as stream:
            send(work, stream)
        command = [sys.executable, "-c", _START, folder, *module_path()]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            answer = _answer(process, Path(folder, ANSWER), limit)
        finally:
            process.kill()
            process.wait()
    if isinstance(answer, Raised):
        if answer.refused:
            raise DofkitError(answer.message)
        what = f"{graph.stage}: {target.title}'s converter {answer.message}"
        raise DofkitError(f"{what}; take a smaller --depth-size, another target, or {VARIABLE} to say how much it may")
    return cast(Result, answer)


def _limit() -> int:
    """Bytes that a converter may take; 0: it is not limited.

    Raises:
        DofkitError: the variable of the environment is no number.
    """
    said = os.environ.get(VARIABLE)
    if said is None:
        return int(_SHARE * free_memory())
    try:
        return max(0, int(float(said) * _GIGABYTE))
    except ValueError:
        raise DofkitError(f"{VARIABLE}={said} is no number of gigabytes; 0 turns the limit off") from None


def _answer(process: subprocess.Popen[bytes], path: Path, limit: int) -> object:
    """What a process writes, or why it writes nothing."""
    while process.poll() is None:
        if _taken(process.pid) > limit:
            return Raised(f"needs more than {limit / _GIGABYTE:.1f} GB of memory", refused=False)
        time.sleep(_LOOK)
    if not path.is_file():
        return Raised("was ended before it was done, perhaps for want of memory", refused=False)
    return pickle.loads(path.read_bytes())


def _taken(pid: int) -> int:
    """Resident memory of a process in bytes; 0 once it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0

"""Converters of brought networks run in a process of their own, with a limit on its memory.

What somebody brings may become far larger in a converter than it is: Depth Pro's `unfold` becomes a convolution of 3 GB
in coremltools, and one conversion took 21 GB. Then one line says so, where otherwise the system would end everything.

The process is a copy (fork) of this one, so that networks need not be written and read again. Linux only: elsewhere a
copy may not compute, and converters run in this process, unlimited.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar, cast

import torch

from ..runtime_ref.errors import DofkitError, first_line
from ..runtime_ref.memory import free_memory
from ..runtime_ref.target import Target
from .stages import StageGraph

Result = TypeVar("Result")

VARIABLE = "DOFKIT_CONVERTER_GB"
"""Of the environment: the limit in gigabytes; 0: no process of its own."""
_SHARE = 0.8  # of the free memory; the rest is for what else is running
_GIGABYTE = 1e9
_LOOK = 0.05  # seconds between two looks at the memory: far less than a converter needs to fill what is left free


@dataclass(frozen=True)
class _Raised:
    """What ended a conversion.

    Attributes:
        message: for people, in a line.
        refused: it is a DofkitError's, which says everything.
    """

    message: str
    refused: bool


def confined(graph: StageGraph, target: Target, work: Callable[[], Result]) -> Result:
    """What `work` gives, computed in a process with a limit on its memory if the graph's network was brought.

    Args:
        graph: what is converted.
        target: what for.
        work: converts it, and writes files; what it gives must be picklable.

    Raises:
        DofkitError: it needs more memory than the limit, the process was ended, or what `work` raises.
    """
    limit = _limit()
    if not graph.rewritten or limit == 0 or not sys.platform.startswith("linux"):
        return work()
    assert graph.computed is not None  # here: the copy's would be lost with it
    receiver, sender = multiprocessing.Pipe(duplex=False)
    # A fork, whatever Python's default is; Python warns of threads that others started, which the copy does not use.
    process = multiprocessing.get_context("fork").Process(target=_send, args=(work, sender), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    sender.close()
    assert process.pid is not None
    try:
        answer = _answer(receiver, process.pid, limit)
    finally:
        process.kill()
        process.join()
    if isinstance(answer, _Raised):
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


def _send(work: Callable[[], object], sender: Connection) -> None:
    """In the process: do the work and send what it gives or raises."""
    torch.set_num_threads(1)  # the threads of the first process are not in its copy
    try:
        sender.send(work())
    except DofkitError as error:
        sender.send(_Raised(str(error), refused=True))
    except MemoryError:
        sender.send(_Raised("was refused memory by the system", refused=False))
    except Exception as error:
        sender.send(_Raised(f"failed ({type(error).__name__}: {first_line(error)})", refused=False))
    sender.close()
    os._exit(0)  # nothing of the first process is to be ended here


def _answer(receiver: Connection, pid: int, limit: int) -> object:
    """What a process sends, or why it sends nothing."""
    before = _taken(pid)  # shared with the first process
    while not receiver.poll(_LOOK):
        if _taken(pid) - before > limit:
            return _Raised(f"needs more than {limit / _GIGABYTE:.1f} GB of memory", refused=False)
    try:
        return receiver.recv()
    except EOFError:
        return _Raised("was ended before it was done, perhaps for want of memory", refused=False)


def _taken(pid: int) -> int:
    """Resident memory of a process in bytes; 0 once it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0

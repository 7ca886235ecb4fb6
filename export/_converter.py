"""The process in which `confined` converts: it reads a conversion, does it, and writes what it gives or raises."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..runtime_ref.errors import DofkitError, first_line

JOB, ANSWER = "job", "answer"  # files of the folder that both processes know


@dataclass(frozen=True)
class Raised:
    """What ended a conversion.

    Attributes:
        message: for people, in a line.
        refused: it is a DofkitError's, which says everything.
    """

    message: str
    refused: bool


def main() -> None:
    """Do the conversion of the folder that the first argument names."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the owner, too, who ends this process
    os.dup2(2, 1)  # what converters print is none of the program's results
    folder = Path(sys.argv[1])
    with (folder / JOB).open("rb") as stream:
        answer = _answer(pickle.load(stream))
    unfinished = folder / f"{ANSWER}.part"
    unfinished.write_bytes(pickle.dumps(answer))
    unfinished.rename(folder / ANSWER)
    sys.stderr.flush()
    os._exit(0)  # converters' own threads may not end


def _answer(work: Callable[[], object]) -> object:
    try:
        return work()
    except DofkitError as error:
        return Raised(str(error), refused=True)
    except MemoryError:
        return Raised("was refused memory by the system", refused=False)
    except Exception as error:  # converters raise classes of their own
        return Raised(f"failed ({type(error).__name__}: {first_line(error)})", refused=False)

"""What computes a stage, seen from the pipeline: one protocol, whatever the runtime. Backends open such sessions."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..errors import DofkitError
from .aspects import Size, size_text

Array = NDArray[np.floating[Any]]


class Session(Protocol):
    """One stage on one runtime. A session that several threads may run at once is a `SharedSession`, too."""

    @property
    def runtime(self) -> str:
        """Name and version of what computes, for people."""
        ...

    def run(self, inputs: Mapping[str, Array]) -> Array:
        """Compute the stage.

        Args:
            inputs: the stage's inputs by name, each `[1, C, H, W]` float32 (also where the file itself is NHWC).

        Returns:
            The stage's output, `[1, C, H, W]` float32.
        """
        ...


@runtime_checkable
class SharedSession(Protocol):
    """A stage that can be computed for several tiles at once."""

    def side_by_side(self) -> tuple[Session, int]:
        """The same stage with one core a call, and how many calls may run at once."""
        ...


class SessionPool:
    """Sessions of one model, each of which computes one call at a time; a call takes one that is free.

    Args:
        sessions: at least one.
    """

    def __init__(self, sessions: Sequence[Session]) -> None:
        self.runtime = sessions[0].runtime
        self._free: queue.SimpleQueue[Session] = queue.SimpleQueue()
        for session in sessions:
            self._free.put(session)

    def run(self, inputs: Mapping[str, Array]) -> Array:
        """See `Session`; any number of threads may call it."""
        session = self._free.get()
        try:
            return session.run(inputs)
        finally:
            self._free.put(session)


def run_each(session: Session, inputs: Sequence[Mapping[str, Array]]) -> list[Array]:
    """What a session computes from each of several inputs, in their order; several at once where it allows that."""
    if len(inputs) > 1 and isinstance(session, SharedSession):
        session, workers = session.side_by_side()
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(session.run, inputs))
    return [session.run(each) for each in inputs]


@runtime_checkable
class SelfTimedSession(Protocol):
    """A stage on a device that takes the time itself: what it costs to get there and back does not count."""

    def run_timed(self, inputs: Mapping[str, Array]) -> tuple[Array, float]:
        """Compute the stage as `Session.run` does; its output, and the milliseconds that computing took there."""
        ...


@runtime_checkable
class CountedSession(Protocol):
    """A stage on a device that counts what it executes: a cost that no load of the machine changes."""

    def instructions(self, inputs: Mapping[str, Array]) -> int:
        """The instructions that a run takes once everything is loaded and packed.

        Raises:
            BackendUnavailableError: they cannot be counted on this machine; says what is missing.
        """
        ...


class SizedSession:
    """A stage that is there at one or more input sizes, one session each; they are opened when they are needed.

    Args:
        openers: (height, width) of the inputs -> opens the session that computes them; at least one.
    """

    def __init__(self, openers: Mapping[Size, Callable[[], Session]]) -> None:
        self._openers = dict(openers)
        self._opened: dict[Size, Session] = {}

    @property
    def opened(self) -> bool:
        """Whether any size has been needed so far."""
        return bool(self._opened)

    @property
    def runtime(self) -> str:
        """See `Session`; all sizes have the same."""
        return self.at(next(iter(self._opened or self._openers))).runtime

    def at(self, size: Size) -> Session:
        """The session of one size.

        Raises:
            DofkitError: there is none.
        """
        if size not in self._openers:
            there = ", ".join(map(size_text, self._openers))
            raise DofkitError(f"no file takes {size_text(size)} pixels, there are {there}; export the bundle again")
        if size not in self._opened:
            self._opened[size] = self._openers[size]()
        return self._opened[size]

    def run(self, inputs: Mapping[str, Array]) -> Array:
        """See `Session`."""
        height, width = next(iter(inputs.values())).shape[2:]
        return self.at((height, width)).run(inputs)

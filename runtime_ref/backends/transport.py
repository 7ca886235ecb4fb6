"""Where backends compute: the same question whether it is this process, one of its own, or a device.

In a process of its own: `own_process`.
"""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from typing_extensions import Self

from ..bundle import Bundle, ModelEntry
from ..pipeline.session import Session
from .backend import Backend


class Transport(Protocol):
    """Opens models where they will be computed; a context manager that leaves nothing running."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...

    def open(self, backend: Backend, bundle: Bundle, model: ModelEntry) -> Session:
        """Open a model; one that is open already is not opened again.

        Raises:
            BackendUnavailableError: the backend cannot run there.
            MissingExtraError: its library is not installed there.
            DofkitError: the runtime does not take the file, or died.
        """
        ...


class InProcess:
    """Computes in this process: fast to ask, but a runtime that crashes ends the program.

    Args:
        threads: CPU threads of each runtime.
    """

    def __init__(self, threads: int = 2) -> None:
        self._threads = threads
        self._sessions: dict[tuple[str, str, str], Session] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._sessions.clear()

    def open(self, backend: Backend, bundle: Bundle, model: ModelEntry) -> Session:
        """Open a model; see `Transport.open`."""
        key = (backend.facts.id, str(bundle.root), model.location)
        if key not in self._sessions:
            self._sessions[key] = backend.open(bundle, model, self._threads)
        return self._sessions[key]

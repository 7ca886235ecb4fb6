"""Sessions in processes of their own: a runtime that crashes or hangs is an error there and not the end of the program.

A process a (target, precision, second opinion), started when it is first needed and again after it died.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import TracebackType

from ..bundle import Bundle, ModelEntry
from ..errors import DofkitError, MissingExtraError
from ..target import Precision, Target
from ._process import GRACE, SessionProcess
from ._wire import Array, Hello, Reply, Request
from .opinions import Opinion, OpinionUnavailableError

_ERRORS = {"unavailable": OpinionUnavailableError, "missing": MissingExtraError, "bad": DofkitError}


class SessionCrashError(DofkitError):
    """The process of a runtime died, or was stopped because it took too long."""


class IsolatedSessions:
    """Opens models of a bundle in other processes; a context manager that leaves none running.

    Args:
        bundle: a bundle that was verified; the processes do not do so again.
        timeout: seconds that opening a model or computing a stage may take.
        threads: CPU threads of each runtime.
    """

    def __init__(self, bundle: Bundle, timeout: float = 600.0, threads: int = 2) -> None:
        self._bundle, self._timeout, self._threads = bundle, timeout, threads
        self._variants: dict[tuple[Target, Precision, Opinion | None], _Variant] = {}

    def __enter__(self) -> IsolatedSessions:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def session(self, model: ModelEntry, opinion: Opinion | None = None) -> IsolatedSession:
        """Open a model as `open_session` does, or as `open_opinion` does; one that is open is not opened again.

        A model that crashed its process while it was opened, or took too long, is not tried again before `stop`.

        Raises:
            OpinionUnavailableError: the second opinion cannot be had here.
            MissingExtraError: the runtime is not installed.
            SessionCrashError: the runtime died or took too long.
            DofkitError: the runtime cannot read the file.
        """
        key = (model.target, model.precision, opinion)
        if key not in self._variants:
            manifest, root = self._bundle.manifest, self._bundle.root
            hello = Hello(root=root, manifest=manifest, opinion=opinion, threads=self._threads)
            self._variants[key] = _Variant(hello, self._timeout)
        return IsolatedSession(self._variants[key], model)

    def stop(self) -> None:
        """End all processes. Sessions stay usable: their next call starts a process again."""
        for variant in self._variants.values():
            variant.stop()


class IsolatedSession:
    """A session (see `Session`) that another process computes.

    Attributes:
        runtime: name and version of what computes.
        peak_memory: greatest resident memory of that process by the end of the last call, in bytes; all sessions of a
            variant share the process. 0 where the system does not tell.
    """

    def __init__(self, variant: _Variant, model: ModelEntry) -> None:
        self._variant, self._model = variant, model
        reply = variant.open(model)
        self.runtime, self.peak_memory = reply.runtime, reply.peak_memory

    @property
    def process_id(self) -> int | None:
        """Of the process that computes; None while there is none."""
        return self._variant.process_id

    def run(self, inputs: Mapping[str, Array]) -> Array:
        """Compute the stage; see `Session.run`.

        Raises:
            SessionCrashError: the runtime died or took too long; the next call starts it again.
            DofkitError: the runtime refused.
        """
        reply, output = self._variant.run(self._model, inputs)
        self.peak_memory = reply.peak_memory
        return output


class _Variant:
    """The models that share a process; one call at a time."""

    def __init__(self, hello: Hello, timeout: float) -> None:
        self._hello, self._timeout = hello, timeout
        self._process: SessionProcess | None = None
        self._fatal: dict[str, str] = {}  # models that must not be opened again, and why
        self._busy = threading.Lock()

    @property
    def process_id(self) -> int | None:
        return self._process.id if self._process is not None and self._process.alive else None

    def open(self, model: ModelEntry) -> Reply:
        with self._busy:
            process = self._open(model)
            return process.opened[model.location]

    def run(self, model: ModelEntry, inputs: Mapping[str, Array]) -> tuple[Reply, Array]:
        with self._busy:
            process = self._open(model)
            request = Request(action="run", key=model.location)
            reply, arrays = self._ask(process, request, inputs, f"computing {model.stage}")
            return reply, arrays["output"]

    def stop(self) -> None:
        with self._busy:
            self._end()
            self._fatal.clear()

    def _running(self) -> SessionProcess:
        if self._process is None or not self._process.alive:
            self._end()
            self._process = SessionProcess(self._hello)
        return self._process

    def _open(self, model: ModelEntry) -> SessionProcess:
        """The process, running and with the model open."""
        key = model.location
        if key in self._fatal:
            raise SessionCrashError(self._fatal[key])
        process = self._running()
        if key not in process.opened:
            request = Request(action="open", key=key, model=model)
            try:
                process.opened[key], _ = self._ask(process, request, {}, f"opening {model.stage}")
            except SessionCrashError as error:
                self._fatal[key] = str(error)
                raise
        return process

    def _ask(
        self, process: SessionProcess, request: Request, arrays: Mapping[str, Array], doing: str
    ) -> tuple[Reply, dict[str, Array]]:
        try:
            reply, answer = process.ask(request, arrays, self._timeout)
        except (OSError, EOFError) as error:
            self._end()
            raise SessionCrashError(process.exit_reason(doing, self._timeout)) from error
        except BaseException:  # Ctrl-C: a reply that nobody waits for must not answer the next request
            self._end(grace=0)
            raise
        if reply.error:
            raise _ERRORS[reply.kind](reply.error) from (_RemoteError(reply.trace) if reply.trace else None)
        return reply, answer

    def _end(self, grace: float = GRACE) -> None:
        if self._process is not None:
            self._process.end(grace)
        self._process = None


class _RemoteError(Exception):
    """Carries the traceback of the other process, for `--debug`."""

    def __str__(self) -> str:
        return f"in the session's process\n{self.args[0]}"

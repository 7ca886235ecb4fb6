"""Backends in processes of their own: a runtime that crashes or hangs is an error there and not the end of the program.

A process a (bundle, target, precision, backend), started when it is first needed and again after it died; several for a
backend that keeps only one core busy, where several tiles or pictures are asked for at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from ..bundle import Bundle, ModelEntry
from ..errors import DofkitError, MissingExtraError
from ..pipeline.plan import PipelinePlan
from ..pipeline.portrait import Lens
from ..pipeline.session import Session, SessionPool
from ..pipeline.stage import Stage
from ..target import Precision, Target
from ._process import GRACE, SessionProcess
from ._wire import Array, Hello, PhotoJob, Reply, Request
from .backend import Backend, BackendUnavailableError, Origin
from .file_tensors import FileTensors
from .latency import PhotoTimes, RunTimes, TimeBudget
from .patience import SLOW, patience

_ERRORS = {"unavailable": BackendUnavailableError, "missing": MissingExtraError, "bad": DofkitError}

_Key = tuple[str, Target, Precision, str, int]


class SessionCrashError(DofkitError):
    """The process of a runtime died, or was stopped because it took too long."""


class SessionTimeoutError(SessionCrashError):
    """The process of a runtime was stopped because it took too long: it said nothing against the file."""


class OwnProcess:
    """Opens models in other processes; a context manager that leaves none running. Bundles are not verified again.

    Args:
        timeout: seconds that opening a model or computing a stage may take, less those in which its process waits for a
            core; None: `patience`, and the part `SLOW` of that for a backend that is made to be right, not fast.
        threads: CPU threads of each runtime.
        command: what runs the worker of this package, elsewhere than in this interpreter (an emulated one).
        environment: variables of the processes, beside those of this one.
    """

    def __init__(
        self,
        timeout: float | None = None,
        threads: int = 2,
        command: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        usual = patience() if timeout is None else timeout
        self._timeout, self._of_slow, self._threads = usual, SLOW * usual if timeout is None else usual, threads
        self._start = partial(SessionProcess, command=command, environment=environment)
        self._variants: dict[_Key, _Variant] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def open(self, backend: Backend, bundle: Bundle, model: ModelEntry) -> ProcessSession:
        """Open a model; see `Transport.open`.

        A model that crashed its process while it was opened, or took too long, is not tried again before `stop`.

        Raises:
            BackendUnavailableError: the backend cannot run here.
            MissingExtraError: the runtime is not installed.
            SessionCrashError: the runtime died or took too long.
            DofkitError: the runtime cannot read the file.
        """
        others = self._threads - 1 if backend.facts.on_one_core else 0
        timeout = self._of_slow if backend.facts.on_one_core else self._timeout
        variants = [
            partial(self._variant, backend.origin, bundle, model, timeout, number) for number in range(others + 1)
        ]
        return ProcessSession(variants, model)

    def stop(self) -> None:
        """End all processes. Sessions stay usable: their next call starts a process again."""
        for variant in self._variants.values():
            variant.stop()

    def _variant(self, origin: Origin, bundle: Bundle, model: ModelEntry, timeout: float, number: int) -> _Variant:
        key = (str(bundle.root), model.target, model.precision, origin.model_dump_json(), number)
        if key not in self._variants:
            hello = Hello(root=bundle.root, manifest=bundle.manifest, origin=origin, threads=self._threads)
            self._variants[key] = _Variant(hello, timeout, self._start)
        return self._variants[key]


class ProcessSession:
    """A session (see `Session`) that another process computes.

    Attributes:
        runtime: name and version of what computes.
        load: how long opening took there, in milliseconds.
        peak_memory: greatest resident memory of that process by the end of the last call, in bytes; all sessions of a
            variant share the process. 0 where the system does not tell.
    """

    def __init__(self, variants: Sequence[Callable[[], _Variant]], model: ModelEntry) -> None:
        self._variants, self._variant, self._model = variants, variants[0](), model
        reply = self._variant.open(model)
        self.runtime, self.load, self.peak_memory = reply.runtime, reply.load, reply.peak_memory
        self._tensors = reply.tensors

    @property
    def process_id(self) -> int | None:
        """Of the process that computes; None while there is none."""
        return self._variant.process_id

    def tensors(self) -> FileTensors | None:
        """What the file declares; None where the runtime does not tell."""
        return self._tensors

    def run(self, inputs: Mapping[str, Array]) -> Array:
        """Compute the stage; see `Session.run`.

        Raises:
            SessionCrashError: the runtime died or took too long; the next call starts it again.
            DofkitError: the runtime refused.
        """
        _, arrays = self._ask(Request(action="run", key=self._model.location), inputs)
        return arrays["output"]

    def side_by_side(self) -> tuple[Session, int]:
        """The same model in as many processes as are worth it; see `SharedSession`."""
        others = [ProcessSession([variant], self._model) for variant in self._variants[1:]]
        return (SessionPool([self, *others]) if others else self), len(self._variants)

    def time_runs(self, inputs: Mapping[str, Array], budget: TimeBudget) -> RunTimes:
        """Time a session that has not run yet, in the process that computes it; raises as `run` does."""
        reply, _ = self._ask(Request(action="time", key=self._model.location, budget=budget), inputs)
        assert reply.times is not None
        return reply.times

    def count_instructions(self, inputs: Mapping[str, Array]) -> int | None:
        """What a run costs on a device that counts, see `CountedSession`; None elsewhere. Raises as `run` does, too."""
        reply, _ = self._ask(Request(action="count", key=self._model.location), inputs)
        return reply.instructions

    def time_photo(
        self, sessions: Mapping[Stage, ProcessSession], plan: PipelinePlan, pixels: NDArray[np.uint8], lens: Lens,
        budget: TimeBudget,
    ) -> PhotoTimes:  # fmt: skip
        """Time the whole pipeline in this session's process, which computes the others too; raises as `run` does."""
        for session in sessions.values():
            session._variant.open(session._model)  # again, if the process died meanwhile
        keys = {stage: session._model.location for stage, session in sessions.items()}
        job = PhotoJob(keys=keys, plan=plan, focus=lens.focus, aperture=lens.aperture)
        reply, _ = self._ask(Request(action="photo", photo=job, budget=budget), {"photo": pixels})
        assert reply.photo is not None
        return reply.photo

    def _ask(self, request: Request, arrays: Mapping[str, Array]) -> tuple[Reply, dict[str, Array]]:
        reply, answer = self._variant.ask(self._model, request, arrays)
        self.peak_memory = reply.peak_memory
        return reply, answer


class _Variant:
    """The models that share a process; one call at a time."""

    def __init__(self, hello: Hello, timeout: float, start: Callable[[Hello], SessionProcess]) -> None:
        self._hello, self._timeout, self._start = hello, timeout, start
        self._process: SessionProcess | None = None
        self._fatal: dict[str, SessionCrashError] = {}  # models that must not be opened again, and why
        self._busy = threading.Lock()

    @property
    def process_id(self) -> int | None:
        return self._process.id if self._process is not None and self._process.alive else None

    def open(self, model: ModelEntry) -> Reply:
        with self._busy:
            process = self._open(model)
            return process.opened[model.location]

    def ask(self, model: ModelEntry, request: Request, arrays: Mapping[str, Array]) -> tuple[Reply, dict[str, Array]]:
        doing = f"computing {model.stage}" if request.photo is None else "computing a photo"
        with self._busy:
            return self._ask(self._open(model), request, arrays, doing)

    def stop(self) -> None:
        with self._busy:
            self._end()
            self._fatal.clear()

    def _running(self) -> SessionProcess:
        if self._process is None or not self._process.alive:
            self._end()
            self._process = self._start(self._hello)
        return self._process

    def _open(self, model: ModelEntry) -> SessionProcess:
        """The process, running and with the model open."""
        key = model.location
        if key in self._fatal:
            known = self._fatal[key]
            raise type(known)(str(known))
        process = self._running()
        if key not in process.opened:
            request = Request(action="open", key=key, model=model)
            try:
                process.opened[key], _ = self._ask(process, request, {}, f"opening {model.stage}")
            except SessionCrashError as error:
                self._fatal[key] = error
                raise
        return process

    def _ask(
        self, process: SessionProcess, request: Request, arrays: Mapping[str, Array], doing: str
    ) -> tuple[Reply, dict[str, Array]]:
        try:
            reply, answer = process.ask(request, arrays, self._timeout)
        except (OSError, EOFError) as error:
            self._end()
            kind = SessionTimeoutError if process.expired else SessionCrashError
            raise kind(process.exit_reason(doing, self._timeout)) from error
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

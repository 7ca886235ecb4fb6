"""The process in which `OwnProcess` computes: it opens models and runs them, one request after the other.

Its pipes are its own: whatever a library writes to stdout goes to stderr. It ends when its owner closes stdin.
"""

from __future__ import annotations

import importlib
import os
import queue
import signal
import threading
import traceback
from collections.abc import Callable
from typing import BinaryIO, Literal

from ..bundle import Bundle
from ..errors import DofkitError, MissingExtraError
from ..memory import peak_memory
from ..pipeline.portrait import Lens
from ..pipeline.session import CountedSession, Session
from ._wire import READY, Array, Hello, Origin, Reply, Request, read_message, write_message
from .backend import Backend, BackendUnavailableError
from .file_tensors import DescribedSession
from .latency import time_photo, time_runs, timed

Receive = Callable[[], tuple[Request, dict[str, Array]]]


def main() -> None:
    """Serve the process that started this one until it ends or closes the pipe."""
    requests, replies = _own_pipes()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the owner too, who then decides
    replies.write(READY)
    replies.flush()
    try:
        hello, _ = read_message(requests, Hello)
        _serve(hello, _receiver(requests), replies)
    except (EOFError, BrokenPipeError):
        os._exit(0)


def _own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The protocol's pipes on descriptors that no library knows; 0 reads nothing, 1 writes to stderr."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, replies


def _receiver(requests: BinaryIO) -> Receive:
    """Read requests in a thread, so that the end of the owner ends this process also while it computes."""
    waiting: queue.SimpleQueue[tuple[Request, dict[str, Array]]] = queue.SimpleQueue()

    def receive() -> None:
        try:
            while True:
                waiting.put(read_message(requests, Request))
        except BaseException:  # the end of the pipe, or nonsense in it: nobody is left to tell
            os._exit(0)

    threading.Thread(target=receive, daemon=True).start()
    return waiting.get


def _serve(hello: Hello, receive: Receive, replies: BinaryIO) -> None:
    desk = _Desk(hello)
    while True:
        request, inputs = receive()
        arrays: dict[str, Array] = {}
        try:
            reply = desk.answer(request, inputs, arrays)
        except Exception as error:  # every runtime raises classes of its own
            reply = _refusal(error)
        write_message(replies, reply.model_copy(update={"peak_memory": peak_memory()}), arrays)


class _Desk:
    """The sessions of this process, by their keys."""

    def __init__(self, hello: Hello) -> None:
        self._bundle, self._hello = Bundle(hello.root, hello.manifest), hello
        self._backend: Backend | None = None
        self._sessions: dict[str, Session] = {}

    def answer(self, request: Request, inputs: dict[str, Array], arrays: dict[str, Array]) -> Reply:
        """Do what is asked; an output goes into `arrays`."""
        if request.model is not None:
            model = request.model
            if self._backend is None:
                self._backend = _made(self._hello.origin)
            backend = self._backend
            session, load = timed(lambda: backend.open(self._bundle, model, self._hello.threads))
            self._sessions[request.key] = session
            tensors = session.tensors() if isinstance(session, DescribedSession) else None
            return Reply(runtime=session.runtime, load=load, tensors=tensors)
        if request.photo is not None and request.budget is not None:
            job = request.photo
            sessions = {stage: self._sessions[key] for stage, key in job.keys.items()}
            lens = Lens(job.focus, job.aperture)
            return Reply(photo=time_photo(sessions, job.plan, inputs["photo"], lens, request.budget))
        session = self._sessions[request.key]
        if request.action == "count":
            count = session.instructions(inputs) if isinstance(session, CountedSession) else None
            return Reply(runtime=session.runtime, instructions=count)
        if request.budget is not None:
            return Reply(runtime=session.runtime, times=time_runs(session, inputs, request.budget))
        arrays["output"] = session.run(inputs)
        return Reply(runtime=session.runtime)


def _made(origin: Origin) -> Backend:
    """The backend that is meant; only modules of dofkit itself make backends."""
    package = __name__.partition(".")[0]
    if origin.module.partition(".")[0] != package:
        raise ValueError(f"{origin.module} is no module of {package}")
    return importlib.import_module(origin.module).backend(origin.id, **origin.settings)


def _refusal(error: Exception) -> Reply:
    if isinstance(error, DofkitError):
        # what a library raised behind it is for `--debug`, as in one process
        return Reply(error=str(error), kind=_kind(error), trace=traceback.format_exc() if error.__cause__ else "")
    reason = (str(error).splitlines() or [""])[0]
    text = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
    return Reply(error=text, trace=traceback.format_exc())


def _kind(error: DofkitError) -> Literal["unavailable", "missing", "bad"]:
    if isinstance(error, BackendUnavailableError):
        return "unavailable"
    return "missing" if isinstance(error, MissingExtraError) else "bad"


if __name__ == "__main__":
    main()

"""The process in which `IsolatedSessions` computes: it opens models and runs them, one request after the other.

Its pipes are its own: whatever a library writes to stdout goes to stderr. It ends when its owner closes stdin.
"""

from __future__ import annotations

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
from . import Session, open_session
from ._wire import READY, Array, Hello, Reply, Request, read_message, write_message
from .opinions import OpinionUnavailableError
from .second.opening import open_opinion

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
    bundle = Bundle(hello.root, hello.manifest)
    sessions: dict[str, Session] = {}
    while True:
        request, inputs = receive()
        arrays: dict[str, Array] = {}
        try:
            if request.model is not None:
                sessions[request.key] = (
                    open_opinion(hello.opinion, bundle, request.model, hello.threads)
                    if hello.opinion
                    else open_session(bundle, request.model, hello.threads)
                )
            else:
                arrays["output"] = sessions[request.key].run(inputs)
            reply = Reply(runtime=sessions[request.key].runtime, peak_memory=peak_memory())
        except Exception as error:  # every runtime raises classes of its own
            reply = _refusal(error)
        write_message(replies, reply, arrays)


def _refusal(error: Exception) -> Reply:
    if isinstance(error, DofkitError):
        return Reply(error=str(error), kind=_kind(error), peak_memory=peak_memory())
    reason = (str(error).splitlines() or [""])[0]
    text = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
    return Reply(error=text, trace=traceback.format_exc(), peak_memory=peak_memory())


def _kind(error: DofkitError) -> Literal["unavailable", "missing", "bad"]:
    if isinstance(error, OpinionUnavailableError):
        return "unavailable"
    return "missing" if isinstance(error, MissingExtraError) else "bad"


if __name__ == "__main__":
    main()

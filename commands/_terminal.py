"""What a command owes the terminal and the shell that it runs in: characters they can show, exits they understand."""

from __future__ import annotations

import codecs
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import IO

import click

# Signs of ours that terminals without Unicode lack, as people write them there.
_PLAIN = {
    "×": "x", "α": "alpha", "−": "-", "–": "-", "—": "-", "·": "*", "…": "...", "≤": "<=", "≥": ">=", "≈": "~",
    "±": "+-", "→": "->", "←": "<-", "°": " deg", "²": "2", "½": "1/2", "µ": "u", "μ": "u", "σ": "sigma",
    "Δ": "delta", "’": "'", "‘": "'", "“": '"', "”": '"', "✓": "ok", "✗": "x",
}  # fmt: skip
ERRORS = "dofkit.plain"  # the name of the handler, for `errors=` of text streams


def _plainly(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    return "".join(_PLAIN.get(character, "?") for character in characters), error.end


codecs.register_error(ERRORS, _plainly)


@contextmanager
def any_encoding() -> Iterator[None]:
    """Lets stdout and stderr replace what their encoding lacks (ASCII terminals, names that are no Unicode), instead
    of raising an error when the work is done."""
    streams = [stream for stream in (sys.stdout, sys.stderr) if hasattr(stream, "reconfigure")]
    before = [stream.errors for stream in streams]
    for stream in streams:
        _reconfigure(stream, ERRORS)
    try:
        yield
    finally:
        for stream, errors in zip(streams, before, strict=True):
            if not stream.closed:
                _reconfigure(stream, errors)


def _reconfigure(stream: IO[str], errors: str | None) -> None:
    stream.reconfigure(errors=errors)  # type: ignore[attr-defined]  # of io.TextIOWrapper


@contextmanager
def signals_as_exits() -> Iterator[None]:
    """Ends a command that is told to end (Ctrl-C, SIGTERM, a closed terminal) as shells expect it, with 128 + the
    signal's number, and through its `finally` blocks, so that nothing half-written stays behind."""
    own = threading.current_thread() is threading.main_thread()  # only it may handle signals
    wanted = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)] if own else []
    before = {number: signal.getsignal(number) for number in wanted}
    for number, handler in before.items():
        if handler == signal.SIG_DFL:  # who ignores it on purpose (nohup) goes on doing so
            signal.signal(number, _leave)
    try:
        yield
    except (KeyboardInterrupt, click.Abort):
        print("dofkit: interrupted", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)

"""The owner's side of one session process: its pipes, its deadline, its last words. What it computes: `_worker.py`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from ._wire import READY, Array, Hello, Reply, Request, read_message, write_message
from .patience import core_waits, deadline

# The worker looks for modules where this process does, less the current folder, and nowhere else. `-m` would put the
# current folder in front: the user may stand in a bundle from elsewhere, and no code from a bundle is ever run.
_START = f"import sys; sys.path[:] = sys.argv[1:]; from {__package__}._worker import main; main()"
_PIPE = 1 << 20  # bytes that a pipe buffers, the most that Linux gives; measured 2.2 ms a call of 4.6 MB instead of 2.9
GRACE = 5.0  # seconds for a process to end by itself; it takes milliseconds
_LINES, _LINE = 50, 4096  # of stderr that are kept, and bytes of one
_WORDS = 200  # characters of the last line that an error repeats


class SessionProcess:
    """One running process; it says hello with its first request and is not used again once a request failed.

    Attributes:
        opened: what it replied when it opened a model, by the model's key.
        expired: it was stopped because it took too long.
    """

    def __init__(
        self, hello: Hello, command: Sequence[str] | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start it.

        Args:
            hello: what it is told first.
            command: what runs `_worker.main`; None: this interpreter does.
            environment: variables beside those of this process.
        """
        self.opened: dict[str, Reply] = {}
        self._hello: Hello | None = hello
        self.expired = False
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command or [sys.executable, "-c", _START, *module_path()],
            stdin=pipe, stdout=pipe, stderr=pipe, pipesize=_PIPE, env={**os.environ, **(environment or {})},
        )  # fmt: skip
        self._stdin, self._stdout = cast("BinaryIO", self._process.stdin), cast("BinaryIO", self._process.stdout)
        self._heard: deque[bytes] = deque(maxlen=_LINES)
        stderr = cast("BinaryIO", self._process.stderr)
        self._listener = threading.Thread(target=_listen, args=(stderr, self._heard), daemon=True)
        self._listener.start()

    @property
    def id(self) -> int:
        """The system's number of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None and not self.expired

    def ask(self, request: Request, arrays: Mapping[str, Array], timeout: float) -> tuple[Reply, dict[str, Array]]:
        """Send a request and wait for the reply: so many seconds, less those in which it waits for a core.

        Raises:
            OSError, EOFError: the process died, or was killed because it took too long; `end` it and see `exit_reason`.
        """
        with deadline(timeout, partial(core_waits, self.id), self._expire):
            if self._hello is not None:
                self._greet(self._hello)
            write_message(self._stdin, request, arrays)
            return read_message(self._stdout, Reply)

    def end(self, grace: float = GRACE) -> None:
        """Let it end by closing its input; after `grace` seconds it is killed."""
        with suppress(OSError):  # what is left in the buffer of a broken pipe
            self._stdin.close()
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join(1.0)  # a process that it left behind may hold its stderr open
        self._stdout.close()

    def exit_reason(self, doing: str, timeout: float) -> str:
        """Why the process, which has ended, did not answer while it was `doing` something: one line."""
        if self.expired:
            return f"{doing} took more than {timeout:g} s and was stopped"
        code = self._process.returncode
        cause = f"died with {_signal_name(-code)}" if code < 0 else f"ended with code {code}"
        words = self._last_words()
        return f"the runtime's process {cause} while {doing}" + (f" (last words: {words})" if words else "")

    def _greet(self, hello: Hello) -> None:
        for line in self._stdout:
            if line.endswith(READY):
                break
        write_message(self._stdin, hello)
        self._hello = None

    def _expire(self) -> None:
        """Kill it; whoever waits for it then meets the end of its pipe."""
        self.expired = True
        self._process.kill()

    def _last_words(self) -> str:
        lines = [line.decode(errors="replace").strip() for line in self._heard]
        last = next((line for line in reversed(lines) if line and not line.startswith("INFO")), "")
        return "".join(sign for sign in last if sign.isprintable())[:_WORDS]


def module_path() -> list[str]:
    """Where a worker looks for modules: this process' path without the current folder, unless dofkit lies there."""
    here = Path.cwd().resolve()
    home = Path(__file__).resolve().parents[3]  # of the folder `dofkit`
    absolute = (Path(entry).resolve() for entry in sys.path)
    return [str(entry) for entry in dict.fromkeys(absolute) if entry != here or entry == home]


def _listen(stderr: BinaryIO, heard: deque[bytes]) -> None:
    with stderr:
        while line := stderr.readline(_LINE):
            heard.append(line)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

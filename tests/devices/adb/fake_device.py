"""An Android device as far as adb sees one: the wire protocol on a loopback socket, a few files, and a few commands.

It speaks what AOSP's packages/modules/adb/protocol.txt and SERVICES.TXT describe: CNXN, AUTH, OPEN, OKAY, WRTE, CLSE;
the shell service, version 2, and the sync service.
"""

from __future__ import annotations

import shlex
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

_HEADER = struct.Struct("<6I")
_VERSION, _MAX_DATA = 0x01000001, 1 << 16
_BANNER = "device::ro.product.name=fake;ro.product.model=Fake_1;ro.product.device=fake;features=shell_v2,cmd"

Files = dict[str, bytes]
Tool = Callable[[dict[str, str], Files], tuple[int, str]]


def benchmark_model(flags: dict[str, str], files: Files, speed: float = 2000.0) -> tuple[int, str]:
    """The tool's words, and an output: the first input, channel n of its last axis times n + 1; `speed` in us."""
    name, shape = flags["input_layer"].split(",")[0], flags["input_layer_shape"].split(":")[0]
    path = dict(pair.split(":") for pair in flags["input_layer_value_files"].split(","))[name]
    files[flags["output_filepath"]] = _weighted(files[path], int(shape.rpartition(",")[2]))
    return 0, (
        f"INFO: count=3 first=9000 curr=3000 min=2900 max=9000 avg=5000 std=1 p5=1 median=3000 p95=1\n"
        f"INFO: count=10 first=2100 curr=2000 min=1900 max=2500 avg=2050 std=1 p5=1 median={speed:g} p95=2400\n"
        "INFO: Inference timings in us: Init: 4000, First inference: 9000, Warmup (avg): 5000, Inference (avg): 2050\n"
    )


def run_model(flags: dict[str, str], files: Files) -> tuple[int, str]:
    """LiteRT's tool: what `benchmark_model` computes, of images with three channels, from and to folders."""
    files[flags["output_dir"] + "/disparity.raw"] = _weighted(files[flags["input_dir"] + "/image.raw"], 3)
    return 0, (
        "First run took 9000 microseconds\nSlowest run took 9000 microseconds\nFastest run took 1900 microseconds\n"
        "All runs took average 2538 microseconds\nModel run completed\n"
    )


def _weighted(data: bytes, channels: int) -> bytes:
    """Floats of that many channels, channel n times n + 1."""
    values = np.frombuffer(data, "<f4").reshape(-1, channels)
    return (values * np.arange(1, channels + 1, dtype=np.float32)).tobytes()


def program(path: Path, *flags: str) -> Path:
    """A file that stands for a program with such flags; it takes more than one packet."""
    path.write_bytes(b"\x7fELF" + b"\0".join(flag.encode() for flag in flags) + b"x" * 200_000)
    return path


@dataclass
class FakeDevice:
    """One device; a context manager.

    Attributes:
        authorised: whether it accepts the computer's key.
        room: bytes that still fit on its disk.
        tool: what a benchmark tool does there.
        vanishes: a command with these words is the last: it says a line, and the cable is out.
        silence: seconds before each command's answer.
        commands: what was run.
    """

    authorised: bool = True
    room: int = 1 << 30
    tool: Tool = benchmark_model
    vanishes: str = "no command has these words"
    silence: float = 0.0
    files: Files = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)

    def __enter__(self) -> FakeDevice:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.serial = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._unplug()

    def _unplug(self) -> None:
        for one in (self._listener, getattr(self, "_wire", None)):
            if one is not None:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()

    def _serve(self) -> None:
        try:
            self._wire, _ = self._listener.accept()
            while True:
                self._answer(*self._read())
        except (OSError, EOFError):
            return

    def _read(self) -> tuple[bytes, int, int, bytes]:
        command, first, second, size, _, _ = _HEADER.unpack(self._exactly(_HEADER.size))
        return struct.pack("<I", command), first, second, self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._wire.recv(size - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def _send(self, command: bytes, first: int, second: int, data: bytes = b"") -> None:
        (number,) = struct.unpack("<I", command)
        head = _HEADER.pack(number, first, second, len(data), sum(data) & 0xFFFFFFFF, number ^ 0xFFFFFFFF)
        self._wire.sendall(head + data)

    def _answer(self, command: bytes, first: int, second: int, data: bytes) -> None:
        if command == b"CNXN":
            if self.authorised:
                self._send(b"CNXN", _VERSION, _MAX_DATA, _BANNER.encode() + b"\0")
            else:
                self._send(b"AUTH", 1, 0, b"t" * 20)
        elif command == b"AUTH" and second == 0 and first == 2:  # a signature that is not known
            self._send(b"AUTH", 1, 0, b"u" * 20)
        elif command == b"OPEN":
            self._open(first, data.rstrip(b"\0").decode())

    def _open(self, stream: int, service: str) -> None:
        """Serve one stream until it is closed; adb opens one after the other here."""
        self._send(b"OKAY", stream, stream)
        if service.startswith("shell,v2"):
            command = service.partition(":")[2]
            self.commands.append(command)
            time.sleep(self.silence)
            if self.vanishes in command:
                self._write(stream, _packet(1, b"INFO: about to start\nERROR: out of memory\n"))
                self._unplug()
                raise EOFError
            code, text = self._run(command)
            self._write(stream, _packet(1, text.encode()) + _packet(3, bytes([code])))
        elif service == "sync:":
            self._sync(stream)
        self._send(b"CLSE", stream, stream)

    def _write(self, stream: int, data: bytes) -> None:
        for start in range(0, len(data), _MAX_DATA):
            self._send(b"WRTE", stream, stream, data[start : start + _MAX_DATA])
            while self._read()[0] != b"OKAY":
                pass

    def _run(self, command: str) -> tuple[int, str]:
        words = [word for word in shlex.split(command.rpartition("&&")[2]) if not word.startswith("LD_LIBRARY_PATH=")]
        if "getprop" in command:
            return 0, "Maker\nModel 9\nChip\n16\narm64-v8a\n8\nMemTotal:        8000000 kB\n"
        if "thermalservice" in command:
            return 0, "Thermal Status: 1\nTemperature{mValue=36.5, mType=3, mName=skin}\n2400000\n1800000\n"
        if words[0] == "mkdir":
            return 0, ""
        if words[0] == "rm":
            for path in [path for path in self.files if path.startswith(f"{words[2]}/")]:
                del self.files[path]
            return 0, ""
        if words[0] not in self.files:
            return 127, f"sh: {words[0]}: not found\n"
        pairs = (word.removeprefix("--").partition("=") for word in words[1:] if word.startswith("--"))
        return self.tool({name: value for name, _, value in pairs}, self.files)

    def _sync(self, stream: int) -> None:
        waiting = b""

        def take(size: int) -> bytes:
            nonlocal waiting
            while len(waiting) < size:
                command, _, _, data = self._read()
                if command == b"CLSE":
                    raise _ClosedError
                if command == b"WRTE":
                    waiting += data
                    self._send(b"OKAY", stream, stream)
            taken, waiting = waiting[:size], waiting[size:]
            return taken

        try:
            while True:
                action, size = struct.unpack("<4sI", take(8))
                self._write(stream, self._file(action, take(size).decode(), take))
        except _ClosedError:
            return

    def _file(self, action: bytes, path: str, take: Callable[[int], bytes]) -> bytes:
        if action == b"STAT":
            found = self.files.get(path)
            return b"STAT" + struct.pack("<III", 0 if found is None else 0o100644, len(found or b""), 1)
        if action == b"RECV":
            if path not in self.files:
                return _words(b"FAIL", b"No such file or directory")
            data = self.files[path]
            parts = (data[start : start + _MAX_DATA] for start in range(0, len(data), _MAX_DATA))
            return b"".join(_words(b"DATA", part) for part in parts) + _words(b"DONE", b"")
        return self._receive(path.rpartition(",")[0], take)

    def _receive(self, path: str, take: Callable[[int], bytes]) -> bytes:
        data = b""
        while True:
            kind, size = struct.unpack("<4sI", take(8))
            if kind == b"DONE":
                break
            data += take(size)
        if len(data) > self.room:
            return _words(b"FAIL", b"couldn't write file: No space left on device")
        self.room -= len(data)
        self.files[path] = data
        return _words(b"OKAY", b"")


class _ClosedError(Exception):
    """The computer closed a stream."""


def _packet(kind: int, data: bytes) -> bytes:
    """A packet of the shell service."""
    return struct.pack("<BI", kind, len(data)) + data


def _words(kind: bytes, data: bytes) -> bytes:
    """An answer of the sync service."""
    return kind + struct.pack("<I", len(data)) + data

"""A device behind adb: commands, files in and out, and what it says of itself.

The wire's own words are kept: whoever loses a device, or fills its disk, reads what it said last.
"""

from __future__ import annotations

import re
import shlex
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ...runtime_ref.backends import BackendUnavailableError
from ...runtime_ref.errors import DofkitError, first_line, require
from ..machine import Machine, MachineState

FOLDER = "/data/local/tmp/dofkit"
_CHUNK = 1 << 16  # the sync service takes no more at once
_REMEDIES = {
    "unauthorized": "unlock it and allow this computer's key",
    "authorizing": "unlock it and allow this computer's key",
    "offline": "plug it in again, or run: adb reconnect",
    "no permissions": "give your user access to USB devices (udev rules), then run: adb kill-server",
}
# One line a fact; what a device does not know stays empty.
_FACTS = (
    "for p in ro.product.manufacturer ro.product.model ro.soc.model ro.build.version.release ro.product.cpu.abi; "
    "do getprop $p; done; nproc; grep MemTotal /proc/meminfo"
)
_STATE = "dumpsys thermalservice; cat /sys/devices/system/cpu/cpufreq/policy*/scaling_cur_freq"


@dataclass(frozen=True)
class Said:
    """What a command wrote, both streams as they came, and its exit code."""

    code: int
    text: str

    @property
    def last(self) -> str:
        """Its last line that is not empty."""
        return _last(self.text)


class Phone:
    """One device.

    Args:
        serial: as `adb devices` lists it; empty where only one is connected.
        patience: seconds of silence after which a command is given up.

    Raises:
        BackendUnavailableError: there is none, it is not ready, or the serial does not tell which.
        MissingExtraError: adbutils is not installed.
    """

    def __init__(self, serial: str = "", patience: float = 120.0) -> None:
        self._adb = require("adbutils", "adb", "running on an Android device")
        self._patience = patience
        self.serial = self._chosen(serial)
        self._device = self._client().device(serial=self.serial)

    def _client(self) -> Any:
        return self._adb.AdbClient()

    def _chosen(self, serial: str) -> str:
        try:
            states = {one.serial: one.state for one in self._client().list()}
        except Exception as error:  # adbutils raises its own, subprocess's and the system's
            raise BackendUnavailableError(f"adb does not start ({first_line(error)}); run: adb devices") from error
        there = ", ".join(f"{name} ({state})" for name, state in states.items()) or "none"
        if not serial and len(states) == 1:
            serial = next(iter(states))
        if not serial:
            raise BackendUnavailableError(f"which device is meant? adb lists {there}; name one: adb:SERIAL")
        if serial not in states:
            raise BackendUnavailableError(f"adb lists no device {serial}, but {there}; check: adb devices")
        if (state := states[serial]) != "device":
            remedy = _REMEDIES.get(state, "check: adb devices")
            raise BackendUnavailableError(f"the device {serial} is {state}; {remedy}")
        return serial

    def shell(self, command: str) -> Said:
        """Run a command there.

        Raises:
            DofkitError: the device went away, or was silent for too long; quotes what it said last.
        """
        text = bytearray()
        with self._talking(f"running {command.split()[0]}", text), self._device.open_transport() as wire:
            wire.conn.settimeout(self._patience)
            wire.send_command(f"shell,v2,raw:{command}")
            wire.check_okay()
            while True:
                kind, size = struct.unpack("<BI", wire.read_exact(5))
                data = wire.read_exact(size)
                if kind == 3:  # the exit code; 1 and 2 are stdout and stderr
                    return Said(data[0], text.decode("utf-8", errors="replace"))
                text += data

    def push(self, data: bytes, path: str, mode: int = 0o644) -> None:
        """Write a file there.

        Raises:
            DofkitError: the device went away, or does not take the file (its disk is full).
        """
        with self._talking(f"receiving {path}"), self._sync(f"{path},{0o100000 | mode}", b"SEND") as wire:
            for start in range(0, len(data), _CHUNK):
                part = data[start : start + _CHUNK]
                wire.conn.sendall(b"DATA" + struct.pack("<I", len(part)) + part)
            wire.conn.sendall(b"DONE" + struct.pack("<I", 0))
            self._accepted(wire, path)

    def pull(self, path: str) -> bytes:
        """Read a file there.

        Raises:
            DofkitError: the device went away, or there is no such file.
        """
        parts = []
        with self._talking(f"sending {path}"), self._sync(path, b"RECV") as wire:
            while (kind := wire.read_exact(4)) != b"DONE":
                (size,) = struct.unpack("<I", wire.read_exact(4))
                part = wire.read_exact(size)
                if kind != b"DATA":
                    raise self._refused("does not send", path, part)
                parts.append(part)
        return b"".join(parts)

    def size(self, path: str) -> int | None:
        """Bytes of a file there; None where there is none."""
        with self._talking(f"looking at {path}"), self._sync(path, b"STAT") as wire:
            _, mode, size, _ = struct.unpack("<4sIII", wire.read_exact(16))
            return size if mode else None

    @contextmanager
    def _sync(self, path: str, action: bytes) -> Iterator[Any]:
        with self._device.open_transport() as wire:
            wire.conn.settimeout(self._patience)
            wire.send_command("sync:")
            wire.check_okay()
            name = path.encode()
            wire.conn.sendall(action + struct.pack("<I", len(name)) + name)
            yield wire

    def _accepted(self, wire: Any, path: str) -> None:
        kind, size = struct.unpack("<4sI", wire.read_exact(8))
        if kind != b"OKAY":
            raise self._refused("does not take", path, wire.read_exact(size))

    def _refused(self, what: str, path: str, words: bytes) -> DofkitError:
        reason = words.decode("utf-8", errors="replace")
        remedy = "make room there" if "space" in reason.lower() else "check the path and its permissions there"
        return DofkitError(f"the device {self.serial} {what} {path} ({reason}); {remedy}")

    @contextmanager
    def _talking(self, doing: str, text: bytearray | None = None) -> Iterator[None]:
        """Say in a line what became of a device in the middle of something."""
        try:
            yield
        except DofkitError:
            raise
        except Exception as error:  # adbutils' errors, the sockets' and EOFError share no base
            last = _last((text or b"").decode("utf-8", errors="replace"))
            said = f"; it said last: {last}" if last else ""
            if isinstance(error, TimeoutError | self._adb.AdbTimeout):
                what = f"was silent for {self._patience:g} s while {doing}"
            else:
                what = f"went away while {doing} ({first_line(error)})"
            raise DofkitError(f"the device {self.serial} {what}{said}; check the cable and: adb devices") from error

    def machine(self) -> Machine:
        """What it is."""
        lines = [*self.shell(_FACTS).text.splitlines(), *[""] * 7]
        maker, model, chip, release, abi, cores, memory = map(str.strip, lines[:7])
        kilobytes = int(memory.split()[1]) if memory.startswith("MemTotal:") else 0
        return Machine(
            system=f"Android {release}",
            architecture=abi,
            processor=f"{maker} {model}" + (f" ({chip})" if chip else ""),
            cores=int(cores) if cores.isdecimal() else 0,
            memory_mb=kilobytes * 1024 // 10**6,
        )

    def state(self) -> MachineState:
        """How warm it is, and how fast its cores run."""
        return parsed_state(self.shell(_STATE).text)


def parsed_state(text: str) -> MachineState:
    """What `dumpsys thermalservice` and the clocks behind it say.

    The skin's temperature is what a phone throttles by; where none is listed, the warmest of all counts.
    """
    status = re.search(r"Thermal Status:\s*(\d+)", text)
    # the current values of the hardware come last, after those that the service has cached
    current = text.rpartition("Current temperatures from HAL:")[2] or text
    found = re.findall(r"mValue=(-?[\d.]+), mType=(\d+)", current)
    skin = [float(value) for value, kind in found if kind == "3"]
    warm = skin or [float(value) for value, _ in found]
    clocks = [int(line) for line in text.splitlines() if re.fullmatch(r"\d{5,8}", line.strip())]
    return MachineState(
        celsius=max(warm, default=None),
        throttling=int(status.group(1)) if status else None,
        clock_mhz=max(clocks) // 1000 if clocks else None,
    )


def quoted(arguments: list[str]) -> str:
    """A command line for the device's shell."""
    return shlex.join(arguments)


def _last(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")

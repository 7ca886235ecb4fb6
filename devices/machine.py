"""What a machine is, so that figures of two are never compared by mistake, and how warm it is."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from ..runtime_ref.memory import physical_memory


class Machine(BaseModel):
    """What figures belong to.

    Attributes:
        system: its operating system and version, "Linux 6.1", "Android 16".
        architecture: "x86_64", "arm64".
        processor: the processor's or the phone's name; empty where the system does not tell.
        cores: that it may use.
        memory_mb: of the machine, in 10^6 bytes; 0 where the system does not tell.
    """

    model_config = ConfigDict(frozen=True)

    system: str
    architecture: str
    processor: str
    cores: int
    memory_mb: int

    def __str__(self) -> str:
        parts = (self.processor, f"{self.cores} cores", self.architecture, self.system)
        return ", ".join(filter(None, parts))

    def differences(self, other: Machine) -> list[str]:
        """What another is called differently, a line each; the system's version does not count."""
        pairs = {
            "processor": (self.processor, other.processor),
            "cores": (self.cores, other.cores),
            "architecture": (self.architecture, other.architecture),
            "system": (self.system.partition(" ")[0], other.system.partition(" ")[0]),
        }
        return [f"{name} {one!s} there, {two!s} here" for name, (one, two) in pairs.items() if one != two]


class MachineState(BaseModel):
    """How a machine is at a moment; None is what its system does not tell.

    Attributes:
        celsius: the temperature that counts: of a phone's skin, else of the warmest sensor.
        throttling: Android's thermal status, 0 (none) to 6 (shutdown).
        clock_mhz: of its fastest core.
    """

    model_config = ConfigDict(frozen=True)

    celsius: float | None = None
    throttling: int | None = None
    clock_mhz: int | None = None


def this_machine() -> Machine:
    """The one that this process runs on."""
    return Machine(
        system=f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        architecture=platform.machine(),
        processor=_processor(),
        cores=_cores(),
        memory_mb=physical_memory() // 10**6,
    )


def _processor() -> str:
    """The model's name: Linux tells it in /proc/cpuinfo, on ARM often as a number only."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    pairs = (line.partition(":") for line in lines)
    facts = {name.strip(): value.strip() for name, _, value in pairs}
    part = f"{facts['CPU implementer']} {facts['CPU part']}" if "CPU part" in facts else ""
    return facts.get("model name") or facts.get("Hardware") or part or platform.processor()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def this_state(root: Path = Path("/sys")) -> MachineState:
    """That of this machine, as far as Linux tells."""
    zones = [_number(path) / 1000 for path in root.glob("class/thermal/thermal_zone*/temp")]
    clocks = [_number(path) for path in root.glob("devices/system/cpu/cpu*/cpufreq/scaling_cur_freq")]
    # a sensor that is not there says 0, or less
    return MachineState(
        celsius=max((value for value in zones if 0 < value < 150), default=None),
        clock_mhz=max(clocks) // 1000 if clocks else None,
    )


def _number(path: Path) -> int:
    """What a file of the kernel's holds; 0 where it cannot be read."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0

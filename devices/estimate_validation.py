"""What an estimate is worth where files can be computed: times of this machine and its browser, ARM's instructions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from ..runtime_ref.backends import Arithmetic, Backend, BackendUnavailableError
from ..runtime_ref.backends.latency import TimeBudget
from ..runtime_ref.backends.own_process import OwnProcess
from ..runtime_ref.bundle import Bundle, ModelEntry
from ..runtime_ref.errors import DofkitError
from ..runtime_ref.target import Precision, Target
from .bench import BenchRequest, bench
from .device import Device
from .first_case import first_case
from .machine import this_machine

ARM, BROWSER, HOST = "arm64", "browser", "host"
DEVICES = (HOST, BROWSER, ARM)
_QUICK = TimeBudget(runs=10, seconds=2)
_PATIENCE = 3600.0


@dataclass(frozen=True)
class Yardstick:
    """A backend that an estimate can be held against.

    Attributes:
        device: id of its device, one of `DEVICES`.
        backend: what computes.
        threads: of it.
    """

    device: str
    backend: Backend
    threads: int

    @property
    def counts(self) -> bool:
        """Whether instructions are compared, and not times."""
        return self.device == ARM


@dataclass(frozen=True)
class Validation:
    """One file's estimate beside what was measured.

    Attributes:
        device, backend: what computed: ids.
        title: the backend's name, for people.
        unit: of both figures: "ms", or "million instructions".
        estimated: by the same roofline, with the rates of what computed.
        measured: None where it could not be.
        reason: why not.
    """

    device: str
    backend: str
    title: str
    unit: str
    estimated: float
    measured: float | None = None
    reason: str = ""

    @property
    def compared(self) -> str:
        """What was, in a word."""
        return "time" if self.unit == "ms" else "instructions"

    @property
    def ratio(self) -> float | None:
        """How many times its estimate the file takes."""
        return None if self.measured is None or not self.estimated else self.measured / self.estimated

    def as_json(self) -> dict[str, object]:
        """For machines."""
        names = {"device": self.device, "backend": self.backend, "unit": self.unit, "reason": self.reason}
        return {**names, "estimated": self.estimated, "measured": self.measured, "ratio": self.ratio}


@dataclass(frozen=True)
class RatioSpread:
    """Ratios of several files on one backend: how far estimates are off, and by how much that differs.

    Attributes:
        typical: their median.
        least, greatest: their ends.
    """

    typical: float
    least: float
    greatest: float

    def __str__(self) -> str:
        return f"{self.typical:.1f} in the median, {self.least:.1f} to {self.greatest:.1f}"


def spread_of(validations: Sequence[Validation]) -> RatioSpread | None:
    """Of those that were measured; None where none was."""
    ratios = [one.ratio for one in validations if one.ratio is not None]
    return RatioSpread(median(ratios), min(ratios), max(ratios)) if ratios else None


def yardsticks(devices: Sequence[Device], target: Target) -> list[Yardstick]:
    """What computes a target's files in the floats that they store, on CPUs, whose rates this machine's are.

    Of a browser that is one thread of WebAssembly; its WebGPU is whatever GPU there is.
    """
    return [
        Yardstick(device.id, one, this_machine().cores if device.id == HOST else 1)
        for device in devices
        for one in device.backends_for(target)
        if one.facts.arithmetic is Arithmetic.STORED and "GPU" not in one.facts.device
    ]


def measured_times(bundle: Bundle, stick: Yardstick, target: Target, precision: Precision) -> dict[str, float]:
    """Medians in milliseconds by the models' names.

    Raises:
        DofkitError: it cannot compute here; says why.
    """
    request = BenchRequest(
        bundle, stick.backend, target, precision, stick.threads, _QUICK, every_size=False, photos=(), preview=False
    )
    figures = bench(request)
    if figures.error:
        raise DofkitError(figures.error)
    return {one.stage.value: one.p50 for one in figures.stages}


def counted(bundle: Bundle, stick: Yardstick, model: ModelEntry) -> float:
    """Instructions of a run, in millions.

    Raises:
        DofkitError: nothing counts here; says why.
    """
    with OwnProcess(timeout=_PATIENCE, threads=1) as transport:
        found = transport.open(stick.backend, bundle, model).count_instructions(first_case(bundle, model).inputs)
    if found is None:
        raise BackendUnavailableError(f"{stick.backend.facts.title} does not count instructions")
    return found / 1e6

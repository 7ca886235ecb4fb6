"""The runtimes' ARM builds as backends: each computes in an emulated process of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from ...runtime_ref.backends import Backend, BackendFacts, BackendUnavailableError, Session
from ...runtime_ref.backends.backend import NotRun, Origin
from ...runtime_ref.backends.file_tensors import FileTensors
from ...runtime_ref.backends.own_process import OwnProcess, ProcessSession
from ...runtime_ref.backends.registry import backend as backend_of
from ...runtime_ref.bundle import Bundle, ModelEntry
from ...runtime_ref.errors import DofkitError
from ...runtime_ref.target import Precision, Target
from ..device import Device
from . import emulation, guest, installation
from .emulation import CORTEX_A76, MATRIX, Core

Array = NDArray[np.floating[Any]]

_PATIENCE = 7200.0  # seconds; whoever opened this backend has a deadline of its own
_WARM = 2  # the count of a run repeats from the second on: the first packs weights


class EmulatedSession:
    """A stage computed by an emulated core.

    Args:
        opened: the stage in the emulated process.
        counting: opens it where instructions are counted; called when they are asked for.
    """

    def __init__(self, opened: ProcessSession, core: Core, counting: Callable[[], CountedRuns]) -> None:
        self._opened, self._counting = opened, counting
        self.runtime = f"{opened.runtime} for ARM, {core.title} by QEMU"

    def run(self, inputs: Mapping[str, Array]) -> Array:
        """See `Session.run`."""
        return self._opened.run(inputs)

    def tensors(self) -> FileTensors | None:
        """What the file declares; None where the runtime does not tell."""
        return self._opened.tensors()

    def instructions(self, inputs: Mapping[str, Array]) -> int:
        """See `CountedSession`; of one thread."""
        return self._counting().of(inputs)


@dataclass(frozen=True)
class CountedRuns:
    """A stage in an emulated process that counts.

    Attributes:
        session: the stage there.
        marks: what its process wrote, see `guest`.
    """

    session: Session
    marks: TextIO

    def of(self, inputs: Mapping[str, Array]) -> int:
        """The instructions of a run that packs nothing any more."""
        for _ in range(_WARM):
            self.session.run(inputs)
        return last_run(self.marks.read())


def last_run(marks: str) -> int:
    """The instructions between the last two marks.

    Args:
        marks: a line for each: the instructions since the process' start.
    """
    *_, before, after = map(int, marks.split())
    return after - before


class Emulation:
    """The emulated processes of one backend in this process: one that computes, and one that counts when it is asked.

    They end with this process.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._computing: dict[int, OwnProcess] = {}
        self._counting: dict[tuple[str, Target, Precision], tuple[OwnProcess, TextIO]] = {}

    def computing(self, threads: int) -> OwnProcess:
        """The process that computes with so many threads."""
        if threads not in self._computing:
            command = emulation.emulated(self._core)
            self._computing[threads] = OwnProcess(timeout=_PATIENCE, threads=threads, command=command)
        return self._computing[threads]

    def counted(self, one: Backend, bundle: Bundle, model: ModelEntry) -> CountedRuns:
        """A stage where instructions are counted.

        Raises:
            BackendUnavailableError: nothing counts here.
        """
        if (absent := installation.missing_counter()) is not None:
            raise BackendUnavailableError(str(absent))
        variant = str(bundle.root), model.target, model.precision  # of which each gets a process
        if variant not in self._counting:
            with tempfile.TemporaryDirectory() as scratch:
                # The file lives on without its name until both have closed it.
                path = Path(scratch) / "marks"
                path.touch()
                process = OwnProcess(timeout=_PATIENCE, threads=1, command=emulation.counted(self._core, path))
                process.open(one, bundle, model)
                self._counting[variant] = process, path.open()
        process, marks = self._counting[variant]
        return CountedRuns(process.open(one, bundle, model), marks)

    def stop(self) -> None:
        """End them at once; the next call starts them again."""
        for process in [*self._computing.values(), *(process for process, _ in self._counting.values())]:
            process.stop()
        for _, marks in self._counting.values():
            marks.close()
        self._counting.clear()


@dataclass(frozen=True)
class Emulated(Backend):
    """A runtime of apps on an emulated core.

    Attributes:
        inner: the same runtime on this machine.
        core: what is emulated.
    """

    inner: Backend
    core: Core
    _emulation: Emulation = field(compare=False, repr=False)

    @property
    def origin(self) -> Origin:
        """How another process makes it."""
        return Origin(module=__name__, id=self.facts.id)

    def version(self) -> str:
        """As it is pinned; see `Backend.version`."""
        name = self.inner.facts.package or self.inner.facts.library
        return pins()[name] if installation.missing() is None else ""

    def available(self) -> NotRun | None:
        """Whether the emulation is set up; see `Backend.available`."""
        return installation.missing()

    def open(self, bundle: Bundle, model: ModelEntry, threads: int = 2) -> EmulatedSession:
        """Open a file in an emulated process, which ends with this one; see `Backend.open`."""
        self._path(bundle, model)
        if (absent := self.available()) is not None:
            raise BackendUnavailableError(str(absent))
        inside = guest.backend(self.inner.facts.id)
        opened = self._emulation.computing(threads).open(inside, bundle, model)
        return EmulatedSession(opened, self.core, lambda: self._emulation.counted(inside, bundle, model))


def pins() -> dict[str, str]:
    """The versions that the emulated system gets, by distribution."""
    lines = (line.partition("#")[0].strip() for line in installation.REQUIREMENTS.read_text().splitlines())
    return {name: version for name, _, version in (line.partition("==") for line in lines if line)}


def _emulated(inner: str, id: str, title: str, core: Core, shows: str) -> Emulated:
    one = backend_of(inner)
    facts = BackendFacts(
        id=id,
        title=f"{title} for ARM",
        library=one.facts.library,
        package=one.facts.package,
        targets=one.facts.targets,
        device=core.title,
        delegate=one.facts.delegate,
        arithmetic=one.facts.arithmetic,
        half_sums=True,
        shows=shows,
        needs="QEMU and the ARM builds",
        install=installation.COMMAND,
        row=f"{{scope}}, {title} on {core.title}",
    )
    return Emulated(facts, one, core, Emulation(core))


_SHOWS = "a phone's ARM kernels compute what PyTorch computes"
_HALF = "a phone whose CPU computes in 16-bit floats keeps the quality"
BACKENDS = {
    "": (
        _emulated("onnxruntime", "onnx-arm64", "ONNX Runtime", CORTEX_A76, _SHOWS),
        _emulated("litert", "litert-arm64", "LiteRT", CORTEX_A76, _SHOWS),
        _emulated("litert-fp16", "litert-arm64-fp16", "LiteRT fp16", CORTEX_A76, _HALF),
    ),
    "i8mm": (
        _emulated("onnxruntime", "onnx-arm64-i8mm", "ONNX Runtime", MATRIX, _SHOWS),
        _emulated("litert", "litert-arm64-i8mm", "LiteRT", MATRIX, _SHOWS),
        _emulated("litert-fp16", "litert-arm64-i8mm-fp16", "LiteRT fp16", MATRIX, _HALF),
    ),
}


def arm64(core: str) -> Device:
    """The device `arm64` (a Cortex-A76), or `arm64:i8mm` (with the matrix multiplication of later cores).

    Raises:
        DofkitError: no such core is emulated.
    """
    if core not in BACKENDS:
        raise DofkitError(f"no ARM core is called {core!r}; there are arm64 (cortex-a76) and arm64:i8mm")
    name = f"arm64:{core}" if core else "arm64"
    return Device(name, f"{BACKENDS[core][0].core.title}, emulated", BACKENDS[core])


def backend(id: str) -> Emulated:
    """The backend of that id, for a process of its own.

    Raises:
        DofkitError: this module has no such backend.
    """
    known = {one.facts.id: one for several in BACKENDS.values() for one in several}
    if id not in known:
        raise DofkitError(f"no backend is called {id!r}; there are {', '.join(known)}")
    return known[id]

"""Backends on an Android device: a tool, a delegate, and the files of a bundle that it runs."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime_ref.backends import Arithmetic, Backend, BackendFacts, BackendUnavailableError
from ...runtime_ref.backends.backend import Origin
from ...runtime_ref.bundle import Bundle, ModelEntry
from ...runtime_ref.errors import DofkitError
from ...runtime_ref.files import read_file
from ..device import Device
from ..machine import Machine, MachineState
from .known_tools import NAMES, tool_at
from .phone import FOLDER, Phone, Said, quoted
from .tools import Delegate, Tool, ToolJob, ToolTimes

Array = NDArray[np.floating[Any]]

_LIBRARY = ".so"


class PhoneSession:
    """A stage on a phone: every run is a start of the tool there, which takes the time itself.

    What stays on the phone are the tool and the model, under names that are their content's.
    """

    def __init__(self, phone: Phone, tool: Tool, job: ToolJob, runtime: str) -> None:
        self._phone, self._tool, self._job, self.runtime = phone, tool, job, runtime
        self._is_first = True

    def run(self, inputs: Mapping[str, Array]) -> Array:
        """See `Session.run`.

        Raises:
            BackendUnavailableError: the tool writes no outputs.
        """
        if not self._tool.gives_outputs:
            raise BackendUnavailableError(f"{self.runtime} writes no outputs; only times come from it")
        return self.run_timed(inputs)[0]

    def run_timed(self, inputs: Mapping[str, Array]) -> tuple[Array, float]:
        """See `SelfTimedSession`; the time is the first inference in the first call, later the median of a start.

        A tool that writes no outputs gives NaN.
        """
        job = replace(self._job, folder=f"{FOLDER}/{secrets.token_hex(6)}")
        try:
            if self._tool.gives_outputs:
                self._phone.shell(quoted(["mkdir", "-p", job.input_folder, job.output_folder]))
                for name, values in inputs.items():
                    self._phone.push(self._as_stored(values).tobytes(), job.input_path(name))
            times = self._started(job)
            result = self._result(job.output_path)
        finally:
            self._tidy(job.folder)
        elapsed = times.first if self._is_first else times.typical
        self._is_first = False
        return result, elapsed

    def _started(self, job: ToolJob) -> ToolTimes:
        command = quoted(self._tool.command(job))
        if job.libraries:
            command = f"LD_LIBRARY_PATH={quoted([job.libraries])} {command}"
        said = self._phone.shell(f"cd {FOLDER} && {command}")
        self._refuse_fallback(said)
        if said.code:
            raise DofkitError(f"{self.runtime} ended with {said.code} ({said.last}); try it there: {command}")
        times = self._tool.times(said.text)
        if job.strict and times.delegated is not None and times.delegated[0] < times.delegated[1]:
            raise self._fell_back(f"it took {times.delegated[0]} of {times.delegated[1]} operations")
        return times

    def _refuse_fallback(self, said: Said) -> None:
        if self._job.strict and self._job.delegate is not Delegate.CPU:
            for line in said.text.splitlines():
                words = line.lower()
                if "will not be executed by the delegate" in words or "cpu_ep_fallback" in words:
                    raise self._fell_back(line.strip())
                if "not all nodes" in words or "completely delegated" in words or "fully delegated" in words:
                    raise self._fell_back(line.strip())

    def _fell_back(self, why: str) -> DofkitError:
        title = self._job.delegate.title
        return DofkitError(f"{title} does not compute the whole model ({why}); allow it with --allow-fallback")

    def _as_stored(self, values: Array) -> Array:
        """`[1, C, H, W]` as the file takes it."""
        stored = values.transpose(0, 2, 3, 1) if self._tool.target.layout == "NHWC" else values
        return np.ascontiguousarray(stored, np.float32)

    def _result(self, path: str) -> Array:
        (tensor,) = self._job.entry.outputs
        if not self._tool.gives_outputs:
            shape = tensor.shape if self._tool.target.layout == "NCHW" else (1, tensor.shape[3], *tensor.shape[1:3])
            return np.full(shape, np.nan, np.float32)
        data = self._phone.pull(path)
        wanted = 4 * int(np.prod(tensor.shape))
        if len(data) != wanted:
            raise DofkitError(
                f"{self.runtime} wrote {len(data)} bytes of output, {tensor.name} has {wanted}; "
                "use another build of the tool"
            )
        return np.frombuffer(data, "<f4").reshape(tensor.shape).transpose(0, 3, 1, 2)

    def _tidy(self, folder: str) -> None:
        """Remove the run's files; a device that is gone cannot, and the error that is on its way says so."""
        with suppress(DofkitError):
            self._phone.shell(quoted(["rm", "-rf", folder]))


@dataclass(frozen=True)
class PhoneBackend(Backend):
    """A tool on a phone with one delegate.

    Attributes:
        serial: of the device, as `adb devices` lists it.
        binary: path of the tool here.
        libraries: paths of shared libraries that it needs there, here.
        delegate: what computes there.
        strict: refuse a delegate that leaves operations to the CPU.
        patience: seconds of silence after which a run is given up.
    """

    serial: str = ""
    binary: str = ""
    libraries: tuple[str, ...] = ()
    delegate: Delegate = Delegate.CPU
    strict: bool = True
    patience: float = 120.0

    whole_photos = False  # a start of the tool for each of a photo's tiles would take minutes

    @property
    def origin(self) -> Origin:
        """See `Backend.origin`."""
        settings = {
            "serial": self.serial,
            "binary": self.binary,
            "libraries": os.pathsep.join(self.libraries),
            "delegate": self.delegate.value,
            "strict": "yes" if self.strict else "no",
            "patience": repr(self.patience),
        }
        return Origin(module=__name__, id=self.facts.id, settings=settings)

    def open(self, bundle: Bundle, model: ModelEntry, threads: int = 2) -> PhoneSession:
        """Bring the tool and the model to the phone; see `Backend.open`."""
        tool = tool_at(Path(self.binary))
        graph = read_file(self._path(bundle, model))
        phone = self._phone()
        there = phone.shell(quoted(["mkdir", "-p", FOLDER]))
        if there.code:
            raise DofkitError(f"the device {phone.serial} has no folder {FOLDER} ({there.last}); make it there")
        job = ToolJob(
            tool=_brought(phone, read_file(Path(self.binary)), "tool", 0o755),
            graph=_brought(phone, graph, f"model{model.target.suffix}"),
            folder="",
            entry=model,
            delegate=self.delegate,
            strict=self.strict,
            threads=threads,
            libraries=_brought_libraries(phone, self.libraries),
        )
        return PhoneSession(phone, tool, job, f"{Path(self.binary).name}, {self.delegate.title}, on {phone.serial}")

    def machine(self) -> Machine:
        """See `Elsewhere`."""
        return self._phone().machine()

    def state(self) -> MachineState:
        """See `Elsewhere`."""
        return self._phone().state()

    def _phone(self) -> Phone:
        return Phone(self.serial, self.patience)


def _brought(phone: Phone, data: bytes, name: str, mode: int = 0o644) -> str:
    """Where a file lies on the phone; one of the same content is not sent again. Its name here does not matter."""
    path = f"{FOLDER}/{hashlib.sha256(data).hexdigest()[:16]}-{name}"
    if phone.size(path) != len(data):
        phone.push(data, path, mode)
    return path


def _brought_libraries(phone: Phone, paths: Sequence[str]) -> str:
    """The folder on the phone in which libraries lie under their own names; empty where there are none."""
    contents = {Path(path).name: read_file(Path(path)) for path in paths}
    if not contents:
        return ""
    digest = hashlib.sha256(b"".join(contents.values())).hexdigest()[:16]
    folder = f"{FOLDER}/{digest}-libraries"
    phone.shell(quoted(["mkdir", "-p", folder]))
    for name, data in contents.items():
        if phone.size(f"{folder}/{name}") != len(data):
            phone.push(data, f"{folder}/{name}")
    return folder


def backend(
    id: str, *, serial: str, binary: str, libraries: str, delegate: str, strict: str = "yes", patience: str = "120"
) -> PhoneBackend:
    """The backend of those settings; `id` must be the one that they make."""
    paths = tuple(filter(None, libraries.split(os.pathsep)))
    made = _made(serial, Path(binary), Delegate(delegate), strict == "yes", paths, float(patience))
    if made.facts.id != id:
        raise ValueError(f"{id} is not {made.facts.id}")
    return made


def _made(
    serial: str, binary: Path, delegate: Delegate, strict: bool, libraries: tuple[str, ...], patience: float = 120.0
) -> PhoneBackend:
    tool = tool_at(binary)
    name = f"{tool.target.title} on {delegate.title} of {serial or 'the device'}"
    facts = BackendFacts(
        id=f"adb:{serial}:{tool.target}:{delegate}",
        title=name,
        library="adbutils",
        targets=(tool.target,),
        device=f"adb:{serial}",
        delegate=delegate.title,
        shows="the phone itself computes what PyTorch computes",
        needs="a device that adb lists, and the runtime's benchmark tool",
        install="pip install 'dofkit[adb]'",
        remedy="check: adb devices",
        arithmetic=Arithmetic.FP16 if delegate is not Delegate.CPU else Arithmetic.STORED,
        row=f"{{scope}}, {delegate.title} of {serial or 'the device'}",
    )
    return PhoneBackend(facts, serial, str(binary), libraries, delegate, strict, patience)


def device(serial: str, binaries: Sequence[Path], delegates: Sequence[Delegate], strict: bool) -> Device:
    """A phone with the tools that were given.

    Args:
        serial: as `adb devices` lists it; empty where only one is connected.
        binaries: tools, and the shared libraries (`*.so`) that they need there, by path here.
        delegates: what computes; those that a tool lacks are left out.
        strict: refuse a delegate that leaves operations to the CPU.

    Raises:
        DofkitError: no tool, one that is not known or not there, or none for a delegate.
    """
    libraries = tuple(str(path.resolve()) for path in binaries if path.suffix == _LIBRARY)
    tools = {path.resolve(): tool_at(path) for path in binaries if path.suffix != _LIBRARY}
    if not tools:
        raise DofkitError(
            f"adb:{serial} runs your own tool; give --device-binary PATH ({', '.join(NAMES)}; built for Android)"
        )
    for path in libraries:
        read_file(Path(path))
    if len({tool.target for tool in tools.values()}) < len(tools):
        names = " and ".join(path.name for path in tools)
        raise DofkitError(f"{names} run the same files; give one of them")
    backends = tuple(
        _made(serial, path, one, strict, libraries)
        for path, tool in tools.items()
        for one in delegates or (Delegate.CPU,)
        if one in tool.delegates
    )
    if not backends:
        there = dict.fromkeys(one.value for tool in tools.values() for one in tool.delegates)
        raise DofkitError(f"{', '.join(delegates)}: none of the tools computes on that; they do on {', '.join(there)}")
    return Device(f"adb:{serial}", f"Android device {serial}".strip(), backends)

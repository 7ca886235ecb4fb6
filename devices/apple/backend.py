"""Backends of Core ML that take the time where they compute, through coremltools' asynchronous models.

The same code serves this Mac and a connected iPhone: coremltools builds a small app with Xcode, starts it on the phone
and talks to it (`coremltools.models.ml_program.experimental.remote_device`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime_ref.backends import Arithmetic, Backend, BackendFacts, BackendUnavailableError
from ...runtime_ref.backends.backend import NotRun, Origin
from ...runtime_ref.backends.coreml import NO_RUNTIME, ComputeUnit, has_runtime
from ...runtime_ref.bundle import Bundle, ModelEntry
from ...runtime_ref.errors import DofkitError, first_line, require
from ...runtime_ref.pipeline.stage import OUTPUTS
from ...runtime_ref.target import Target
from ..device import Device
from ..machine import Machine, MachineState, this_machine, this_state
from .plan import places, summary

Array = NDArray[np.floating[Any]]

TEAM = "DOFKIT_DEVELOPMENT_TEAM"
"""Environment variable with the Apple developer team that signs coremltools' app for an iPhone."""
_NO_MAC = NotRun("an iPhone is reached through a Mac with Xcode", "run this on such a Mac, the phone connected to it")


class AppleSession:
    """A stage on a Mac or an iPhone. Its `runtime` says what Core ML means to compute where.

    Args:
        wrapper: coremltools' `MLModelAsyncWrapper`, loaded.
        loop: that it was loaded in.
        model: what is computed; tensors, no images.
        title: of the unit and the device.
    """

    def __init__(self, wrapper: Any, loop: asyncio.AbstractEventLoop, model: ModelEntry, title: str) -> None:
        self._wrapper, self._loop, self._output = wrapper, loop, OUTPUTS[model.stage].name
        self.runtime = f"{title}: {self._plan(model.function or 'main')}"

    def run(self, inputs: Mapping[str, Array]) -> Array:
        """See `Session.run`."""
        return self.run_timed(inputs)[0]

    def run_timed(self, inputs: Mapping[str, Array]) -> tuple[Array, float]:
        """See `SelfTimedSession`; the time is Core ML's own of the prediction.

        Raises:
            DofkitError: Core ML fails, the phone went away, or no time was taken.
        """
        given = {name: np.ascontiguousarray(value, np.float32) for name, value in inputs.items()}
        try:
            outputs = self._loop.run_until_complete(self._wrapper.predict(given))
        except Exception as error:  # Core ML's and the connection's errors arrive as many classes
            raise DofkitError(f"{self.runtime}: {first_line(error)}; check the phone and its cable") from error
        elapsed = self._wrapper.last_predict_duration_in_nano_seconds
        if elapsed is None:
            raise DofkitError(f"{self.runtime} takes no time; use coremltools 9 or later")
        return np.asarray(outputs[self._output], np.float32), elapsed / 1e6

    def _plan(self, function: str) -> str:
        try:
            return summary(places(self._loop.run_until_complete(self._wrapper.retrieve_compute_plan()), function))
        except Exception as error:  # before iOS 17.4 and macOS 14.4 there is none
            return f"no compute plan ({first_line(error)})"


@dataclass(frozen=True)
class AppleBackend(Backend):
    """Core ML on one kind of unit, of this Mac or of an iPhone.

    Attributes:
        unit: what it may compute on, beside the CPU.
        phone: name of the iPhone; "*" is the only one; None is this Mac.
    """

    unit: ComputeUnit = ComputeUnit.CPU
    phone: str | None = None

    whole_photos = True

    @property
    def origin(self) -> Origin:
        """See `Backend.origin`."""
        settings = {"unit": self.unit.value} | ({} if self.phone is None else {"phone": self.phone})
        return Origin(module=__name__, id=self.facts.id, settings=settings)

    def available(self) -> NotRun | None:
        """See `Backend.available`."""
        absent = super().available()
        return absent if absent or has_runtime() else (NO_RUNTIME if self.phone is None else _NO_MAC)

    def open(self, bundle: Bundle, model: ModelEntry, threads: int = 2) -> AppleSession:
        """Load a package there; see `Backend.open`."""
        del threads  # Core ML's own
        path = self._path(bundle, model)
        if (absent := self.available()) is not None:
            raise BackendUnavailableError(str(absent))
        if model.has_buffers:
            raise BackendUnavailableError(
                f"{model.path} takes images, this device tensors; export without --io buffers"
            )
        loop = asyncio.new_event_loop()
        try:
            wrapper = loop.run_until_complete(self._loaded(str(path), model.function))
        except DofkitError:
            raise
        except Exception as error:  # Xcode's, the phone's and Core ML's errors arrive as many classes
            raise DofkitError(
                f"{self.facts.title} cannot load {path} ({first_line(error)}); check the phone"
            ) from error
        return AppleSession(wrapper, loop, model, self.facts.title)

    async def _loaded(self, package: str, function: str | None) -> Any:
        library = require("coremltools.models.ml_program.experimental.async_wrapper", "coreml", "benchmarking Core ML")
        ct = require("coremltools", "coreml", "benchmarking Core ML")
        model = ct.models.MLModel(package, skip_model_load=True, function_name=function)
        wrapper = library.MLModelAsyncWrapper.from_spec_or_path(
            spec_or_path=model.get_spec(),
            weights_dir=model.weights_dir,
            compute_units=ct.ComputeUnit[self.unit.value],
            function_name=function,
            optimization_hints=None,
            device=None if self.phone is None else await _prepared(self.phone),
        )
        await wrapper.load()
        return wrapper

    def machine(self) -> Machine:
        """See `Elsewhere`."""
        if self.phone is None:
            return this_machine()
        phone = connected(self.phone)
        return Machine(
            system=f"iOS {phone.os_version}", architecture="arm64", processor=phone.name, cores=0, memory_mb=0
        )

    def state(self) -> MachineState:
        """See `Elsewhere`; iPhones tell none."""
        return this_state() if self.phone is None else MachineState()


def connected(name: str) -> Any:
    """coremltools' `Device` of an iPhone.

    Raises:
        BackendUnavailableError: there is none, or the name does not tell which.
    """
    library = require("coremltools.models.ml_program.experimental.remote_device", "coreml", "reaching an iPhone")
    try:
        phones = library.Device.get_connected_devices(library.DeviceType.IPHONE)
    except Exception as error:  # no xcrun, no devicectl
        raise BackendUnavailableError(f"{_NO_MAC} ({first_line(error)})") from error
    chosen = [one for one in phones if name in ("*", one.name, one.udid)]
    if len(chosen) == 1:
        return chosen[0]
    there = ", ".join(one.name for one in phones) or "none"
    wanted = "an iPhone" if name == "*" else f"the iPhone {name}"
    raise BackendUnavailableError(f"{wanted} is not to be told from what is connected ({there}); name one: iphone:NAME")


async def _prepared(name: str) -> Any:
    """The phone with coremltools' app running on it."""
    library = require("coremltools.models.ml_program.experimental.remote_device", "coreml", "reaching an iPhone")
    team = os.environ.get(TEAM, "")
    if not team:
        raise BackendUnavailableError(f"an app must be signed for the iPhone; set {TEAM} to your Apple team's id")
    credentials = library.AppSigningCredentials(development_team=team)
    return await connected(name).prepare_for_model_debugging(credentials=credentials)


def backend(id: str, *, unit: str, phone: str | None = None) -> AppleBackend:
    """The backend of those settings; `id` must be the one that they make."""
    made = _made(ComputeUnit(unit), phone)
    if made.facts.id != id:
        raise ValueError(f"{id} is not {made.facts.id}")
    return made


def _made(unit: ComputeUnit, phone: str | None) -> AppleBackend:
    where = "mac" if phone is None else "iphone" if phone == "*" else f"iphone:{phone}"
    short = unit.title.lower().replace(" ", "-")
    facts = BackendFacts(
        id=f"{where}-{short}",
        title=f"Core ML ({unit.title}) on {'this Mac' if phone is None else where}",
        library="coremltools",
        targets=(Target.COREML,),
        device=f"{where}, {unit.title}",
        delegate=unit.title,
        shows=f"Apple's own runtime computes the same on the {unit.title}, in the time that it says",
        needs="a Mac" if phone is None else "a Mac with Xcode, and an iPhone connected to it",
        install="pip install 'dofkit[coreml]'",
        remedy=NO_RUNTIME.remedy if phone is None else _NO_MAC.remedy,
        arithmetic=Arithmetic.DECLARED,
        row=f"{{scope}} on {unit.title} of {where}",
    )
    return AppleBackend(facts, unit, phone)


def mac(name: str) -> Device:
    """This Mac."""
    if name:
        raise DofkitError(f"this Mac is called mac, not mac:{name}")
    return Device("mac", "this Mac", tuple(_made(unit, None) for unit in ComputeUnit))


def iphone(name: str) -> Device:
    """A connected iPhone, by its name; without one the only one."""
    return Device(
        f"iphone:{name}" if name else "iphone", "an iPhone", tuple(_made(u, name or "*") for u in ComputeUnit)
    )

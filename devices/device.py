"""What `dofkit bench` and `dofkit check` ask: a device is a name and the backends that compute on it.

Everything a device needs beyond a backend on this machine (a browser, an emulator, a cable) its backends start when
they open a model and end with the process they are opened in, so that transports know one thing only: backends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ..runtime_ref.backends import Backend
from ..runtime_ref.target import Target
from .machine import Machine, MachineState


@dataclass(frozen=True)
class Device:
    """Somewhere a bundle's files can be computed.

    Attributes:
        id: its name on the command line: "host", "browser", "arm64", "adb:SERIAL".
        title: what it is, for people.
        backends: what computes there, in the order of reports.
    """

    id: str
    title: str
    backends: tuple[Backend, ...]

    def backends_for(self, target: Target) -> tuple[Backend, ...]:
        """Those that open a target's files."""
        return tuple(one for one in self.backends if target in one.facts.targets)


@runtime_checkable
class Elsewhere(Protocol):
    """What a backend can also say that computes on another machine than this one."""

    @property
    def whole_photos(self) -> bool:
        """Whether whole photos can be rendered there in reasonable time."""
        ...

    def machine(self) -> Machine:
        """What computes."""
        ...

    def state(self) -> MachineState:
        """How warm and how fast it is now."""
        ...

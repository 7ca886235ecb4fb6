"""Inside the emulated system: the backends of apps, as the machine outside has them, with marks around every run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime_ref.backends import Backend, Session
from ...runtime_ref.backends.backend import Origin
from ...runtime_ref.backends.file_tensors import DescribedSession, FileTensors
from ...runtime_ref.backends.registry import backend as backend_of
from ...runtime_ref.bundle import Bundle, ModelEntry

Array = NDArray[np.floating[Any]]


class MarkedSession:
    """A session that asks for its parent's process id before and after each run, which the counting plugin sees."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.runtime = session.runtime

    def run(self, inputs: Mapping[str, Array]) -> Array:
        """See `Session.run`."""
        os.getppid()
        output = self._session.run(inputs)
        os.getppid()
        return output

    def tensors(self) -> FileTensors | None:
        """What the file declares; None where the runtime does not tell."""
        return self._session.tensors() if isinstance(self._session, DescribedSession) else None


@dataclass(frozen=True)
class Marked(Backend):
    """A backend of the ground floor whose sessions mark their runs."""

    inner: Backend

    @property
    def origin(self) -> Origin:
        """How the emulated process makes it."""
        return Origin(module=__name__, id=self.inner.facts.id)

    def open(self, bundle: Bundle, model: ModelEntry, threads: int = 2) -> MarkedSession:
        """Open a file; see `Backend.open`."""
        return MarkedSession(self.inner.open(bundle, model, threads))


def backend(id: str) -> Marked:
    """The backend of that id, for the emulated process; raises as `registry.backend` does."""
    inner = backend_of(id)
    return Marked(inner.facts, inner)

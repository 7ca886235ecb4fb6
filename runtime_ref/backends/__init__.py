"""What runs a stage's file: backends (`registry`), where they compute (`transport`), one file a runtime library.

A session (see `pipeline.session`) is a stage that a backend has opened.
"""

from __future__ import annotations

from ..bundle import Bundle, ModelEntry
from ..pipeline.session import Array, Session, SharedSession
from .backend import Arithmetic, Backend, BackendFacts, BackendUnavailableError, NotRun
from .registry import BACKENDS, backends_for, default_backend
from .transport import InProcess, Transport

__all__ = [
    "BACKENDS",
    "Arithmetic",
    "Array",
    "Backend",
    "BackendFacts",
    "BackendUnavailableError",
    "InProcess",
    "NotRun",
    "Session",
    "SharedSession",
    "Transport",
    "backends_for",
    "default_backend",
    "open_session",
]


def open_session(bundle: Bundle, model: ModelEntry, threads: int = 2) -> Session:
    """Open a model of a bundle with its target's default backend, in this process; see `Backend.open`."""
    return default_backend(model.target).open(bundle, model, threads)

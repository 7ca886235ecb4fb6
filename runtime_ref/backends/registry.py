"""Every backend of the ground floor, in the order of reports. PyTorch is one more, see `train.backend`."""

from __future__ import annotations

from difflib import get_close_matches

from ..errors import DofkitError
from ..target import Target
from .backend import Backend
from .coreai import COREAI
from .coreml import COREML
from .litert_compiled import COMPILED
from .mil import MIL
from .onnx import ONNX
from .onnx_reference import ONNX_REFERENCE
from .tflite import LITERT, LITERT_REFERENCE, TENSORFLOW_REFERENCE

# A target's first is its default: the runtime that computes it where nothing else is asked for.
BACKENDS: tuple[Backend, ...] = (
    *ONNX,
    ONNX_REFERENCE,
    LITERT,
    LITERT_REFERENCE,
    TENSORFLOW_REFERENCE,
    *COMPILED,
    MIL,
    *COREML,
    *COREAI,
)


def backend(id: str) -> Backend:
    """The backend of that id.

    Raises:
        DofkitError: there is none; names the nearest.
    """
    known = {one.facts.id: one for one in BACKENDS}
    if id in known:
        return known[id]
    likely = get_close_matches(id, known, 1)
    remedy = f"did you mean {likely[0]}?" if likely else f"there are {', '.join(known)}"
    raise DofkitError(f"no backend is called {id!r}; {remedy}")


def backends_for(target: Target) -> tuple[Backend, ...]:
    """All that open a target's files, its default first."""
    return tuple(one for one in BACKENDS if target in one.facts.targets)


def default_backend(target: Target) -> Backend:
    """What computes a target's files where nothing else is asked for."""
    return backends_for(target)[0]

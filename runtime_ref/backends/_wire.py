"""Messages between a session's process and its owner: a JSON header and arrays as safetensors. No code travels."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from safetensors.numpy import load, save

from ..bundle import Manifest, ModelEntry
from ..pipeline.plan import PipelinePlan
from ..pipeline.stage import Stage
from .backend import Origin
from .file_tensors import FileTensors
from .latency import PhotoTimes, RunTimes, TimeBudget

Array = NDArray[Any]

READY = b"dofkit session process, protocol 1\n"  # what comes before it on stdout is noise of the interpreter's start
_SIZES = struct.Struct("<IQ")  # bytes of the header, bytes of the arrays


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)


class Hello(_Message):
    """The first message to a process: what all its sessions belong to.

    Attributes:
        root, manifest: the bundle.
        origin: how the process makes the backend that computes.
        threads: CPU threads of the runtime.
    """

    root: Path
    manifest: Manifest
    origin: Origin
    threads: int


class PhotoJob(_Message):
    """A whole photo to time; its pixels travel as the array `photo`.

    Attributes:
        keys: the open models, by stage.
        plan: how tiles are cut.
        focus, aperture: the lens.
    """

    keys: dict[Stage, str]
    plan: PipelinePlan
    focus: float
    aperture: float


class Request(_Message):
    """Open a model, or ask one that is open, by its key: run it once, time it, count it, or time a whole photo.

    The stage's inputs travel as arrays.
    """

    action: Literal["open", "run", "time", "count", "photo"]
    key: str = ""
    model: ModelEntry | None = None
    budget: TimeBudget | None = None
    photo: PhotoJob | None = None


class Reply(_Message):
    """What came of a request; that of a run carries the array `output`.

    Attributes:
        runtime: name and version of what computes.
        tensors: what an opened file declares, where the runtime tells.
        load: how long opening took, in milliseconds.
        times, photo: what was timed.
        instructions: of a run; None where the device does not count them.
        peak_memory: greatest resident memory of the process so far, in bytes; 0 where the system does not tell.
        error: one line; empty where all went well.
        kind: which class the error has.
        trace: the traceback of an error that is not the user's, or that a library's lies behind.
    """

    runtime: str = ""
    tensors: FileTensors | None = None
    load: float = 0.0
    times: RunTimes | None = None
    photo: PhotoTimes | None = None
    instructions: int | None = None
    peak_memory: int = 0
    error: str = ""
    kind: Literal["unavailable", "missing", "bad"] = "bad"
    trace: str = ""


Header = TypeVar("Header", bound=_Message)


def write_message(stream: BinaryIO, header: _Message, arrays: Mapping[str, Array] | None = None) -> None:
    """Send a message and flush.

    Raises:
        OSError: the other side is gone.
    """
    head = header.model_dump_json().encode()
    body = save({name: np.ascontiguousarray(values) for name, values in arrays.items()}) if arrays else b""
    stream.write(_SIZES.pack(len(head), len(body)) + head)
    stream.write(body)
    stream.flush()


def read_message(stream: BinaryIO, kind: type[Header]) -> tuple[Header, dict[str, Array]]:
    """Wait for a message.

    Raises:
        EOFError: the other side is gone.
    """
    head, body = _SIZES.unpack(_exactly(stream, _SIZES.size))
    header = kind.model_validate_json(_exactly(stream, head))
    return header, load(_exactly(stream, body)) if body else {}


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data

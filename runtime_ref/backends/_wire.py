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
from .opinions import Opinion

Array = NDArray[Any]

READY = b"dofkit session process, protocol 1\n"  # what comes before it on stdout is noise of the interpreter's start
_SIZES = struct.Struct("<IQ")  # bytes of the header, bytes of the arrays


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)


class Hello(_Message):
    """The first message to a process: what all its sessions belong to.

    Attributes:
        root, manifest: the bundle.
        opinion: whose engine computes; None is the target's ordinary runtime.
        threads: CPU threads of the runtime.
    """

    root: Path
    manifest: Manifest
    opinion: Opinion | None
    threads: int


class Request(_Message):
    """Open a model, or run the one that was opened last under a key; a run carries the stage's inputs."""

    action: Literal["open", "run"]
    key: str
    model: ModelEntry | None = None


class Reply(_Message):
    """What came of a request; that of a run carries the array `output`.

    Attributes:
        runtime: name and version of what computes.
        peak_memory: greatest resident memory of the process so far, in bytes; 0 where the system does not tell.
        error: one line; empty where all went well.
        kind: which class the error has.
        trace: the traceback of an error that is not the user's.
    """

    runtime: str = ""
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

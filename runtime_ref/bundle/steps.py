"""Step cases on disk: what every step around the networks makes of a small photo, with stand-ins for the networks.

A number in [0, 1] is stored in 16 bits (65535 is 1), a defocus as float32, a result and inputs as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from ..errors import DofkitError
from ..files import write_file
from .manifest import StepTensor

PHOTO, MAP = "photo", "map"
_LARGEST = 100_000  # bytes of a stored tensor beside the inputs: larger ones keep every k-th row and column
_STRIDES = (1, 3, 5, 7, 9, 11)  # odd, so that no pattern of tiles or blocks is missed


def stored_steps(
    computed: Mapping[str, tuple[int, NDArray[Any]]],
) -> tuple[dict[str, StepTensor], dict[str, NDArray[Any]]]:
    """What a bundle keeps of the tensors of a case.

    Args:
        computed: name -> (number of the step, values `[H, W, …]`).
    """
    entries, arrays = {}, {}
    for name, (step, values) in computed.items():
        exact = encoded(name, values)
        every = 1 if name in (PHOTO, MAP) else _stride(exact)
        entries[name] = StepTensor(step=step, every=every)
        arrays[name] = exact[::every, ::every]
    return entries, arrays


def encoded(name: str, values: NDArray[Any]) -> NDArray[Any]:
    """A tensor in the type that it is stored in."""
    if values.dtype.kind == "u" or "defocus" in name:
        return values
    return np.rint(values.clip(0, 1) * np.float32(65535)).astype(np.uint16)


def _stride(values: NDArray[Any]) -> int:
    return next((k for k in _STRIDES if values[::k, ::k].nbytes <= _LARGEST), _STRIDES[-1])


def write_steps(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write the tensors of a case."""
    write_file(path, save({name: np.ascontiguousarray(values) for name, values in sorted(arrays.items())}))


def read_steps(path: Path) -> dict[str, NDArray[Any]]:
    """The stored tensors of a case.

    Raises:
        DofkitError: the file is damaged or lacks its inputs.
    """
    try:
        arrays = load_file(path)
    except (SafetensorError, OSError) as error:
        raise DofkitError(f"{path} is not a readable safetensors file ({error}); export the bundle again") from error
    for name, axes in ((PHOTO, 3), (MAP, 2)):
        if name not in arrays or arrays[name].ndim != axes or arrays[name].dtype.kind != "u":
            raise DofkitError(f"{path} lacks the tensor {name}; export the bundle again")
    return arrays

"""Weights files: safetensors with JSON texts as metadata, read and written here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ...runtime_ref.errors import DofkitError
from ...runtime_ref.files import write_file


@dataclass(frozen=True, eq=False)
class WeightsFile:
    """What a file holds.

    Attributes:
        metadata: texts by name; empty where the file has none.
        tensors: by their names in the network, in the types in which they are stored.
    """

    metadata: Mapping[str, str]
    tensors: Mapping[str, torch.Tensor]


def read_weights(path: Path, missing: str) -> WeightsFile:
    """Read a file.

    Args:
        path: of the file.
        missing: what the error says where there is none, with the remedy.

    Raises:
        DofkitError: it is missing or damaged.
    """
    if not path.is_file():
        raise DofkitError(missing)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            return WeightsFile(file.metadata() or {}, tensors)
    except SafetensorError as error:
        raise DofkitError(f"{path} is not a readable safetensors file ({error}); copy or train it again") from error


def write_weights(
    path: Path, network: torch.nn.Module, metadata: Mapping[str, str], dtype: torch.dtype | None = None
) -> Path:
    """Write a network's parameters; the file appears whole or not at all, its folder too.

    Args:
        path: of the file.
        network: whose state is written.
        metadata: texts by name.
        dtype: to store floats in; None keeps each tensor's own.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: tensor.detach().cpu().to(dtype if dtype and tensor.is_floating_point() else tensor.dtype).contiguous()
        for name, tensor in network.state_dict().items()
    }
    write_file(path, save(tensors, metadata=dict(metadata)))
    return path

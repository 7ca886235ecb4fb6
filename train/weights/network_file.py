"""A network of a generative model as a file: tensors in half precision, kind and configuration as metadata.

One `NetworkFile` a kind; the stages of the bundle have files of their own form, see the package.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ...runtime_ref.errors import DofkitError, first_line
from ...runtime_ref.files import write_file

Network = TypeVar("Network", bound=torch.nn.Module)


@dataclass(frozen=True)
class NetworkFile:
    """A kind of file, and how such files are written and read.

    Attributes:
        kind: what the metadata says.
        noun: what errors call the network.
        name: of the file.
        command: that trains one.
    """

    kind: str
    noun: str
    name: str
    command: str

    def save(self, network: torch.nn.Module, config: str, folder: Path) -> Path:
        """Write a network to `folder`, its configuration given as JSON; the file appears whole or not at all."""
        path = folder / self.name
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: tensor.detach().cpu().half().contiguous() for name, tensor in network.state_dict().items()}
        write_file(path, save(tensors, metadata={"kind": self.kind, "config": config}))
        return path

    def load(self, path: Path, build: Callable[[Any], Network]) -> Network:
        """Rebuild a network from its file, in evaluation mode and single precision.

        Args:
            path: the file, or the folder of a training that holds it.
            build: makes the network of what the configuration's JSON holds; pydantic's errors are ValueErrors.

        Raises:
            DofkitError: when the file is missing, damaged, of another kind, or does not fit its configuration.
        """
        path = path / self.name if path.is_dir() else path
        metadata, tensors = self._read(path)
        if metadata.get("kind") != self.kind:
            raise DofkitError(f"{path} holds no {self.noun}; give the {self.name} of `{self.command}`")
        try:
            network = build(json.loads(metadata["config"]))
            network.load_state_dict(tensors)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise DofkitError(
                f"{path} does not fit its network ({first_line(error)}); it was written by another version"
            ) from error
        return network.eval()

    def _read(self, path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
        """Metadata, and tensors in single precision."""
        if not path.is_file():
            raise DofkitError(f"no {self.noun}: {path} does not exist; train one with `{self.command}`")
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 (not a mapping)
                return file.metadata() or {}, tensors
        except SafetensorError as error:
            raise DofkitError(f"{path} is not a readable safetensors file ({error}); copy or train it again") from error

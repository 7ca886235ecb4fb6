"""A network of a generative model as a file: tensors in half precision, kind and configuration as metadata.

One `NetworkFile` a kind, see `generative`; the stages of the bundle have files of their own form, see the package.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

from ...runtime_ref.errors import DofkitError, first_line
from .files import read_weights, write_weights
from .terms import Terms

_NOTHING = Terms()
Network = TypeVar("Network", bound=torch.nn.Module)


@dataclass(frozen=True)
class NetworkFile(Generic[Network]):
    """A kind of file, and how such files are written and read.

    Attributes:
        kind: what the metadata says.
        noun: what errors call the network.
        name: of the file.
        command: that trains one.
        describe: the configuration of a network, as JSON.
        build: makes the network of what the configuration's JSON holds; pydantic's errors are ValueErrors.
        marks: further texts by name.
    """

    kind: str
    noun: str
    name: str
    command: str
    describe: Callable[[Network], str]
    build: Callable[[Any], Network]
    marks: Mapping[str, str] = field(default_factory=dict)

    def save(self, network: Network, folder: Path, terms: Terms = _NOTHING) -> Path:
        """Write a network to `folder`, with what is known of its terms; the file appears whole or not at all."""
        metadata = {"kind": self.kind, "config": self.describe(network), **self.marks, **terms.as_metadata()}
        return write_weights(folder / self.name, network, metadata, torch.float16)

    def at(self, path: Path) -> Path:
        """The file itself, where the folder of a training may be given."""
        return path / self.name if path.is_dir() else path

    def load(self, path: Path) -> Network:
        """Rebuild a network from its file, in evaluation mode and single precision.

        Args:
            path: the file, or the folder of a training that holds it.

        Raises:
            DofkitError: when the file is missing, damaged, of another kind, or does not fit its configuration.
        """
        path = self.at(path)
        file = read_weights(path, f"no {self.noun}: {path} does not exist; train one with `{self.command}`")
        if file.metadata.get("kind") != self.kind:
            raise DofkitError(f"{path} holds no {self.noun}; give the {self.name} of `{self.command}`")
        try:
            network = self.build(json.loads(file.metadata["config"]))
            network.load_state_dict({name: tensor.float() for name, tensor in file.tensors.items()})
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise DofkitError(
                f"{path} does not fit its network ({first_line(error)}); it was written by another version"
            ) from error
        return network.eval()

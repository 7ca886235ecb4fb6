"""The starter weights that ship with dofkit, one safetensors file a stage, and how such files are read and written.

A file holds the network's parameters and, as metadata, its stage and configuration: enough to rebuild the network.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ...runtime_ref.errors import DofkitError, first_line
from ...runtime_ref.files import write_file
from ...runtime_ref.stage import Stage
from ..networks import CONFIGS, NETWORKS

SHIPPED = Path(__file__).parent


def weights_file(stage: Stage, directory: Path) -> Path:
    """Where a stage's weights lie in a weights directory."""
    return directory / f"{stage}.safetensors"


def has_weights(stage: Stage, directory: Path) -> bool:
    """Whether a weights directory holds a stage."""
    return weights_file(stage, directory).is_file()


def save_weights(network: torch.nn.Module, stage: Stage, directory: Path, half: bool = False) -> Path:
    """Write a network's parameters and configuration to `directory`; the file appears whole or not at all.

    Args:
        half: store parameters in float16, in half the bytes; they are float32 again when read.
    """
    path = weights_file(stage, directory)
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    if half:
        tensors = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    config = json.dumps(dataclasses.asdict(network.config), sort_keys=True)  # pyright: ignore[reportCallIssue, reportArgumentType]
    write_file(path, save(tensors, metadata={"stage": stage.value, "config": config}))
    return path


def load_weights(stage: Stage, directory: Path = SHIPPED) -> torch.nn.Module:
    """Rebuild a stage's network from its file, in evaluation mode.

    Raises:
        DofkitError: when the file is missing, damaged, of another stage, or does not fit its configuration.
    """
    path = weights_file(stage, directory)
    if not path.is_file():
        raise DofkitError(f"no weights for {stage}: {path} does not exist; train them or give another --weights folder")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except SafetensorError as error:
        raise DofkitError(f"{path} is not a readable safetensors file ({error}); copy or train it again") from error
    if metadata.get("stage") != stage.value:
        raise DofkitError(f"{path} holds weights of '{metadata.get('stage')}', not of {stage}; check the file's name")
    try:
        network = NETWORKS[stage](CONFIGS[stage](**json.loads(metadata["config"])))
        network.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DofkitError(
            f"{path} does not fit its network ({first_line(error)}); it was written by another version"
        ) from error
    return network.eval()

"""The starter weights that ship with dofkit, one safetensors file a stage, and how such files are read and written.

A file holds the network's parameters and, as metadata, its stage, architecture and configuration, enough to rebuild
the network; and its terms: licence, author and provenance, as far as they are known.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...runtime_ref.errors import DofkitError, first_line
from ...runtime_ref.pipeline.stage import Stage
from ..networks.adapted import core
from ..networks.contract import NetworkContract
from ..networks.registry import ARCHITECTURES, Architecture, Architectures
from ..shipped import SHIPPED, has_weights, no_weights, weights_file
from .files import WeightsFile, read_weights, write_weights
from .terms import PRODUCT_TERMS, RESEARCH_ONLY, Terms, terms_of

__all__ = [
    "PRODUCT_TERMS",
    "RESEARCH_ONLY",
    "SHIPPED",
    "Terms",
    "contract_of_weights",
    "has_weights",
    "load_network",
    "load_weights",
    "save_weights",
    "terms_of_file",
    "terms_of_weights",
    "weights_file",
]

_NOTHING = Terms()


def save_weights(
    network: torch.nn.Module,
    stage: Stage,
    directory: Path,
    terms: Terms = _NOTHING,
    architectures: Architectures = ARCHITECTURES,
    half: bool = False,
) -> Path:
    """Write a network's parameters and configuration to `directory`; the file appears whole or not at all.

    Args:
        network: of a known architecture.
        stage: that it computes.
        directory: made if it is missing.
        terms: of these weights; exports stamp them.
        architectures: those that are known.
        half: store numbers in float16, in half the bytes; they are float32 again when read.
    """
    inner: Any = core(network)
    metadata = {
        "stage": stage.value,
        "config": json.dumps(dataclasses.asdict(inner.config), sort_keys=True),
        "architecture": architectures.contract_of(inner).architecture,
        **terms.as_metadata(),
    }
    return write_weights(weights_file(stage, directory), inner, metadata, torch.float16 if half else None)


@dataclass(frozen=True, eq=False)
class _Opened:
    """A stage's file, its architecture known."""

    path: Path
    file: WeightsFile
    architecture: Architecture
    configuration: dict[str, Any]


def load_weights(
    stage: Stage, directory: Path = SHIPPED, architectures: Architectures = ARCHITECTURES
) -> torch.nn.Module:
    """Rebuild a stage's network from its file, in evaluation mode.

    Raises:
        DofkitError: when the file is missing, damaged, of another stage or an unknown architecture, or does not fit
            its configuration.
    """
    return load_network(weights_file(stage, directory), stage, architectures)


def load_network(path: Path, stage: Stage, architectures: Architectures = ARCHITECTURES) -> torch.nn.Module:
    """The same of a file of any name."""
    opened = _open(stage, path, architectures)
    try:
        return opened.architecture.rebuilt(opened.configuration, opened.file.tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _misfit(opened.path, error) from error


def contract_of_weights(
    stage: Stage, directory: Path = SHIPPED, architectures: Architectures = ARCHITECTURES
) -> NetworkContract:
    """The contract of a stage's weights; the network is not built.

    Raises:
        DofkitError: see `load_weights`.
    """
    return _open(stage, weights_file(stage, directory), architectures).architecture.contract


def terms_of_weights(stage: Stage, directory: Path = SHIPPED) -> Terms:
    """What is known of a stage's weights: licence, author, provenance.

    Raises:
        DofkitError: when the file is missing or damaged.
    """
    path = weights_file(stage, directory)
    return terms_of(path, _read(stage, path).metadata)


def terms_of_file(path: Path) -> Terms:
    """The same of a file of any name, which a network was loaded from."""
    return terms_of(path, read_weights(path, f"{path} does not exist").metadata)


def _read(stage: Stage, path: Path) -> WeightsFile:
    return read_weights(path, no_weights(stage, path.parent))


def _open(stage: Stage, path: Path, architectures: Architectures) -> _Opened:
    file = _read(stage, path)
    if file.metadata.get("stage") != stage.value:
        said = file.metadata.get("stage")
        raise DofkitError(f"{path} holds weights of '{said}', not of {stage}; check the file's name")
    named = file.metadata.get("architecture")
    try:
        configuration = json.loads(file.metadata["config"])
        architecture = (
            architectures.of_file(stage, configuration, file.tensors) if named is None else architectures.named(named)
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _misfit(path, error) from error
    except DofkitError as error:
        raise DofkitError(f"{path}: {error}, of this version or registered by you") from error
    if architecture.contract.stage is not stage:
        raise DofkitError(f"{path} is of {named}, which computes {architecture.contract.stage}, not {stage}")
    return _Opened(path, file, architecture, configuration)


def _misfit(path: Path, error: Exception) -> DofkitError:
    return DofkitError(f"{path} does not fit its network ({first_line(error)}); it was written by another version")

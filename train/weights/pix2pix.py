"""Pix2Pix's generator photo → disparity as a file; the discriminator is of the training alone."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from ..networks.pix2pix import Pix2PixConfig, Pix2PixGenerator
from .network_file import NetworkFile

FILE = "pix2pix.safetensors"

_GENERATOR = NetworkFile("photo to disparity generator", "Pix2Pix generator", FILE, "dofkit train pix2pix")


def save_pix2pix(network: Pix2PixGenerator, folder: Path) -> Path:
    """Write `pix2pix.safetensors` to `folder`; the file appears whole or not at all."""
    return _GENERATOR.save(network, json.dumps(dataclasses.asdict(network.config), sort_keys=True), folder)


def load_pix2pix(path: Path) -> Pix2PixGenerator:
    """Rebuild a generator from its file, in evaluation mode and single precision.

    Args:
        path: the file, or the folder of a training that holds it.

    Raises:
        DofkitError: when the file is missing, damaged, of another kind, or does not fit its configuration.
    """
    return _GENERATOR.load(path, lambda config: Pix2PixGenerator(Pix2PixConfig(**config)))

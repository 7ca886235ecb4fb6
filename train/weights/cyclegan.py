"""CycleGAN's translator deep → shallow as a file; the way back and the discriminators are of the training alone."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from ..networks.cyclegan import Translator, TranslatorConfig
from .network_file import NetworkFile

FILE = "cyclegan.safetensors"

_TRANSLATOR = NetworkFile("deep to shallow translator", "translator", FILE, "dofkit train cyclegan")


def save_translator(network: Translator, folder: Path) -> Path:
    """Write `cyclegan.safetensors` to `folder`; the file appears whole or not at all."""
    return _TRANSLATOR.save(network, json.dumps(dataclasses.asdict(network.config), sort_keys=True), folder)


def load_translator(path: Path) -> Translator:
    """Rebuild a translator deep → shallow from its file, in evaluation mode and single precision.

    Args:
        path: the file, or the folder of a training that holds it.

    Raises:
        DofkitError: when the file is missing, damaged, of another kind, or does not fit its configuration.
    """
    return _TRANSLATOR.load(path, lambda config: Translator(TranslatorConfig(**config)))

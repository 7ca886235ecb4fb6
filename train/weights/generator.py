"""AR-GAN's generator as a file: parameters in half precision, its configuration as metadata."""

from __future__ import annotations

from pathlib import Path

from ..argan_config import ArganConfig
from ..networks.aperture_generator import ApertureGenerator
from .network_file import NetworkFile

FILE = "argan.safetensors"
SHIPPED = Path(__file__).parent / FILE

_GENERATOR = NetworkFile("aperture generator", "generator", FILE, "dofkit train argan")


def save_generator(network: ApertureGenerator, folder: Path) -> Path:
    """Write `argan.safetensors` to `folder`; the file appears whole or not at all."""
    return _GENERATOR.save(network, network.config.model_dump_json(), folder)


def load_generator(path: Path = SHIPPED) -> ApertureGenerator:
    """Rebuild a generator and its lens from their file, in evaluation mode and single precision.

    Args:
        path: the file, or the folder of a training that holds it.

    Raises:
        DofkitError: when the file is missing, damaged, of another kind, or does not fit its configuration.
    """
    of_before = {"norm": "instance"}  # what there was when configurations did not say
    return _GENERATOR.load(path, lambda config: ApertureGenerator(ArganConfig.model_validate(of_before | config)))

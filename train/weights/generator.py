"""AR-GAN's generator as a file: parameters in half precision, its configuration as metadata."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ...runtime_ref.errors import DofkitError
from ...runtime_ref.files import write_file
from ..argan_config import ArganConfig
from ..networks.aperture_generator import ApertureGenerator

KIND = "aperture generator"
FILE = "argan.safetensors"
SHIPPED = Path(__file__).parent / FILE


def save_generator(network: ApertureGenerator, folder: Path) -> Path:
    """Write `argan.safetensors` to `folder`; the file appears whole or not at all."""
    path = folder / FILE
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().half().contiguous() for name, tensor in network.state_dict().items()}
    write_file(path, save(tensors, metadata={"kind": KIND, "config": network.config.model_dump_json()}))
    return path


def load_generator(path: Path = SHIPPED) -> ApertureGenerator:
    """Rebuild a generator and its lens from their file, in evaluation mode and single precision.

    Args:
        path: the file, or the folder of a training that holds it.

    Raises:
        DofkitError: when the file is missing, damaged, of another kind, or does not fit its configuration.
    """
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        raise DofkitError(f"no generator: {path} does not exist; train one with `dofkit train argan`")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except SafetensorError as error:
        raise DofkitError(f"{path} is not a readable safetensors file ({error}); copy or train it again") from error
    if metadata.get("kind") != KIND:
        raise DofkitError(f"{path} holds no generator; give the argan.safetensors of `dofkit train argan`")
    try:
        network = ApertureGenerator(ArganConfig.model_validate(json.loads(metadata["config"])))
        network.load_state_dict(tensors)
    except (KeyError, ValueError, ValidationError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise DofkitError(f"{path} does not fit its network ({reason}); it was written by another version") from error
    return network.eval()

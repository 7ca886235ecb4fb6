"""Depth networks of the transformers library: a folder of weights and configuration, or a name on Hugging Face's hub.

No code of a folder is run, nothing is unpickled, and nothing is downloaded without a line that says so.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...runtime_ref.errors import DofkitError, first_line, require
from ...runtime_ref.pipeline.aspects import Size, size_of_aspect
from ...runtime_ref.pipeline.stage import Stage
from ...runtime_ref.quiet import silence
from ..networks.contract import NetworkContract, Preprocessing, SizeRule
from ..weights.terms import Terms
from .families import FAMILIES, Family
from .kinds import DepthKind, refusal
from .networks import Brought, NetworkOrigin, depth_of, sha256_of
from .terms import card_licence, warnings_of

CONFIGURATION, _PROCESSOR = "config.json", "preprocessor_config.json"
_WANTED = ["*.json", "*.safetensors", "README.md"]
_PURPOSE = "a depth network of Hugging Face's"
_ASPECTS = ("1:1", "3:4", "4:3")


@dataclass(frozen=True)
class ModelFacts:
    """What whoever brings a network says of it; None where nothing is said.

    Attributes:
        kind: what it gives.
        size: (height, width) of its input in pixels.
        preprocessing: what it wants done to images in [0, 1].
    """

    kind: DepthKind | None = None
    size: Size | None = None
    preprocessing: Preprocessing | None = None


def fetched(name: str, say: Callable[[str], None]) -> Path:
    """The folder of a name on the hub: from the cache if it is there, else downloaded, which is said.

    Args:
        name: "owner/model".
        say: called with a line before anything is downloaded.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        DofkitError: it is not in the cache and HF_HUB_OFFLINE is set, or it cannot be downloaded.
    """
    hub: Any = require("huggingface_hub", "hub", _PURPOSE)
    try:
        folder = Path(hub.snapshot_download(name, allow_patterns=_WANTED, local_files_only=True))
        if (folder / CONFIGURATION).is_file() and _weights(folder):
            return folder
    except Exception:  # what is not in the cache raises one of several classes
        pass
    if hub.constants.HF_HUB_OFFLINE:
        raise DofkitError(f"{name} is not in the cache of Hugging Face's hub, and HF_HUB_OFFLINE forbids to fetch it")
    say(f"downloading {name} from {hub.constants.ENDPOINT} into {hub.constants.HF_HUB_CACHE}")
    try:
        return Path(hub.snapshot_download(name, allow_patterns=_WANTED))
    except Exception as error:
        raise DofkitError(
            f"{name} cannot be fetched from Hugging Face's hub ({first_line(error)}); check the name, or give the "
            "folder of a copy"
        ) from error


def open_folder(folder: Path, source: str, asked: ModelFacts) -> Brought:
    """The depth network of a folder that `save_pretrained` wrote.

    Args:
        folder: with config.json and safetensors files.
        source: what it is called.
        asked: what is said of it; it comes before what is known of its class.

    Raises:
        MissingExtraError: transformers is not installed.
        DofkitError: the folder lacks a part, or holds weights as pickles; the network is none of depth, or no disparity
            can be made of what it gives; what it gives or takes is not known and was not said.
    """
    config = _configuration(folder)
    family = FAMILIES.get(config.model_type)
    kind, size = _kind(config, family, asked, source), _size(config, family, asked, source)
    only = size if family is not None and family.fixed(config) else None
    multiple = 1 if family is None or only else family.multiple(config)
    network = _loaded(folder, source)
    contract = NetworkContract(
        architecture=config.model_type,
        stage=Stage.DEPTH,
        size=SizeRule(multiple=multiple, least=multiple, usual=(size,) if only else _sizes(size, multiple)),
        preprocessing=asked.preprocessing or _preprocessing(folder, family),
        meaning=kind.meaning,
        rewritten=True,
    )
    origin = NetworkOrigin(source, "transformers", type(network).__name__, kind.value, f"{size[0]}x{size[1]}")
    terms = Terms(licence=card_licence(folder), provenance=f"{source} ({origin.model}), brought")
    return depth_of(network, _map, contract, origin, only, terms, sha256_of(_weights(folder)), warnings_of(terms))


def _map(network: nn.Module, image: torch.Tensor) -> Any:
    return network(pixel_values=image, return_dict=True).predicted_depth


def _configuration(folder: Path) -> Any:
    """A folder's configuration, as its own class.

    Raises:
        DofkitError: it has none, it is damaged, or of a class that transformers does not know.
    """
    if not (folder / CONFIGURATION).is_file():
        raise DofkitError(f"{folder} has no {CONFIGURATION}; give a folder that save_pretrained of transformers wrote")
    transformers: Any = require("transformers", "hub", _PURPOSE)
    try:
        with silence():
            return transformers.AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # ValueError, OSError, and strict configurations' own
        raise DofkitError(
            f"{folder}: its configuration is of no network that transformers {transformers.__version__} knows "
            f"({first_line(error)}); export it with torch.export and give the .pt2"
        ) from error


def _kind(config: Any, family: Family | None, asked: ModelFacts, source: str) -> DepthKind:
    known = family.kind(config) if family else ""
    if reason := refusal(known):
        raise DofkitError(f"{source}: {reason}")
    if asked.kind is not None:
        if known and asked.kind.meaning is not DepthKind(known).meaning:
            raise DofkitError(
                f"--depth-kind {asked.kind}: {source} ({family.name if family else ''}) gives {known}; leave it out"
            )
        return asked.kind
    if not known:
        raise DofkitError(
            f"{source}: what networks of the type {config.model_type!r} give is not known; say it with --depth-kind "
            f"{', '.join(DepthKind)}: photos cannot tell"
        )
    return DepthKind(known)


def _size(config: Any, family: Family | None, asked: ModelFacts, source: str) -> Size:
    if family is not None:
        return family.size(config)
    if asked.size is None:
        raise DofkitError(
            f"{source}: the input's size of networks of the type {config.model_type!r} is not known; say it with "
            "--depth-size HxW"
        )
    return asked.size


def _sizes(size: Size, multiple: int) -> tuple[Size, ...]:
    """The size of the training, and those of photos' aspects with as many pixels."""
    side = math.sqrt(size[0] * size[1])
    return tuple(dict.fromkeys((size, *(size_of_aspect(aspect, side, multiple) for aspect in _ASPECTS))))


def _preprocessing(folder: Path, family: Family | None) -> Preprocessing:
    """What the folder's image processor does to the values of an image, or the family's.

    The processor itself is not loaded: it wants torchvision, and sizes are ours to choose.

    Raises:
        DofkitError: neither says it.
    """
    path = folder / _PROCESSOR
    if not path.is_file():
        if family is None:
            raise DofkitError(f"{folder} has no {_PROCESSOR}; say what the network wants with --depth-normalisation")
        return family.preprocessing
    try:
        said = json.loads(path.read_text())
        scale = float(said.get("rescale_factor", 1 / 255)) * 255 if said.get("do_rescale", True) else 255.0
        if not said.get("do_normalize", False):
            return Preprocessing(deviation=(1 / scale, 1 / scale, 1 / scale))
        mean, deviation = ([float(value) / scale for value in said[key]] for key in ("image_mean", "image_std"))
        return Preprocessing((mean[0], mean[1], mean[2]), (deviation[0], deviation[1], deviation[2]))
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise DofkitError(f"{path} is damaged ({first_line(error)}); copy the folder again") from error


def _loaded(folder: Path, source: str) -> nn.Module:
    """The network with its weights, in evaluation mode and single precision."""
    if not _weights(folder):
        pickles = [path.name for path in folder.iterdir() if path.suffix in (".bin", ".pth", ".pt", ".ckpt")]
        remedy = (
            f"{pickles[0]} is a pickle, which could run code; save it with safe_serialization in transformers"
            if pickles
            else "copy its weights, too"
        )
        raise DofkitError(f"{folder} has no .safetensors file; {remedy}")
    transformers: Any = require("transformers", "hub", _PURPOSE)
    try:
        with silence():
            network, found = transformers.AutoModelForDepthEstimation.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False, use_safetensors=True,
                dtype=torch.float32, output_loading_info=True,
            )  # fmt: skip
    except Exception as error:
        raise DofkitError(f"{source} is no depth network that transformers can load ({first_line(error)})") from error
    if missing := sorted(found["missing_keys"]):
        raise DofkitError(
            f"{source}: its weights lack {len(missing)} of the network's, {missing[0]} first, which would be random; "
            "give the whole model"
        )
    return network.eval().requires_grad_(False)


def _weights(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def is_hub_name(text: str) -> bool:
    """Whether a text can be a name on the hub: "owner/model"."""
    return re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", text) is not None

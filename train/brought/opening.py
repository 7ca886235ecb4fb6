"""A depth network as it is named on the command line: a name on the hub, a folder, or a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...runtime_ref.bundle import file_sha256
from ...runtime_ref.bundle.manifest import ONNX_FORMAT
from ...runtime_ref.errors import DofkitError
from ...runtime_ref.pipeline.stage import Stage
from ..networks.adapted import core
from ..networks.contract import NetworkContract, Preprocessing, SizeRule
from ..networks.registry import ARCHITECTURES, Architectures
from ..weights import load_network, terms_of_file
from ..weights.terms import Terms
from .hub import ModelFacts, fetched, is_hub_name, open_folder
from .kinds import DepthKind
from .networks import Brought, NetworkOrigin, depth_of, sha256_of
from .onnx_model import SUFFIX as ONNX
from .onnx_model import files_of, open_onnx
from .plugins import package_of
from .program import SUFFIX, open_program
from .stage_models import installed_depth
from .terms import warnings_of

_OURS = ".safetensors"
_FORMS = f"a name on Hugging Face's hub, a folder of transformers, or a file {SUFFIX}, {ONNX}, {_OURS}"


def open_depth_model(
    text: str,
    asked: ModelFacts | None = None,
    say: Callable[[str], None] = lambda _: None,
    architectures: Architectures = ARCHITECTURES,
) -> Brought:
    """Open a depth network.

    Args:
        text: "owner/model" on the hub, a folder that transformers wrote, a `.pt2` of torch.export, a safetensors file
            of dofkit's, or the name of a network that an installed package brings.
        asked: what whoever brings it says of it.
        say: called with a line before anything is downloaded.
        architectures: those that safetensors files may be of.

    Raises:
        DofkitError: it is not there, damaged, unsafe to read, or no disparity can be made of what it gives; what cannot
            be known of it was not said.
    """
    asked, path = asked or ModelFacts(), Path(text)
    if path.is_dir():
        return open_folder(path, path.resolve().name, asked)
    if path.is_file():
        match path.suffix.lower():
            case ".pt2" | ".pt" | ".ptl" | ".torchscript":
                return _program(path, asked)
            case ".onnx":
                return _onnx(path, asked)
            case ".safetensors":
                return _ours(path, asked, architectures)
            case ".bin" | ".pth" | ".ckpt":
                raise DofkitError(f"--depth-model {text} is a pickle of weights, no network; give {_FORMS}")
            case _:
                raise DofkitError(f"--depth-model {text}: its suffix is of no known kind; give {_FORMS}")
    if package_of(text):
        return installed_depth(text, asked)
    if is_hub_name(text) and not path.suffix:
        return open_folder(fetched(text, say), text, asked)
    raise DofkitError(f"--depth-model {text}: there is no such file or folder; give {_FORMS}")


def _ours(path: Path, asked: ModelFacts, architectures: Architectures) -> Brought:
    """A weights file of an architecture that dofkit knows; it says all of itself."""
    if asked.kind is not None or asked.preprocessing is not None:
        raise DofkitError(f"{path} says itself what it gives and takes; leave --depth-kind and -normalisation out")
    network = load_network(path, Stage.DEPTH, architectures)
    contract, inner = architectures.contract_of(network), core(network)
    origin = NetworkOrigin(path.name, "dofkit", type(inner).__name__)
    return Brought(network, contract, terms_of_file(path), file_sha256(path), origin)


def _program(path: Path, asked: ModelFacts) -> Brought:
    """An exported program: nothing in it says what it gives, nor what it wants done to an image."""
    network, size = open_program(path)
    if problem := SizeRule().problem(*size):
        raise DofkitError(f"{path} takes images of one size: {problem}")
    kind = _said(path, "an exported program", asked)
    contract = NetworkContract(
        architecture="exported_program",
        stage=Stage.DEPTH,
        size=SizeRule(usual=(size,)),
        preprocessing=asked.preprocessing or Preprocessing(),
        meaning=kind.meaning,
        rewritten=True,
    )
    origin = NetworkOrigin(path.name, "exported program", "", kind.value, f"{size[0]}x{size[1]}")
    terms = Terms(provenance=f"{path.name}, brought")
    return depth_of(network, _called, contract, origin, size, terms, file_sha256(path), warnings_of(terms))


def _onnx(path: Path, asked: ModelFacts) -> Brought:
    """An ONNX file: it says its size, or takes several; not what it gives, nor what it wants done to an image."""
    kind = _said(path, "an ONNX file", asked)
    network = open_onnx(path, asked.size)
    size = network.graph.size or asked.size
    assert size is not None, "it was tried at one"
    contract = NetworkContract(
        architecture="onnx",
        stage=Stage.DEPTH,
        size=SizeRule(usual=(size,)),
        preprocessing=asked.preprocessing or Preprocessing(),
        meaning=kind.meaning,
        onnx=network.graph,
    )
    origin = NetworkOrigin(path.name, ONNX_FORMAT, "", kind.value, f"{size[0]}x{size[1]}")
    said = {entry.key.lower(): entry.value for entry in network.graph.model.metadata_props}
    terms = Terms(
        licence=said.get("license", said.get("licence", "")),
        author=said.get("author", ""),
        provenance=f"{path.name}, brought",
    )
    return depth_of(
        network, _called, contract, origin, network.graph.size, terms, sha256_of(files_of(path)), warnings_of(terms)
    )


def _said(path: Path, form: str, asked: ModelFacts) -> DepthKind:
    """What a network gives whose file does not say it."""
    if asked.kind is None:
        raise DofkitError(
            f"{path}: {form} does not say what it gives; say it with --depth-kind {', '.join(DepthKind)}: photos "
            "cannot tell"
        )
    return asked.kind


def _called(network: nn.Module, image: torch.Tensor) -> Any:
    return network(image)

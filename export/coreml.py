"""Core ML: ML Programs through coremltools, on Linux as on macOS, written so that equal inputs give equal bytes."""

from __future__ import annotations

import json
import logging
import os
import uuid
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from ..runtime_ref.errors import require
from ..runtime_ref.quiet import silence
from ..runtime_ref.sessions.coreml import read_structure
from ..runtime_ref.target import Precision
from .stages import StageGraph

DEPLOYMENT = "iOS 17, macOS 14"


def convert(graph: StageGraph, paths: Mapping[Precision, Path]) -> None:
    """Write a stage as one .mlpackage folder a precision; the network is traced once."""
    ct = _coremltools()
    with warnings.catch_warnings(), silence(), torch.inference_mode():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(graph.network, graph.example(), check_trace=False)
        for precision, path in paths.items():
            model = ct.convert(
                traced,
                inputs=[ct.TensorType(s.name, shape=graph.shape(s), dtype=np.float32) for s in graph.inputs],
                outputs=[ct.TensorType(graph.output.name, dtype=np.float32)],
                convert_to="mlprogram",
                minimum_deployment_target=ct.target.iOS17,
                compute_precision=ct.precision.FLOAT16 if precision is Precision.FP16 else ct.precision.FLOAT32,
                skip_model_load=True,
            )
            model.save(str(path))
            _canonicalise(path)


def _coremltools() -> ModuleType:
    """Import coremltools without its version notices."""
    os.environ.setdefault("TQDM_DISABLE", "1")
    logging.getLogger("coremltools").setLevel(logging.ERROR)
    with warnings.catch_warnings(), silence():
        warnings.simplefilter("ignore")
        return require("coremltools", "coreml", "exporting to Core ML")


def _canonicalise(package: Path) -> None:
    """Take date, random identifiers and map order out of a package.

    coremltools writes the conversion date into the model, random UUIDs into Manifest.json, and protobuf maps in an
    order that changes from run to run.
    """
    proto = require("coremltools.proto.Model_pb2", "coreml", "exporting to Core ML")
    file = package / "Data" / "com.apple.CoreML" / "model.mlmodel"
    spec = proto.Model()
    spec.ParseFromString(file.read_bytes())
    spec.description.metadata.userDefined.pop("com.github.apple.coremltools.conversion_date", None)
    file.write_bytes(spec.SerializeToString(deterministic=True))

    listing = package / "Manifest.json"
    manifest = json.loads(listing.read_text())
    names = {
        key: str(uuid.uuid5(uuid.NAMESPACE_URL, item["path"])).upper()
        for key, item in manifest["itemInfoEntries"].items()
    }
    manifest["itemInfoEntries"] = {names[key]: item for key, item in manifest["itemInfoEntries"].items()}
    manifest["rootModelIdentifier"] = names[manifest["rootModelIdentifier"]]
    listing.write_text(json.dumps(manifest, indent=4, sort_keys=True) + "\n")


def operators(path: Path) -> dict[str, int]:
    """The program's operations and how often each stands in it (constants left out)."""
    return read_structure(path).operators

"""coremltools, imported in silence, and saved packages made canonical: equal inputs give equal bytes."""

from __future__ import annotations

import json
import logging
import os
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from ...runtime_ref.errors import require
from ...runtime_ref.quiet import silence

_PURPOSE = "exporting to Core ML"
_DATE = "com.github.apple.coremltools.conversion_date"


def coremltools() -> ModuleType:
    """Import coremltools without its version notices."""
    os.environ.setdefault("TQDM_DISABLE", "1")
    logging.getLogger("coremltools").setLevel(logging.ERROR)
    with quietly():
        return require("coremltools", "coreml", _PURPOSE)


@contextmanager
def quietly() -> Iterator[None]:
    """Neither warnings nor output of libraries."""
    with warnings.catch_warnings(), silence():
        warnings.simplefilter("ignore")
        yield


def canonicalise(package: Path, describe: Callable[[Any], None] = lambda spec: None) -> None:
    """Take date, random identifiers and map order out of a package.

    coremltools writes the conversion date into the model, random UUIDs into Manifest.json, and protobuf maps in an
    order that changes from run to run.

    Args:
        package: an .mlpackage folder that coremltools saved.
        describe: adds metadata to the model's protobuf.
    """
    coremltools()  # in silence: a brought network was converted in another process, which imported it there
    proto = require("coremltools.proto.Model_pb2", "coreml", _PURPOSE)
    file = package / "Data" / "com.apple.CoreML" / "model.mlmodel"
    spec = proto.Model()
    spec.ParseFromString(file.read_bytes())
    spec.description.metadata.userDefined.pop(_DATE, None)
    describe(spec)
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

"""The kinds of files that are fuzzed: how a case is made from sound files, and what reads it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dofkit.runtime_ref.bundle import MANIFEST
from dofkit.runtime_ref.bundle.manifest import canonical, digest_of

from .mutations import (
    PICTURES,
    Mutation,
    Random,
    changed_json,
    damaged,
    json_mutation,
    message_mutation,
    one_of,
    safetensors_mutation,
    text_mutation,
)
from .seeds import Tree

_MODEL = "Data/com.apple.CoreML/model.mlmodel"


def _model_message(data: bytes, rng: Random) -> bytes:
    """A field of a Core ML model changed."""
    from dofkit.runtime_ref.mil.proto import model_proto

    return _changed_message(model_proto().Model(), data, rng)


def _onnx_message(data: bytes, rng: Random) -> bytes:
    """A field of an ONNX model changed."""
    from onnx import ModelProto

    return _changed_message(ModelProto(), data, rng)


def _changed_message(spec: Any, data: bytes, rng: Random) -> bytes:
    try:
        spec.ParseFromString(data)
    except Exception:  # damaged before; protobuf's error differs between its implementations
        return data
    message_mutation(spec, rng)
    return spec.SerializeToString(deterministic=True)


def _blob_fields(data: bytes, rng: Random) -> bytes:
    """A number in the metadata of a weight file."""
    places = [at for at in range(0, len(data) - 63, 64) if data[at : at + 4] == struct.pack("<I", 0xDEADBEEF)]
    at = int(rng.choice([0, *places])) + int(rng.choice([0, 4, 8, 16, 24]))
    return data[:at] + struct.pack("<Q", int(rng.choice([0, 1, 64, 65, 2**31, 2**63]))) + data[at + 8 :]


_BY_SUFFIX: Mapping[str, Sequence[Mutation]] = {
    ".json": (json_mutation,),
    ".safetensors": (safetensors_mutation,),
    ".mlmodel": (_model_message,),
    ".onnx": (_onnx_message,),
    ".bin": (_blob_fields,),
}
_BY_KIND: Mapping[str, Sequence[Mutation]] = {
    **PICTURES,
    "disparity": PICTURES["png"],
    "recipe": (json_mutation,),
    "tolerances": (text_mutation,),
}


def make_case(kind: str, sound: Sequence[Tree], rng: Random) -> Tree:
    """A damaged file or folder of a kind; the same generator gives the same one."""
    tree = dict(one_of(sound, rng))
    other = one_of(sound, rng)
    if kind == "bundle":
        return _damaged_bundle(tree, rng)
    # Most of a package's meaning is in its model; its listing and its weights get their share.
    name = _MODEL if _MODEL in tree and rng.random() < 0.6 else one_of(sorted(tree), rng)
    structural = _BY_SUFFIX.get(Path(name).suffix, _BY_KIND.get(kind, ()))
    tree[name] = damaged(tree[name], rng, other.get(name, b"\0" * 64), structural)
    if len(tree) > 1 and rng.random() < 0.05:
        del tree[one_of(sorted(tree), rng)]
    return tree


def _damaged_bundle(tree: Tree, rng: Random) -> Tree:
    """A bundle with another file in it, or another manifest; three of four are sealed again, as an attacker would."""
    sealed = rng.random() < 0.75
    if rng.random() < 0.5:
        name = one_of(sorted(set(tree) - {MANIFEST}), rng)
        tree[name] = damaged(tree[name], rng, b"\0" * 64, _BY_SUFFIX.get(Path(name).suffix, ()))
        return _with_entries(tree) if sealed else tree
    if not sealed:
        tree[MANIFEST] = damaged(tree[MANIFEST], rng, b"{}", (json_mutation,))
        return tree
    document = json.loads(tree[MANIFEST])
    for _ in range(rng.choice([1, 1, 2])):
        document = changed_json(document, rng)
    return _sealed(tree, document)


def _with_entries(tree: Tree) -> Tree:
    document = json.loads(tree[MANIFEST])
    document["files"] = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in tree.items()
        if name != MANIFEST
    }
    return _sealed(tree, document)


def _sealed(tree: Tree, document: object) -> Tree:
    if isinstance(document, dict):
        document["digest"] = digest_of(document)
        return {**tree, MANIFEST: canonical(document)}
    return {**tree, MANIFEST: json.dumps(document).encode()}


# --- what reads them --------------------------------------------------------------------------------------------------


def _read_photo(path: Path) -> None:
    from dofkit.runtime_ref.errors import DofkitError
    from dofkit.runtime_ref.imageio import embedded_disparity, read_photo

    with contextlib.suppress(DofkitError):  # a colour photo is no map; any other error is
        _read_disparity(path)
    read_photo(path)
    embedded_disparity(path)


def _read_disparity(path: Path) -> None:
    from dofkit.runtime_ref.imageio import read_disparity

    read_disparity(path)


def _read_array(path: Path) -> None:
    from dofkit.runtime_ref.mil import Element, Feature
    from dofkit.runtime_ref.mil.files import read_input

    read_input(Feature("x", (1, 3, 8, 8), Element.FLOAT32), str(path))


def _read_package(path: Path) -> None:
    from dofkit.commands._mil_facts import show_facts
    from dofkit.runtime_ref.mil import MLProgram, Package
    from dofkit.runtime_ref.mil.files import gather_inputs

    package = Package(path)
    json.dumps(show_facts(package, package.function(), with_weights=True, with_operations=True))
    program = MLProgram.open(path)
    program.run(gather_inputs(program.inputs, {}, seed=0))


def _read_bundle(path: Path) -> None:
    from dofkit.runtime_ref.backends import open_session
    from dofkit.runtime_ref.bundle import Bundle
    from dofkit.runtime_ref.bundle.golden import read_golden

    bundle = Bundle.open(path)
    cases = [read_golden(bundle.path(case.path)) for case in bundle.manifest.golden]
    for model in bundle.models():
        session = open_session(bundle, model, threads=1)
        for case in cases:
            session.run(case.inputs(model.stage))


def _read_weights(path: Path) -> None:
    from dofkit.runtime_ref.pipeline.stage import Stage
    from dofkit.train.weights import load_weights

    load_weights(Stage.LENS_BLUR, path)


def _read_recipe(path: Path) -> None:
    from dofkit.export.recipe import read_recipe

    read_recipe(path)


def _read_tolerances(path: Path) -> None:
    from dofkit.runtime_ref.parity.tolerance_file import read_tolerances

    read_tolerances(path)


Reader = Callable[[Path], None]
# Kind -> the reader, and the suffix of what it reads. Readers give a result or raise DofkitError, and nothing else.
KINDS: Mapping[str, tuple[Reader, str]] = {
    "jpeg": (_read_photo, ".jpg"),
    "png": (_read_photo, ".png"),
    "heic": (_read_photo, ".heic"),
    "webp": (_read_photo, ".webp"),
    "tiff": (_read_photo, ".tif"),
    "avif": (_read_photo, ".avif"),
    "bmp": (_read_photo, ".bmp"),
    "disparity": (_read_disparity, ".png"),
    "npy": (_read_array, ".npy"),
    "mlpackage": (_read_package, ".mlpackage"),
    "bundle": (_read_bundle, ".dofbundle"),
    "weights": (_read_weights, ""),
    "recipe": (_read_recipe, ".json"),
    "tolerances": (_read_tolerances, ".toml"),
}


def kind_of(number: int) -> str:
    """The kind of a case: all in turn."""
    return list(KINDS)[number % len(KINDS)]


def case_of(seed: int, number: int, sound: Mapping[str, Sequence[Tree]]) -> Tree:
    """Case `number` of a seed, the same on every machine that makes the same sound files."""
    kind = kind_of(number)
    return make_case(kind, sound[kind], np.random.default_rng([seed, number]))

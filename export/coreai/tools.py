"""Core AI's packages, imported in silence, and programs written so that equal inputs give equal bytes.

The converter names private graphs at random and weights by a hash that each process seeds anew, notes where each
operation came from (paths of this machine), and stamps the date; none of it is left in what is written here.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from ...runtime_ref.coreai.asset import METADATA
from ...runtime_ref.coreai.bindings import load_module
from ...runtime_ref.coreai.program import INVOKE, callee_of, graphs
from ...runtime_ref.errors import require
from ...runtime_ref.quiet import silence

PURPOSE = "exporting to Core AI"
EXTRA = "coreai"
_WEIGHTS = re.compile(r"dense_resource<(\w+)>")
_BLOB = re.compile(r'(\w+): "(0x[0-9A-Fa-f]*)"')
CREATED = "19800101T000000Z"  # a date must stand there; that of zip archives without one


def converter() -> ModuleType:
    """The package coreai_torch."""
    with quietly():
        return require("coreai_torch", EXTRA, PURPOSE)


def ir() -> ModuleType:
    """MLIR's own classes: types, attributes, insertion points."""
    with quietly():
        require("coreai.authoring", EXTRA, PURPOSE)  # first: the dialect imports it in a circle
        return require("coreai._compiler.ir", EXTRA, PURPOSE)


def dialect() -> ModuleType:
    """Core AI's operations."""
    ir()
    return require("coreai._compiler.dialects.coreai", EXTRA, PURPOSE)


def elements_attribute(declared: Any, data: Any) -> Any:
    """The value of a constant: its type, and its bytes as a read-only array."""
    module = require("coreai._compiler.dialects.coreai.constant", EXTRA, PURPOSE)
    return module.create_elements_attr(ir().Location.current, declared, data)


def image_type(height: int, width: int) -> Any:
    """The type of a camera buffer of 32BGRA pixels."""
    bindings = require("coreai._compiler._mlir_libs._coreaiIR._bindings.mlir.dialects.coreai", EXTRA, PURPOSE)
    pixels = bindings.FourCCAttr.get_enum(enum_value=bindings.FourCC.BGRA32)
    return bindings.ImageType.get(fourcc_attr=pixels, height=height, width=width, image_constraints=None)


@contextmanager
def quietly() -> Iterator[None]:
    """Neither warnings nor output of libraries."""
    with warnings.catch_warnings(), silence():
        warnings.simplefilter("ignore")
        yield


def new_context() -> Any:
    """A context that several programs are opened in: a context manager."""
    with quietly():
        return require("coreai.authoring", EXTRA, PURPOSE).Context()._mlir_context


def open_module(asset: Path) -> Any:
    """A saved program as an MLIR module that may be changed."""
    return load_module(asset)


def save(module: Any, goal: Path) -> None:
    """Write a program as an asset: private graphs named in order, weights by their content, equal ones once, nothing of
    the build machine, a fixed date."""
    _name_private_graphs(module)
    module = _with_weights_by_content(module)
    with quietly():
        authoring = require("coreai.authoring.asset", EXTRA, PURPOSE)
        debugging = require("coreai_torch.debugging.debug_info", EXTRA, PURPOSE)
        program = authoring.AIProgram._from_mlir_module(module)
        debugging.strip_debug_info(program)
        program.save_asset(goal)
    write_metadata(goal, {})


def write_metadata(asset: Path, said: dict[str, Any]) -> None:
    """Write what an asset says of itself, sorted, with a fixed date.

    Args:
        asset: an `.aimodel` folder.
        said: fields of `metadata.json`; others stay.
    """
    file = asset / METADATA
    metadata = json.loads(file.read_text()) | {"creationDate": CREATED} | said
    file.write_text(json.dumps(metadata, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def rename_graphs(module: Any, names: Mapping[str, str]) -> None:
    """Give graphs other symbols, where they stand and where they are invoked.

    Args:
        names: symbol -> its new one; others stay.
    """
    mlir = ir()
    for symbol, graph in graphs(module).items():
        if symbol in names:
            graph.attributes["sym_name"] = mlir.StringAttr.get(names[symbol], context=graph.context)

    def rename(operation: Any) -> Any:
        if operation.name == INVOKE:
            callee, symbol = str(operation.attributes["callee"]), callee_of(operation)
            renamed = callee.replace(f"@{symbol}>", f"@{names.get(symbol, symbol)}>")
            operation.attributes["callee"] = mlir.Attribute.parse(renamed, context=operation.context)
        return mlir.WalkResult.ADVANCE

    module.operation.walk(rename)


def _name_private_graphs(module: Any) -> None:
    """The converter ends their names with random letters; here they are counted."""
    private = [symbol for symbol, graph in graphs(module).items() if "priv" in graph.attributes]
    rename_graphs(module, {s: f"{s.rpartition('_')[0]}_{number}" for number, s in enumerate(private)})


def _with_weights_by_content(module: Any) -> Any:
    """The module read from its own text, in which names of weights are replaced: the bindings do not let one set them.
    The text holds weights as the hexadecimal digits of their bytes, so that no bit changes."""
    body, mark, resources = module.operation.get_asm().partition("{-#")
    blobs = dict(_BLOB.findall(resources))
    names = {name: f"weights_{hashlib.sha256(data.encode()).hexdigest()[:16]}" for name, data in blobs.items()}
    body = _WEIGHTS.sub(lambda found: f"dense_resource<{names[found[1]]}>", body)
    named = sorted({names[name]: data for name, data in blobs.items()}.items())
    listed = ", ".join(f'{name}: "{data}"' for name, data in named)
    text = f"{body}{{-# dialect_resources: {{ builtin: {{ {listed} }} }} #-}}" if mark else body
    return ir().Module.parse(text, context=module.context)

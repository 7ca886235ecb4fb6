"""Programs that torch.export saved (`.pt2`), read so that no code of theirs runs.

torch.export.load trusts its file: it unpickles objects, reads compiled libraries, evaluates expressions of symbolic
shapes as Python, and looks up whatever function a graph names. A file with any of these is refused before it is loaded.
"""

from __future__ import annotations

import json
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...runtime_ref.errors import DofkitError, first_line
from ...runtime_ref.pipeline.aspects import Size
from ...runtime_ref.processes import variable_set
from ...runtime_ref.quiet import silence

SUFFIX = ".pt2"
# What a graph may call: PyTorch's own operators, and taking a part of a tuple.
_HARMLESS = re.compile(r"torch\.ops\.(aten|prims)\.\w+\.\w+|_operator\.getitem")
_GRAPH = re.compile(r"[^/]+/models/[^/]+\.json")
# Tensors and their listing; everything else a reader would have to trust.
_PARTS = (
    _GRAPH,
    re.compile(r"[^/]+/data/weights/(weight_\d+|[^/]+\.json)"),
    re.compile(r"[^/]+/data/constants/(tensor_\d+|[^/]+\.json)"),
    re.compile(r"[^/]+/data/sample_inputs/[^/]+\.pt"),
    re.compile(r"[^/]+/(archive_format|archive_version|byteorder|\.data/\w+|extra/.*)"),
)
_REMEDY = "save it again with torch.export.save of PyTorch 2.9 or newer"


@dataclass(frozen=True, eq=False)
class Program:
    """The network of a file, in the mode in which it was exported.

    Attributes:
        module: it takes tensors in the order of `shapes`.
        shapes: input -> its shape; None of one that is no tensor.
    """

    module: nn.Module
    shapes: Mapping[str, tuple[int, ...] | None]


def open_program(path: Path) -> tuple[nn.Module, Size]:
    """The depth network of a file, and the only (height, width) that it takes.

    Raises:
        DofkitError: see `load_program`; it does not take one image.
    """
    program = load_program(path)
    shapes = list(program.shapes.values())
    if len(shapes) != 1 or shapes[0] is None or len(shapes[0]) != 4 or shapes[0][:2] != (1, 3):
        raise DofkitError(
            f"{path} takes {', '.join(map(str, shapes))}, not one image (1, 3, height, width); export a wrapper that "
            "does"
        )
    return program.module, (int(shapes[0][2]), int(shapes[0][3]))


def load_program(path: Path) -> Program:
    """The network of a file.

    Raises:
        DofkitError: it is no exported program, TorchScript, or unsafe to read.
    """
    _refuse_unsafe(path)
    with _only_tensors(), warnings.catch_warnings(), silence():
        warnings.simplefilter("ignore")
        try:
            program = torch.export.load(path)
        except Exception as error:  # many kinds
            raise DofkitError(f"{path} cannot be read ({first_line(error)}); {_REMEDY}") from error
    module = program.module()
    # An exported program is in the mode in which it was exported, and its train() and eval() only raise.
    for name in ("train", "eval"):
        module.__dict__.pop(name, None)
    return Program(module.requires_grad_(False), _shapes(program))


def _shapes(program: torch.export.ExportedProgram) -> dict[str, tuple[int, ...] | None]:
    values = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    inputs = [str(name) for name in program.graph_signature.user_inputs]
    found = {name: values.get(name) for name in inputs}
    return {
        name: tuple(map(int, value.shape)) if isinstance(value, torch.Tensor) else None for name, value in found.items()
    }


def _refuse_unsafe(path: Path) -> None:
    """Refuse what could run code when it is read.

    Raises:
        DofkitError: naming it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            _refuse_other_archives(path, names)
            _refuse_swelling(path, archive.infolist())
            for name in names:
                if not any(part.fullmatch(name) for part in _PARTS):
                    raise DofkitError(f"{path} holds {name!r}, which a reader would have to trust; {_REMEDY}")
                if name.endswith(".json"):
                    _refuse_unsafe_json(path, name, json.loads(archive.read(name)))
    except (zipfile.BadZipFile, OSError, ValueError, RecursionError, NotImplementedError) as error:
        raise DofkitError(f"{path} is no exported program ({first_line(error)}); {_REMEDY}") from error


def _refuse_other_archives(path: Path, names: list[str]) -> None:
    if any("/code/" in name for name in names):
        raise DofkitError(
            f"{path} is TorchScript, which PyTorch has given up and whose tracing bakes sizes and branches in unseen; "
            "export the network with torch.export and save it as .pt2"
        )
    if not any(_GRAPH.fullmatch(name) for name in names):
        raise DofkitError(f"{path} holds no exported program; {_REMEDY} (a pickle of weights is no network)")


def _refuse_swelling(path: Path, members: list[zipfile.ZipInfo]) -> None:
    """Refuse an archive that becomes larger when it is read, or says one thing to one reader and another to the next:
    PyTorch stores every member once and as it is."""
    swollen = next((each.filename for each in members if each.compress_type != zipfile.ZIP_STORED), None)
    twice = next((name for name, count in Counter(each.filename for each in members).items() if count > 1), None)
    if swollen or twice or sum(each.file_size for each in members) > path.stat().st_size:
        what = (
            f"compresses {swollen!r}" if swollen else f"holds {twice!r} twice" if twice else "has overlapping members"
        )
        raise DofkitError(f"{path} {what}, which no exported program does; {_REMEDY}")


def _refuse_unsafe_json(path: Path, name: str, document: Any) -> None:
    for key, value in _fields(document):
        if key == "use_pickle" and value:
            raise DofkitError(f"{path} holds pickled tensors; {_REMEDY}, with plain tensors only")
        if key == "target" and not (isinstance(value, str) and _HARMLESS.fullmatch(value)):
            raise DofkitError(f"{path} calls {value!r}, which is no operator of PyTorch's own; {_REMEDY} without it")
        if key == "expr_str":
            raise DofkitError(f"{path} has sizes that change ({value}); export it at one size, without dynamic_shapes")


def _fields(document: Any) -> Iterator[tuple[str, Any]]:
    """Every field of a JSON document, however deep."""
    left = [document]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            yield from value.items()
            left += value.values()
        elif isinstance(value, list):
            left += value


def _only_tensors() -> AbstractContextManager[None]:
    """Within it, torch.load reads nothing but tensors, whoever calls it and whatever he asks for."""
    return variable_set("TORCH_FORCE_WEIGHTS_ONLY_LOAD")

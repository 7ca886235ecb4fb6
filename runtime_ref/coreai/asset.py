"""A Core AI asset on disk: a folder with the program, its hash and what it says of itself."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import DofkitError
from ..mil import Feature
from ..mil.arrays import Array
from ..mil.program import BlobReference, Constant, Function, TensorType
from ..mil.registry import OperationTable
from .bindings import load_module
from .bytecode import refuse_cut
from .program import read_features, read_functions
from .registry import COREAI

PROGRAM, HASH, METADATA = "main.mlirb", "main.hash", "metadata.json"


class Asset:
    """An `.aimodel` folder, a package that `MLProgram` evaluates.

    Its hash is compared first, Apple's Linux runtime runs a program with a flipped bit without a word; and whether its
    sections are whole, Apple's reader ends the process otherwise.

    Raises:
        MissingExtraError: coreai-core is not installed.
        DofkitError: the asset is missing or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        program = _read(path, PROGRAM)
        if hashlib.sha256(program).digest() != _read(path, HASH):
            raise DofkitError(f"{path}: {PROGRAM} is not what {HASH} says; copy or export the model again")
        refuse_cut(program, path / PROGRAM)
        try:
            self.metadata: dict[str, Any] = json.loads(_read(path, METADATA))
        except ValueError as error:
            raise DofkitError(f"{path / METADATA} is no JSON ({error}); copy or export the model again") from error

    @property
    def opset_version(self) -> int:
        """Core AI has had one operation set so far, that of iOS and macOS 27."""
        return 27

    @property
    def format(self) -> str:
        """The format's version and what wrote it: "asset 2.0, coreai-core 1.0.0b3"."""
        parts = (f"asset {self.metadata.get('assetVersion', '?')}", self.metadata.get("producer"))
        return ", ".join(str(part) for part in parts if part)

    @property
    def systems(self) -> str:
        """The oldest systems that the asset runs on."""
        return "iOS 27, macOS 27"

    @property
    def runtime(self) -> str:
        """What runs it on a phone, and has no part here."""
        return "Core AI"

    @property
    def operations(self) -> OperationTable:
        """What its operations mean."""
        return COREAI

    @property
    def functions(self) -> dict[str, Function]:
        """The program's entry points by name."""
        return self._functions

    def function(self, name: str | None = None) -> Function:
        """An entry point by name; `main`, or the only one, without.

        Raises:
            DofkitError: there is no such function, or none that is meant without a name.
        """
        there = ", ".join(self.functions)
        if name is None:
            name = "main" if "main" in self.functions else next(iter(self.functions))
            if name != "main" and len(self.functions) > 1:
                raise DofkitError(f"{self.path} has several functions; name one with --function: {there}")
        if name not in self.functions:
            raise DofkitError(f"{self.path} has no function {name!r}; it has: {there}")
        return self.functions[name]

    def features(self, function: str) -> dict[str, tuple[Feature, ...]]:
        """What a function takes ("inputs"), gives ("outputs") and keeps ("states", none yet).

        Raises:
            DofkitError: one is of a kind that is not read.
        """
        return read_features(self._module, function, str(self.path))

    def read(self, constant: Constant) -> Any:
        """A constant's value as it is stored."""
        return constant.value

    def read_blob(self, reference: BlobReference, declared: TensorType) -> Array:
        """Never asked: all constants lie in the program.

        Raises:
            DofkitError: always.
        """
        del declared
        raise DofkitError(f"{self.path}: nothing lies in {reference.file}; export the model again")

    @cached_property
    def _module(self) -> Any:
        return load_module(self.path)

    @cached_property
    def _functions(self) -> dict[str, Function]:
        functions = read_functions(self._module, COREAI, str(self.path))
        if not functions:
            raise DofkitError(f"{self.path} has no entry point; export the model again")
        return functions


def _read(path: Path, name: str) -> bytes:
    try:
        return (path / name).read_bytes()
    except OSError as error:
        raise DofkitError(
            f"{path} is not a Core AI model: its {name} cannot be read ({error.strerror}); check the path"
        ) from error

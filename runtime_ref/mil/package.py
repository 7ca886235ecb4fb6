"""A Core ML package on disk: its listing, model file and weight files, read with suspicion.

A package is data from somewhere: no path in it may leave it, and no number in it is trusted before it is checked.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import DofkitError
from .arrays import Array
from .blob import BlobFile
from .features import Feature, read_features
from .program import BlobReference, Constant, Function, TensorType, read_functions
from .proto import model_proto
from .registry import MIL, OperationTable

_MODEL_PATH = "@model_path/"
# Specification version -> the systems that read it first.
_SYSTEMS = {6: "iOS 15, macOS 12", 7: "iOS 16, macOS 13", 8: "iOS 17, macOS 14", 9: "iOS 18, macOS 15", 10: "iOS 26"}


class Package:
    """An `.mlpackage` folder (or a bare `.mlmodel` file) that holds an ML Program.

    Raises:
        DofkitError: the package is missing, damaged, or holds another kind of model.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.model_file = _root_model(path) if path.is_dir() else path
        self._blobs: dict[str, BlobFile] = {}
        self.spec: Any = model_proto().Model()
        try:
            self.spec.ParseFromString(self.model_file.read_bytes())
        except OSError as error:
            raise DofkitError(f"{self.model_file} cannot be read ({error.strerror}); check the path") from error
        except Exception as error:  # protobuf's DecodeError differs between its implementations
            raise DofkitError(
                f"{self.model_file} is not a readable Core ML model ({error}); copy or export the package again"
            ) from error
        kind = self.spec.WhichOneof("Type")
        if kind != "mlProgram":
            raise DofkitError(
                f"{path} holds {f'a {kind}' if kind else 'nothing'}, not an ML Program; convert it with "
                'convert_to="mlprogram"'
            )

    @property
    def default_function(self) -> str:
        """The function that runs when none is named."""
        return self.spec.description.defaultFunctionName or "main"

    @property
    def opset_version(self) -> int:
        """The specification version: 6 is iOS 15, 7 is iOS 16, 8 is iOS 17, 9 is iOS 18."""
        return self.spec.specificationVersion

    @property
    def format(self) -> str:
        """The format's version, for people: "specification 8"."""
        return f"specification {self.opset_version}"

    @property
    def systems(self) -> str:
        """The oldest systems that the package runs on."""
        return _SYSTEMS.get(self.opset_version, self.format)

    @property
    def runtime(self) -> str:
        """What runs it on a phone, and has no part here."""
        return "Core ML"

    @property
    def operations(self) -> OperationTable:
        """What its operations mean."""
        return MIL

    def features(self, function: str) -> dict[str, tuple[Feature, ...]]:
        """What a function takes ("inputs"), gives ("outputs") and keeps ("states").

        Raises:
            DofkitError: one is of a kind that is not read, a sequence for example.
        """
        whole = self.spec.description
        # A multifunction package describes each of its functions.
        description = next((found for found in whole.functions if found.name == function), whole)
        parts = {"inputs": description.input, "outputs": description.output, "states": description.state}
        return {kind: read_features(part, str(self.path)) for kind, part in parts.items()}

    @property
    def functions(self) -> dict[str, Function]:
        """The program's functions by name."""
        return self._functions

    @cached_property
    def _functions(self) -> dict[str, Function]:
        try:
            return read_functions(self.spec.mlProgram)
        except DofkitError as error:
            raise DofkitError(f"{self.path}: {error}") from error

    def function(self, name: str | None = None) -> Function:
        """A function by name, the default one without.

        Raises:
            DofkitError: there is no such function.
        """
        name = name or self.default_function
        if name not in self.functions:
            there = ", ".join(self.functions)
            raise DofkitError(f"{self.path} has no function {name!r}; it has: {there}")
        return self.functions[name]

    def read_blob(self, reference: BlobReference, declared: TensorType) -> Array:
        """The values of a constant in a weight file, `[count]` in the type's storage.

        Raises:
            DofkitError: the file leaves the package, is missing or damaged, or holds something else there.
        """
        if reference.file not in self._blobs:
            self._blobs[reference.file] = BlobFile(self._weight_file(reference.file))
        return self._blobs[reference.file].read(reference.offset, declared.element, declared.count)

    def read(self, constant: Constant) -> Any:
        """A constant's value as it is stored: an array, or a list or dictionary.

        Raises:
            DofkitError: as for `read_blob`.
        """
        if not isinstance(constant.value, BlobReference):
            return constant.value
        if not isinstance(constant.type, TensorType):
            raise DofkitError(f"{self.path}: a {constant.type} lies in the weight file; export the package again")
        return self.read_blob(constant.value, constant.type).reshape(constant.type.known_shape)

    def _weight_file(self, name: str) -> Path:
        if not name.startswith(_MODEL_PATH):
            raise DofkitError(f"{self.path}: weight file {name!r} is not in the package; export the package again")
        return _inside(self.path, self.model_file.parent, name.removeprefix(_MODEL_PATH))


def _root_model(package: Path) -> Path:
    """The model file that a package's listing names."""
    listing = package / "Manifest.json"
    try:
        items = json.loads(listing.read_bytes())
        path = items["itemInfoEntries"][items["rootModelIdentifier"]]["path"]
        if not isinstance(path, str):
            raise TypeError("its path is no text")
    except OSError as error:
        raise DofkitError(
            f"{package} is not a Core ML package: its Manifest.json cannot be read ({error.strerror}); check the path"
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DofkitError(f"{listing} does not name a model ({error}); copy or export the package again") from error
    return _inside(package, package / "Data", path)


def _inside(package: Path, folder: Path, name: str) -> Path:
    """`folder / name`, which must be a file inside the package, links followed."""
    path = folder / name
    if PurePosixPath(name).is_absolute() or "\0" in name or not path.resolve().is_relative_to(package.resolve()):
        raise DofkitError(f"{package}: the path {name!r} leaves the package; do not use this package")
    if not path.is_file():
        raise DofkitError(f"{package}: {name} is missing; copy or export the package again")
    return path

"""Core ML packages: what can be said of them where Core ML itself does not exist.

Apple ships the Core ML runtime with macOS and iOS only. Elsewhere a package cannot run, but its structure can be read:
names, shapes and types of inputs and outputs, and the operations of its program.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from ..errors import DofkitError, require
from ..quiet import silence

NO_RUNTIME = (
    "Core ML's runtime exists on macOS only and is not called by this version; the package's structure was checked, "
    "its numbers were not"
)


def no_runtime() -> NoReturn:
    """Refuse to run a package, in one line."""
    raise DofkitError(f"{NO_RUNTIME}; choose the target onnx or tflite to run on this machine")


@dataclass(frozen=True)
class PackageStructure:
    """What a Core ML package declares.

    Attributes:
        inputs, outputs: name -> shape.
        dtypes: name -> "float32" or "float16", of inputs and outputs.
        operators: operation -> how often it stands in the program (constants left out).
        specification_version: 8 is iOS 17.
    """

    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]
    dtypes: dict[str, str]
    operators: dict[str, int]
    specification_version: int


def read_structure(package: Path) -> PackageStructure:
    """Read a package's declarations from its protobuf; nothing of it is executed.

    Raises:
        MissingExtraError: when coremltools, which defines the protobuf, is not installed.
        DofkitError: when the package holds no readable ML Program.
    """
    with silence():
        proto = require("coremltools.proto.Model_pb2", "coreml", "reading a Core ML package")
    spec = proto.Model()
    file = package / "Data" / "com.apple.CoreML" / "model.mlmodel"
    try:
        spec.ParseFromString(file.read_bytes())
    except Exception as error:  # protobuf's DecodeError differs between its implementations
        raise DofkitError(f"{file} is not a readable Core ML model ({error}); export the bundle again") from error
    if spec.WhichOneof("Type") != "mlProgram":
        raise DofkitError(f"{package} holds no ML Program; export the bundle again")
    dtype_names = {
        proto.FeatureTypes__pb2.ArrayFeatureType.FLOAT32: "float32",
        proto.FeatureTypes__pb2.ArrayFeatureType.FLOAT16: "float16",
    }
    features = [*spec.description.input, *spec.description.output]
    operators = Counter(op.type for op in _operations(spec.mlProgram) if op.type != "const")
    return PackageStructure(
        inputs={f.name: tuple(f.type.multiArrayType.shape) for f in spec.description.input},
        outputs={f.name: tuple(f.type.multiArrayType.shape) for f in spec.description.output},
        dtypes={f.name: dtype_names.get(f.type.multiArrayType.dataType, "other") for f in features},
        operators=dict(sorted(operators.items())),
        specification_version=spec.specificationVersion,
    )


def _operations(program: Any) -> Iterator[Any]:
    for function in program.functions.values():
        for block in function.block_specializations.values():
            yield from block.operations

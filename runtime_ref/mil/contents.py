"""What a package holds: its weights, how they are stored, and where it runs. Nothing is evaluated but constants.

A package with an operation that the evaluator does not know can be looked at like any other.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import DofkitError
from .elements import Kind
from .evaluator import FunctionEvaluator, Numerics
from .model import ProgramPackage
from .program import BlobReference, Block, Constant, Function, Operation, TensorType, ValueType
from .registry import MIL, OperationTable

# Parameters of a decompression that are settings, not data.
_SETTINGS = {"name", "axis", "shape", "vector_axis", "output_dtype"}


@dataclass(frozen=True)
class Piece:
    """A stored array: where it lies (or the program's own bytes), its type and its size in bytes."""

    where: BlobReference | int
    type: TensorType
    bytes: int


@dataclass(frozen=True)
class Weight:
    """A constant that operations compute with: any in a weight file, and floating ones of rank 1 and more.

    Attributes:
        name: its name in the program.
        type: what it is once decompressed.
        stored: how it is stored: "fp16", "int8 linear", "4-bit palette", "sparse fp16".
        compressed: whether it has to be decompressed.
        pieces: what is stored of it.
        used_by: the operations that need it.
    """

    name: str
    type: ValueType
    stored: str
    compressed: bool
    pieces: tuple[Piece, ...]
    used_by: tuple[Operation, ...]

    @property
    def parameters(self) -> int:
        """Number of values."""
        shape = self.type.shape if isinstance(self.type, TensorType) else None
        return math.prod(size or 0 for size in shape) if shape is not None else 0

    @property
    def bytes(self) -> int:
        """Stored bytes."""
        return sum(piece.bytes for piece in self.pieces)


@dataclass(frozen=True)
class Storage:
    """All weights that are stored in one way; what several share is counted once."""

    stored: str
    compressed: bool
    weights: int
    parameters: int
    bytes: int


def size_on_disk(path: Path) -> int:
    """Bytes of all files of a package."""
    return path.stat().st_size if path.is_file() else sum(f.stat().st_size for f in path.rglob("*") if f.is_file())


def operation_counts(function: Function) -> dict[str, int]:
    """Operations by type, most frequent first, nested blocks included, constants and their decompression left out."""
    kinds = Counter(op.type for op in function.block.walk() if not op.is_constant)
    return dict(sorted(kinds.items(), key=lambda item: (-item[1], item[0])))


def unknown_operations(function: Function, operations: OperationTable = MIL) -> set[str]:
    """Types of operations that the evaluator cannot compute."""
    kinds = {op.type for op in function.block.walk() if op.type != "const"}
    try:
        number = operations.number(function.opset)
    except DofkitError:
        return kinds
    return {kind for kind in kinds if operations.find(kind, number) is None}


def nested(block: Block, depth: int = 0) -> Iterator[tuple[int, Operation]]:
    """All computing operations in order, each with the number of blocks around it."""
    for operation in block.operations:
        if not operation.is_constant:
            yield depth, operation
        for inner in operation.blocks:
            yield from nested(inner, depth + 1)


def find_weights(function: Function) -> list[Weight]:
    """A function's weights, in the order of the program."""
    constants = {name: op for op in function.block.walk() if op.is_constant for name, _ in op.outputs}
    uses: dict[str, list[Operation]] = {}
    for operation in function.block.walk():
        if not operation.is_constant:
            for bindings in operation.inputs.values():
                for name in {b for b in bindings if isinstance(b, str) and b in constants}:
                    uses.setdefault(name, []).append(operation)
    found = []
    for name, operation in constants.items():
        declared = dict(operation.outputs)[name]
        pieces = tuple(_pieces(operation, constants))
        if name in uses and _is_weight(declared, pieces):
            compressed = operation.type != "const"
            stored = _stored(operation, constants)
            found.append(Weight(name, declared, stored, compressed, pieces, tuple(uses[name])))
    return found


def storage(weights: Sequence[Weight]) -> list[Storage]:
    """Weights summed up by how they are stored, most bytes first."""
    rows = []
    for stored, compressed in dict.fromkeys((weight.stored, weight.compressed) for weight in weights):
        group = [weight for weight in weights if (weight.stored, weight.compressed) == (stored, compressed)]
        pieces = {piece.where: piece.bytes for weight in group for piece in weight.pieces}
        parameters = {tuple(piece.where for piece in weight.pieces): weight.parameters for weight in group}
        rows.append(Storage(stored, compressed, len(group), sum(parameters.values()), sum(pieces.values())))
    return sorted(rows, key=lambda row: -row.bytes)


def value_ranges(
    package: ProgramPackage, function: Function, weights: Sequence[Weight]
) -> dict[str, tuple[float, float]]:
    """Least and greatest value of every weight; those whose decompression is not known are left out."""
    unknown = unknown_operations(function, package.operations)
    operations = tuple(op for op in function.block.walk() if op.is_constant and op.type not in unknown)
    known = {name for op in operations for name, _ in op.outputs}
    constants = Function(function.name, (), function.opset, Block((), (), operations))
    evaluator = FunctionEvaluator(constants, package.read_blob, Numerics.TYPED, str(package.path), package.operations)
    ranges = {}
    for weight in weights:
        if weight.name in known:
            values = np.asarray(evaluator.constant(weight.name))
            if values.size and values.dtype.kind in "fiub":
                ranges[weight.name] = float(values.min()), float(values.max())
    return ranges


def _is_weight(declared: ValueType, pieces: tuple[Piece, ...]) -> bool:
    if not isinstance(declared, TensorType):
        return False
    floating = declared.element.kind is Kind.FLOAT and declared.shape != ()
    return floating or any(isinstance(piece.where, BlobReference) for piece in pieces)


def _stored_parameters(operation: Operation) -> Iterator[tuple[str, str | Constant]]:
    for name, bindings in operation.inputs.items():
        yield from ((name, binding) for binding in bindings)
    yield from operation.attributes.items()


def _pieces(operation: Operation, constants: dict[str, Operation]) -> Iterator[Piece]:
    for name, binding in _stored_parameters(operation):
        if name in _SETTINGS:
            continue
        if isinstance(binding, str):
            yield from _pieces(constants[binding], constants) if binding in constants else ()
        elif isinstance(binding.type, TensorType) and binding.type.element.kind is not Kind.STRING:
            reference = binding.value if isinstance(binding.value, BlobReference) else id(binding)
            count = math.prod(size or 0 for size in binding.type.shape or ())
            yield Piece(reference, binding.type, -(-count * binding.type.element.bits // 8))


def _stored(operation: Operation, constants: dict[str, Operation]) -> str:
    """How a constant is stored, in words."""
    parts = dict(_stored_parameters(operation))

    def words(name: str) -> str:
        binding = parts.get(name)
        if isinstance(binding, str):
            return _stored(constants[binding], constants) if binding in constants else "?"
        return str(binding.type.element) if binding and isinstance(binding.type, TensorType) else "?"

    match operation.type.removeprefix("constexpr_"):
        case "const":
            return words("val")
        case "affine_dequantize":
            return f"{words('quantized_data')} linear"
        case "blockwise_shift_scale":
            return f"{words('data')} linear"
        case "sparse_blockwise_shift_scale":
            return f"{words('nonzero_data')} linear"
        case "lut_to_dense" | "lut_to_sparse":
            return f"{_palette_bits(parts, constants)}-bit palette"
        case "sparse_to_dense":
            return f"sparse {words('nonzero_data')}"
        case "cast":
            return f"{words('source_val')}, cast"
        case _:
            return operation.type


def _palette_bits(parts: dict[str, str | Constant], constants: dict[str, Operation]) -> int:
    """Bits of a palette's index; before iOS 18, where indices are packed into bytes, the table's size tells them."""
    indices = parts.get("indices", parts.get("indices_nonzero_data"))
    table = parts.get("lut")
    declared = [_type_of(part, constants) for part in (indices, table)]
    if declared[1] is not None and declared[1].shape is not None and len(declared[1].shape) == 1:
        return int(math.log2(declared[1].count))
    return declared[0].element.bits if declared[0] is not None else 0


def _type_of(binding: str | Constant | None, constants: dict[str, Operation]) -> TensorType | None:
    if isinstance(binding, str):
        found = dict(constants[binding].outputs).get(binding) if binding in constants else None
    else:
        found = binding.type if binding is not None else None
    return found if isinstance(found, TensorType) else None

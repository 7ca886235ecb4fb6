"""A Core AI program, an MLIR module, as the data that the evaluator computes: functions, blocks, operations, constants.

Values have no names there; one is named after the operation that computes it and how many of its kind came before
("conv2d_3"), outputs as the function names them. Private graphs become nested blocks where they are invoked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import DofkitError
from ..mil import ColorSpace, Element, Feature
from ..mil.elements import unpack
from ..mil.features import FeatureKind
from ..mil.program import Block, Constant, Function, Operation, OtherType, TensorType, ValueType
from ..mil.registry import OperationTable

OPSET = "CoreAI27"
GRAPH, CONSTANT, OUTPUT, INVOKE = "coreai.graph", "coreai.constant", "coreai.output", "coreai.invoke"
# Decompressions of constants; the evaluator computes them once, as those of ML Programs, which have the prefix.
DECOMPRESSIONS = {"blockwise_shift_scale", "lut_to_dense", "sparse_with_bitmask_to_dense"}
IDENTITY = "identity"
BUFFER = "k32BGRA"

_ELEMENTS = {
    "i1": Element.BOOL,
    "f16": Element.FLOAT16,
    "bf16": Element.BFLOAT16,
    "f32": Element.FLOAT32,
    "f64": Element.FLOAT64,
    "f8E4M3FN": Element.FLOAT8E4M3FN,
    "f8E5M2": Element.FLOAT8E5M2,
    **{f"si{bits}": Element[f"INT{bits}"] for bits in (4, 8, 16, 32, 64)},
    **{f"ui{bits}": Element[f"UINT{bits}"] for bits in (1, 2, 3, 4, 6, 8, 16, 32, 64)},
}


def graphs(module: Any) -> dict[str, Any]:
    """All graphs of a module by their symbols, private ones included."""
    found = {}
    for operation in module.body.operations:
        operation = operation.operation
        if operation.name == GRAPH:
            found[operation.attributes["sym_name"].value] = operation
    return found


def entry_points(module: Any) -> dict[str, Any]:
    """The graphs that an app can call, by name."""
    return {name: graph for name, graph in graphs(module).items() if "priv" not in graph.attributes}


def block_of(graph: Any) -> Any:
    """The only block of a graph."""
    return graph.regions[0].blocks[0]


def kind(operation: Any) -> str:
    """An operation's name without its dialect: "conv2d", "broadcasting_add"."""
    return operation.name.rpartition(".")[2]


def callee_of(operation: Any) -> str:
    """The symbol of the graph that an operation invokes."""
    match = re.search(r"@([\w.$-]+)", str(operation.attributes["callee"]))
    return match[1] if match else ""


def read_functions(module: Any, operations: OperationTable, where: str) -> dict[str, Function]:
    """The entry points of a module.

    Args:
        operations: tells the names of operands.
        where: the asset, for errors.

    Raises:
        DofkitError: a part is of a kind that is not read.
    """
    reader = _Reader(graphs(module), operations, where)
    return {name: reader.function(name, graph) for name, graph in sorted(entry_points(module).items())}


def read_features(module: Any, function: str, where: str) -> dict[str, tuple[Feature, ...]]:
    """Inputs and outputs of an entry point; see `Asset.features`."""
    graph = entry_points(module)[function]
    inputs = tuple(
        _feature(name, argument.type, where)
        for name, argument in zip(names_of(graph, "arg_attrs"), block_of(graph).arguments, strict=True)
    )
    results = graph.attributes["function_type"].value.results
    outputs = tuple(_feature(n, t, where) for n, t in zip(names_of(graph, "res_attrs"), results, strict=True))
    return {"inputs": inputs, "outputs": outputs, "states": ()}


def names_of(graph: Any, attribute: str) -> list[str]:
    """The names that a graph gives its arguments ("arg_attrs") or results ("res_attrs"); numbered where it has none."""
    if attribute not in graph.attributes:
        return []
    entries = graph.attributes[attribute]
    return [
        entry["coreai.name"].value if "coreai.name" in entry else f"value_{number}"
        for number, entry in enumerate(entries)
    ]


def value_type(declared: Any) -> ValueType:
    """The type of an MLIR value."""
    text = str(declared)
    if not text.startswith("tensor<"):
        return OtherType(text)
    element = _ELEMENTS.get(str(declared.element_type))
    if element is None:
        return OtherType(text)
    sizes = declared.shape if declared.has_rank else None
    if sizes is None:
        return TensorType(element, None)
    return TensorType(element, tuple(None if declared.is_dynamic_dim(i) else n for i, n in enumerate(sizes)))


def read_constant(operation: Any, where: str) -> Constant:
    """A `coreai.constant`: its type and values, in storage type.

    Raises:
        DofkitError: its type has no fixed size, or is not known.
    """
    from .bindings import constant_bytes

    declared = value_type(operation.results[0].type)
    if not isinstance(declared, TensorType):
        raise DofkitError(f"{where}: a constant of type {declared} is not read; update dofkit")
    element, count, shape = declared.element, declared.count, declared.known_shape
    if element is Element.BOOL:
        return Constant(declared, _booleans(operation.attributes["value"], shape))
    data = constant_bytes(operation, -(-count * element.bits // 8))
    values = unpack(data.tobytes(), element, count) if element.bits < 8 else _as_stored(data, element)
    return Constant(declared, values.reshape(shape))


def _booleans(value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Booleans; where all are one, the bindings' own array reads beyond what is stored."""
    if value.is_splat:
        return np.full(shape, str(value.get_splat_value()) == "true")
    return np.array(value).astype(np.bool_).reshape(shape)


def _as_stored(data: np.ndarray, element: Element) -> np.ndarray:
    try:
        return data.view(element.storage)
    except TypeError:
        raise DofkitError(f"constants of type {element} are not read; update dofkit") from None


def value_names(
    graph: Any, arguments: Sequence[str] | None = None, results: Sequence[str] | None = None, prefix: str = ""
) -> dict[Any, str]:
    """The name of every value of a graph, without those of graphs that it invokes.

    Args:
        arguments, results: their names; the graph's own without.
        prefix: of the names of all other values.
    """
    block = block_of(graph)
    names: dict[Any, str] = dict(zip(block.arguments, arguments or names_of(graph, "arg_attrs"), strict=True))
    *body, output = (operation.operation for operation in block.operations)
    for value, name in zip(output.operands, results or names_of(graph, "res_attrs"), strict=True):
        names.setdefault(value, name)
    counts: Counter[str] = Counter()
    for operation in body:
        name = "const" if operation.name == CONSTANT else kind(operation)
        for result in operation.results:
            names.setdefault(result, f"{prefix}{name}_{counts[name]}")
            counts[name] += 1  # counted where the name is not used, too: numbers tell the place
    return names


class _Reader:
    def __init__(self, all_graphs: Mapping[str, Any], operations: OperationTable, where: str) -> None:
        self._graphs, self._operations, self._where = all_graphs, operations, where

    def function(self, name: str, graph: Any) -> Function:
        """An entry point; its arguments and results have the names that an app uses."""
        names = names_of(graph, "arg_attrs")
        block = self._block(graph, names, names_of(graph, "res_attrs"), "", ())
        return Function(name, block.inputs, OPSET, Block((), block.outputs, block.operations))

    def _block(
        self, graph: Any, arguments: Sequence[str], results: Sequence[str], prefix: str, above: tuple[str, ...]
    ) -> Block:
        block, names = block_of(graph), value_names(graph, arguments, results, prefix)
        *body, output = (operation.operation for operation in block.operations)
        constants: set[str] = set()
        operations = [self._operation(operation, names, constants, above) for operation in body]
        # A result that is an argument, or another result too, is handed on under its own name.
        for value, name in zip(output.operands, results, strict=True):
            if names[value] != name:
                declared = value_type(value.type)
                operations.append(Operation(IDENTITY, {"input": (names[value],)}, {}, ((name, declared),)))
        inputs = tuple((names[argument], value_type(argument.type)) for argument in block.arguments)
        return Block(inputs, tuple(results), tuple(operations))

    def _operation(
        self, operation: Any, names: Mapping[Any, str], constants: set[str], above: tuple[str, ...]
    ) -> Operation:
        """One operation; `constants` are the names of what is known before anything is computed, and grows."""
        name, operands = kind(operation), [names[value] for value in operation.operands]
        outputs = tuple((names[result], value_type(result.type)) for result in operation.results)
        if operation.name == CONSTANT:
            constants.add(outputs[0][0])
            return Operation("const", {}, {"val": read_constant(operation, self._where)}, outputs)
        if operation.name == INVOKE:
            block = self._invoked(operation, outputs, above)
            return Operation(name, {"values": tuple(operands)}, {}, outputs, (block,))
        if name in DECOMPRESSIONS and constants.issuperset(operands):
            name = f"constexpr_{name}"
            constants.update(output for output, _ in outputs)
        return Operation(name, self._bound(name, operands), _attributes(operation), outputs)

    def _invoked(self, operation: Any, outputs: Sequence[tuple[str, ValueType]], above: tuple[str, ...]) -> Block:
        callee = callee_of(operation)
        if callee not in self._graphs or callee in above:
            raise DofkitError(f"{self._where}: the graph {callee!r}, which is invoked, is not there; export it again")
        graph = self._graphs[callee]
        prefix = f"{outputs[0][0]}/" if outputs else f"{callee}/"
        count = len(list(block_of(graph).arguments))
        results = [f"{prefix}result_{number}" for number in range(len(outputs))]
        arguments = [f"{prefix}argument_{number}" for number in range(count)]
        return self._block(graph, arguments, results, prefix, (*above, callee))

    def _bound(self, name: str, operands: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Operands by the names of the kernel's parameters; numbered where the operation is not known."""
        kernel = self._operations.find(name, self._operations.number(OPSET))
        if kernel is None:
            return {f"operand_{number}": (operand,) for number, operand in enumerate(operands)}
        bound: dict[str, tuple[str, ...]] = {}
        left = list(operands)
        for parameter, declared in kernel.parameters.items():
            if not left:
                break
            if declared.annotation in ("Arrays", "Values"):
                bound[parameter], left = tuple(left), []
            else:
                bound[parameter] = (left.pop(0),)
        bound.update({f"operand_{number}": (operand,) for number, operand in enumerate(left)})
        return bound


def _attributes(operation: Any) -> dict[str, Constant]:
    """Attributes as texts: "linear" of `#coreai.interpolation_mode<linear>`."""
    found = {}
    for attribute in operation.attributes:
        text = str(attribute.attr)
        match = re.fullmatch(r"#[\w.]+<(.*)>", text)
        words = match.group(1) if match else text.strip('"')
        found[attribute.name] = Constant(OtherType("attribute"), np.array(words, dtype=object))
    return found


def _feature(name: str, declared: Any, where: str) -> Feature:
    found = value_type(declared)
    if not isinstance(found, TensorType):
        return _image(name, str(declared), where)
    sizes = found.shape or ()
    if None in sizes:
        low = tuple(size or 1 for size in sizes)
        return Feature(name, low, found.element, low=low, high=tuple(sizes))
    return Feature(name, found.known_shape, found.element)


def _image(name: str, declared: str, where: str) -> Feature:
    """A camera buffer, known by its text: `!coreai.image<<k32BGRA> x 280 : i64 x 280 : i64>`, height first."""
    match = re.fullmatch(r"!coreai\.image<<(\w+)> x (\d+) : i64 x (\d+) : i64>", declared)
    if match is None or match[1] != BUFFER:
        raise DofkitError(f"{where}: {name} is a {declared}; tensors and {BUFFER} images are read")
    shape = (1, 3, int(match[2]), int(match[3]))
    return Feature(name, shape, Element.FLOAT32, FeatureKind.IMAGE, ColorSpace.BGRA)

"""A float32 program → the same program computing in float16 between float32 inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

from ...runtime_ref.coreai.program import CONSTANT, INVOKE, block_of, callee_of, graphs, kind, value_names
from ...runtime_ref.mil.program import Operation, ValueType
from ..coreml.weights import to_half
from ..fp32_budget import half_name, halved
from ..keep_fp32 import KeepFp32
from ..tails import tail
from .building import constant, stored_floats
from .tools import dialect, ir

# Operands that are geometry, not data: a scale of 1.9961 must not become 2.
GEOMETRY = {"interpolate": (2, 3), "interpolate_coordinates": (1,)}


def cast(name: str, declared: ValueType) -> Operation:
    """The operation, as the evaluator reads it, that rounds a value to float16."""
    return Operation("cast", {"input": (name,)}, {}, ((half_name(name), halved(declared)),))


def geometry(operation: Operation) -> list[str]:
    """The operands of an operation, as the evaluator reads it, that stay in float32."""
    operands = [name for bindings in operation.inputs.values() for name in bindings if isinstance(name, str)]
    return [operands[place] for place in GEOMETRY.get(operation.type, ()) if place < len(operands)]


# Kinds of operations that end a network's tail.
LAYERS = {"conv2d", "conv_transpose2d", "batch_matmul", "broadcasting_batch_matmul"}


def to_half_precision(module: Any, keep: KeepFp32 | None = None, careful: bool = False) -> None:
    """Let every graph of a module compute in float16; entry points keep their float32 inputs and outputs.

    Weights are rounded to nearest, ties to even; what is not 0 does not become 0 in small tensors.

    Args:
        module: in float32.
        keep: operations of entry points that stay in float32, between casts. A graph that one of them invokes does so
            as a whole, and wherever else it is invoked.
        careful: so do those of a network's tail, see `tails`, and its normalisations: they sum squares, which overflow
            where a value is 256 from the mean, as some of trained vision transformers are.
    """
    every = graphs(module)
    tails = {symbol: _tail_of(graph, every) if careful else [] for symbol, graph in every.items()}
    chosen = {symbol: _chosen(graph, keep, tails[symbol]) for symbol, graph in every.items()}
    whole = _invoked(every, [operation for operations in chosen.values() for operation in operations])
    if careful:
        whole |= {symbol for symbol, graph in every.items() if _normalises(graph)}
    for symbol, graph in every.items():
        if symbol not in whole:
            _narrow_graph(graph, [*chosen[symbol], *_invokes(graph, whole)])
    module.operation.verify()


def _normalises(graph: Any) -> bool:
    """Whether a graph that others invoke is a normalisation: it divides by the root of a sum."""
    return "priv" in graph.attributes and any(kind(each) == "rsqrt" for each in _body(graph))


def _tail_of(graph: Any, every: dict[str, Any]) -> list[Any]:
    """The operations of an entry point's tail."""
    if "priv" in graph.attributes:
        return []
    owners = {result: operation for operation in _body(graph) for result in operation.results}

    def sources(operation: Any) -> list[Any]:
        found = (owners.get(value) for value in operation.operands)
        return [each for each in found if each is not None and each.name != CONSTANT]

    def is_layer(operation: Any) -> bool:
        inside = [each for symbol in _invoked(every, [operation]) for each in _body(every[symbol])]
        return any(kind(each) in LAYERS for each in (operation, *inside))

    *_, output = _body(graph)
    return tail(sources(output), sources, is_layer)


def _chosen(graph: Any, keep: KeepFp32 | None, anyway: Collection[Any]) -> list[Any]:
    """The operations of a graph that were asked for, and those of its tail."""
    if keep is None or "priv" in graph.attributes:
        return list(anyway)
    names = value_names(graph)
    computed = (operation for operation in _body(graph) if operation.name not in (CONSTANT, "coreai.output"))
    return [
        each
        for each in computed
        if len(each.results) and keep.asked(kind(each), names[each.results[0]], each in anyway)
    ]


def _invoked(every: dict[str, Any], operations: Collection[Any]) -> set[str]:
    """The graphs that operations invoke, and those that these invoke."""
    found: set[str] = set()
    left = [callee_of(operation) for operation in operations if operation.name == INVOKE]
    while left:
        symbol = left.pop()
        if symbol not in found:
            found.add(symbol)
            left += [callee_of(operation) for operation in _body(every[symbol]) if operation.name == INVOKE]
    return found


def _invokes(graph: Any, symbols: Collection[str]) -> Iterator[Any]:
    return (each for each in _body(graph) if each.name == INVOKE and callee_of(each) in symbols)


def _body(graph: Any) -> list[Any]:
    return [operation.operation for operation in block_of(graph).operations]


def _narrow_graph(graph: Any, kept: Collection[Any]) -> None:
    """Everything but some operations in float16."""
    private, block, body = "priv" in graph.attributes, block_of(graph), _body(graph)
    with graph.context, graph.location:
        half = ir().F16Type.get()
        if private:
            for argument in block.arguments:
                _narrow(argument, half)
        for operation in body:
            if operation.name == CONSTANT:
                _narrow_constant(operation, kept)
            elif operation not in kept:
                for result in operation.results:
                    _narrow(result, half)
        for operation in kept:
            _cast_around(operation, [*kept, body[-1]], half)  # results of the graph are cast below
        if private:
            _declare(graph, block, half)
        else:
            _cast_borders(graph, block, kept, half)


def _is_geometry(operation: Any, place: int) -> bool:
    return place in GEOMETRY.get(kind(operation), ())


def is_float32(declared: Any) -> bool:
    """Whether a value's type is a tensor of float32."""
    return str(declared).startswith("tensor<") and str(declared.element_type) == "f32"


def _narrow(value: Any, half: Any) -> None:
    if is_float32(value.type):
        value.set_type(ir().RankedTensorType.get(value.type.shape, half))


def replace_uses(value: Any, new: Any, where: Callable[[Any, int], bool] = lambda *_: True) -> None:
    """Let operations use another value.

    Args:
        where: (operation, number of its operand) -> whether it shall.
    """
    uses = [(use.owner.operation, use.operand_number) for use in value.uses]
    for operation, place in uses:
        if where(operation, place):
            operation.operands[place] = new


def _narrow_constant(operation: Any, kept: Collection[Any]) -> None:
    """Exchange a constant for one in float16, but where it is geometry or an operation stays in float32."""
    (value,) = operation.results
    if not is_float32(value.type):
        return

    def narrowed(user: Any, place: int) -> bool:
        return not _is_geometry(user, place) and user not in kept

    if any(narrowed(use.owner.operation, use.operand_number) for use in value.uses):
        with ir().InsertionPoint(operation):
            replace_uses(value, constant(to_half(stored_floats(operation)), "f16"), narrowed)
    if not list(value.uses):
        operation.erase()


def _cast_around(operation: Any, wide: Collection[Any], half: Any) -> None:
    """Casts before an operation that stays in float32, and between its results and all but some of their users."""
    mlir, ops = ir(), dialect()
    with mlir.InsertionPoint(operation):
        for place, value in enumerate(list(operation.operands)):
            if str(value.type).startswith("tensor<") and str(value.type.element_type) == "f16":
                widened = mlir.RankedTensorType.get(value.type.shape, mlir.F32Type.get())
                operation.operands[place] = ops.CastOp(widened, value).result
    for result in operation.results:
        others = [use.owner.operation for use in result.uses if use.owner.operation not in wide]
        if others and is_float32(result.type):
            with mlir.InsertionPoint.after(operation):
                narrowed = ops.CastOp(mlir.RankedTensorType.get(result.type.shape, half), result)
            replace_uses(result, narrowed.result, lambda user, _, cast=narrowed: user not in (*wide, cast.operation))


def _declare(graph: Any, block: Any, half: Any) -> None:
    """The type of a private graph follows from its arguments and results, which are float16."""
    mlir = ir()
    *_, output = (operation.operation for operation in block.operations)
    _cast_results(output, [_halved(value.type, half) for value in output.operands])
    kinds = ([value.type for value in block.arguments], [value.type for value in output.operands])
    graph.attributes["function_type"] = mlir.TypeAttr.get(mlir.FunctionType.get(*kinds))


def _halved(declared: Any, half: Any) -> Any:
    return ir().RankedTensorType.get(declared.shape, half) if is_float32(declared) else declared


def _cast_borders(graph: Any, block: Any, kept: Collection[Any], half: Any) -> None:
    """Casts after float32 arguments and before float32 results."""
    mlir, ops = ir(), dialect()
    first = block.operations[0].operation
    for argument in block.arguments:
        if is_float32(argument.type):
            with mlir.InsertionPoint(first):
                narrowed = ops.CastOp(mlir.RankedTensorType.get(argument.type.shape, half), argument)
            replace_uses(argument, narrowed.result, lambda user, _, cast=narrowed: user not in (*kept, cast.operation))
    *_, output = (operation.operation for operation in block.operations)
    _cast_results(output, graph.attributes["function_type"].value.results)


def _cast_results(output: Any, wanted: Any) -> None:
    for number, declared in enumerate(wanted):
        if output.operands[number].type != declared:
            with ir().InsertionPoint(output):
                output.operands[number] = dialect().CastOp(declared, output.operands[number]).result

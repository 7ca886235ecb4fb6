"""A float32 program → the same program computing in float16 between float32 inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray

from ...runtime_ref.coreai.program import CONSTANT, block_of, graphs, kind
from ..coreml.weights import to_half
from .building import constant, stored_floats
from .tools import dialect, ir

Array = NDArray[Any]

# Operands that are geometry, not data: a scale of 1.9961 must not become 2.
_GEOMETRY = {"interpolate": (2, 3), "interpolate_coordinates": (1,)}


def to_half_precision(module: Any) -> None:
    """Let every graph of a module compute in float16; entry points keep their float32 inputs and outputs.

    Weights are rounded to nearest, ties to even; what is not 0 does not become 0 in small tensors.
    """
    mlir = ir()
    for graph in graphs(module).values():
        private = "priv" in graph.attributes
        block = block_of(graph)
        body = [operation.operation for operation in block.operations]
        with graph.context, graph.location:
            kept = {operand for each in body for operand in _geometry(each)}
            half = mlir.F16Type.get()
            if private:
                for argument in block.arguments:
                    _narrow(argument, half)
            for operation in body:
                if operation.name == CONSTANT:
                    if operation.results[0] not in kept:
                        _narrow_constant(operation)
                else:
                    for result in operation.results:
                        _narrow(result, half)
            if private:
                _declare(graph, block)
            else:
                _cast_borders(graph, block, half)
    module.operation.verify()


def _geometry(operation: Any) -> Iterable[Any]:
    operands = list(operation.operands)
    return (operands[place] for place in _GEOMETRY.get(kind(operation), ()))


def _is_float32(declared: Any) -> bool:
    return str(declared).startswith("tensor<") and str(declared.element_type) == "f32"


def _narrow(value: Any, half: Any) -> None:
    if _is_float32(value.type):
        value.set_type(ir().RankedTensorType.get(value.type.shape, half))


def _narrow_constant(operation: Any) -> None:
    if not _is_float32(operation.results[0].type):
        return
    values = to_half(stored_floats(operation))
    with ir().InsertionPoint(operation):
        operation.results[0].replace_all_uses_with(constant(values, "f16"))
    operation.erase()


def _declare(graph: Any, block: Any) -> None:
    """The type of a private graph follows from its arguments and results."""
    mlir = ir()
    *_, output = (operation.operation for operation in block.operations)
    kinds = ([value.type for value in block.arguments], [value.type for value in output.operands])
    graph.attributes["function_type"] = mlir.TypeAttr.get(mlir.FunctionType.get(*kinds))


def _cast_borders(graph: Any, block: Any, half: Any) -> None:
    """Casts after float32 arguments and before float32 results."""
    mlir, ops = ir(), dialect()
    first = block.operations[0].operation
    for argument in block.arguments:
        if _is_float32(argument.type):
            with mlir.InsertionPoint(first):
                narrowed = ops.CastOp(mlir.RankedTensorType.get(argument.type.shape, half), argument)
            argument.replace_all_uses_except(narrowed.result, narrowed.operation)
    *_, output = (operation.operation for operation in block.operations)
    wanted = graph.attributes["function_type"].value.results
    for number, declared in enumerate(wanted):
        if output.operands[number].type != declared:
            with mlir.InsertionPoint(output):
                output.operands[number] = ops.CastOp(declared, output.operands[number]).result

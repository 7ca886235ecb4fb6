"""Core ML's compute plan: which unit it means to compute each operation on, and what that costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_UNITS = {
    "MLCPUComputeDevice": "CPU",
    "MLGPUComputeDevice": "GPU",
    "MLNeuralEngineComputeDevice": "Neural Engine",
}
_UNPLANNED = "no unit"  # constants, and what Core ML folds away


@dataclass(frozen=True)
class Place:
    """Where an operation is meant to be computed.

    Attributes:
        kind: as the ML Program's operation set calls it.
        preferred: the unit's name.
        supported: all units that could.
        weight: its part of the whole cost, 0 to 1; 0 where Core ML states none.
    """

    kind: str
    preferred: str
    supported: tuple[str, ...]
    weight: float


def places(plan: Any, function: str = "main") -> tuple[Place, ...]:
    """The operations of a function, as coremltools' `MLComputePlan` has them; what is not planned is left out."""
    program = plan.model_structure.program
    if program is None or function not in program.functions:
        return ()
    found = (_place(plan, operation) for operation in _operations(program.functions[function].block))
    return tuple(one for one in found if one.preferred != _UNPLANNED)


def _operations(block: Any) -> Iterator[Any]:
    for operation in block.operations:
        yield operation
        for inner in operation.blocks:
            yield from _operations(inner)


def _place(plan: Any, operation: Any) -> Place:
    usage = plan.get_compute_device_usage_for_mlprogram_operation(operation)
    cost = plan.get_estimated_cost_for_mlprogram_operation(operation)
    kind = operation.operator_name.rpartition(".")[2]  # "ios17.conv"
    weight = 0.0 if cost is None else float(cost.weight)
    if usage is None:
        return Place(kind, _UNPLANNED, (), weight)
    supported = tuple(_unit(one) for one in usage.supported_compute_devices)
    return Place(kind, _unit(usage.preferred_compute_device), supported, weight)


def _unit(device: Any) -> str:
    name = type(device).__name__
    return _UNITS.get(name, name)


def summary(found: Sequence[Place]) -> str:
    """In a line: "118 of 120 operations on the Neural Engine (99 % of the cost), 2 on the CPU (gather, shape)"."""
    if not found:
        return "no compute plan"
    by_unit = Counter(one.preferred for one in found)
    first, *others = (unit for unit, _ in by_unit.most_common())
    total = sum(one.weight for one in found)
    share = sum(one.weight for one in found if one.preferred == first) / total if total else 0.0
    cost = f" ({share:.0%} of the cost)" if total else ""
    words = [f"{by_unit[first]} of {len(found)} operations on the {first}{cost}"]
    for unit in others:
        kinds = ", ".join(sorted({one.kind for one in found if one.preferred == unit}))
        words.append(f"{by_unit[unit]} on the {unit} ({kinds})")
    return ", ".join(words)

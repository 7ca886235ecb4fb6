"""What the commands of `dofkit mil` found, as JSON for machines; `_mil_tables` shows it to people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..runtime_ref.mil import Evaluation, Feature, MLProgram, ProgramPackage
from ..runtime_ref.mil import contents as held
from ..runtime_ref.mil.diff import Difference, ProgramDiff
from ..runtime_ref.mil.features import FeatureKind
from ..runtime_ref.mil.layers import LayerDiff, LayerFinding, NetworkDiff
from ..runtime_ref.mil.program import Constant, Function, Operation, TensorType
from ..runtime_ref.pipeline.stage import Stage

Facts = dict[str, Any]


def run_facts(
    program: MLProgram, evaluation: Evaluation, seconds: float, files: Mapping[str, list[str]], remarks: Sequence[str]
) -> Facts:
    """`mil run` as JSON."""
    return {
        "package": str(program.package.path),
        "function": program.function.name,
        "numerics": program.numerics.value,
        "seconds": round(seconds, 4),
        "outputs": [
            output_facts(feature, evaluation.outputs[feature.name]) | {"files": files.get(feature.name, [])}
            for feature in program.outputs
        ],
        "warnings": list(remarks),
        "non_finite": [
            {"operation": e.operation, "output": e.output, "type": e.declared, "infinite": e.infinite, "nan": e.nan}
            for e in evaluation.non_finite
        ],
    }


def output_facts(feature: Feature, value: Any) -> Facts:
    kind = feature_kind(feature)
    if feature.kind is FeatureKind.LABEL:
        return {"name": feature.name, "type": kind, "value": str(value)}
    if feature.kind is FeatureKind.SCORES:
        best = sorted(value.items(), key=lambda item: -item[1])[:3]
        return {
            "name": feature.name,
            "type": kind,
            "value": ", ".join(f"{label} {score:.3g}" for label, score in best),
            "scores": {str(label): json_number(score) for label, score in value.items()},
        }
    array = np.asarray(value)
    numbers = array.astype(np.float64)
    measures = {"min": np.min, "max": np.max, "mean": np.mean} if array.size else {}
    return {
        "name": feature.name,
        "type": kind,
        "shape": list(array.shape),
        **{name: json_number(measure(numbers)) for name, measure in measures.items()},
    }


def show_facts(package: ProgramPackage, function: Function, with_weights: bool, with_operations: bool) -> Facts:
    """`mil show` as JSON."""
    weights = held.find_weights(function)
    features = package.features(function.name)
    facts: Facts = {
        "package": str(package.path),
        "bytes": held.size_on_disk(package.path),
        "runs_on": package.systems,
        "specification": package.opset_version,
        "functions": list(package.functions),
        "function": function.name,
        "opset": function.opset,
        **{kind: [_feature_facts(feature) for feature in found] for kind, found in features.items()},
        "operations": held.operation_counts(function),
        "unknown_operations": sorted(held.unknown_operations(function, package.operations)),
        "storage": [
            {
                "stored": row.stored,
                "compressed": row.compressed,
                "weights": row.weights,
                "parameters": row.parameters,
                "bytes": row.bytes,
            }
            for row in held.storage(weights)
        ],
    }
    if with_weights:
        ranges = held.value_ranges(package, function, weights)
        facts["weights"] = [weight_facts(weight, ranges.get(weight.name)) for weight in weights]
    if with_operations:
        facts["program"] = [
            {
                "type": operation.type,
                "depth": depth,
                "outputs": [{"name": name, "type": str(declared)} for name, declared in operation.outputs],
                "inputs": {name: [bound_name(b) for b in bound] for name, bound in operation.inputs.items()},
            }
            for depth, operation in held.nested(function.block)
        ]
    return facts


def _feature_facts(feature: Feature) -> Facts:
    return {
        "name": feature.name,
        "type": feature_kind(feature),
        "shape": list(feature.shape),
        "flexible": feature.is_flexible,
        "shapes": [list(shape) for shape in feature.shapes],
        "range": [list(span) for span in zip(feature.low, feature.high, strict=True)],
        "optional": feature.optional,
        "description": feature.description,
    }


def weight_facts(weight: held.Weight, limits: tuple[float, float] | None) -> Facts:
    shape = weight.type.shape if isinstance(weight.type, TensorType) else None
    return {
        "name": weight.name,
        "used_by": [operation.name for operation in weight.used_by],
        "type": str(weight.type),
        "stored": weight.stored,
        "compressed": weight.compressed,
        "shape": list(shape or ()),
        "parameters": weight.parameters,
        "bytes": weight.bytes,
        "min": json_number(limits[0]) if limits else None,
        "max": json_number(limits[1]) if limits else None,
    }


def bound_name(binding: str | Constant) -> str | None:
    return binding if isinstance(binding, str) else None


def diff_facts(a: MLProgram, b: MLProgram, found: ProgramDiff) -> Facts:
    """`mil diff` of two packages as JSON."""
    operations = [
        {"type": o.a.type, "a": o.a.name, "b": o.b.name, "shape": result_shape(o.a), **_apart(found, o.difference)}
        for o in found.operations
    ]
    return {
        "a": {"package": str(a.package.path), "function": a.function.name},
        "b": {"package": str(b.package.path), "function": b.function.name},
        "tolerance": found.tolerance,
        "agree": found.agree,
        "first": next((item for item in operations if item["parts"]), None),
        "operations": operations,
        "only_a": [{"type": op.type, "name": op.name} for op in found.only_a],
        "only_b": [{"type": op.type, "name": op.name} for op in found.only_b],
        "outputs": [{"name": o.name, **_apart(found, o.difference)} for o in found.outputs],
        "outputs_only_a": list(found.outputs_only_a),
        "outputs_only_b": list(found.outputs_only_b),
        "compared_parameters": found.compared_parameters,
        "parameters": [
            {
                "operation": p.operation.name,
                "parameter": p.parameter,
                "a": p.a,
                "b": p.b,
                "max_abs": None if p.difference is None else json_number(p.difference.max_abs),
                "relative": None if p.difference is None else json_number(p.difference.relative),
                "changed": found.changed(p),
            }
            for p in found.parameters
        ],
    }


def _apart(found: ProgramDiff, difference: Difference) -> Facts:
    return {
        "max_abs": json_number(difference.max_abs),
        "relative": json_number(difference.relative),
        "parts": found.parts(difference),
    }


def result_shape(operation: Operation) -> list[int | None]:
    declared = operation.outputs[0][1] if operation.outputs else None
    return list(declared.shape or ()) if isinstance(declared, TensorType) else []


def network_facts(program: MLProgram, stage: Stage, found: NetworkDiff) -> Facts:
    """`mil diff --pytorch` as JSON."""
    layers = [_layer_facts(layer) for layer in found.layers]
    return {
        "a": {"package": str(program.package.path), "function": program.function.name},
        "pytorch": stage.value,
        "tolerance": found.tolerance,
        "agree": found.agree,
        "first": next((item for item in layers if item["finding"] == LayerFinding.PARTS.value), None),
        "layers": layers,
    }


def _layer_facts(layer: LayerDiff) -> Facts:
    difference = layer.difference
    return {
        "name": layer.name,
        "kind": layer.kind,
        "shape": list(layer.shape),
        "finding": layer.finding.value,
        "fused_into": layer.absorbed_by,
        "operation": None if layer.operation is None else layer.operation.name,
        "max_abs": None if difference is None else json_number(difference.max_abs),
        "relative": None if difference is None else json_number(difference.relative),
    }


def feature_kind(feature: Feature) -> str:
    if feature.color is not None:
        return f"{feature.color.name} image"
    return f"{feature.element}" if feature.kind is FeatureKind.TENSOR else f"{feature.element} {feature.kind.value}"


def json_number(value: float) -> float | str:
    """JSON has no infinities and no NaN; they become "inf", "-inf" and "nan"."""
    return float(value) if math.isfinite(value) else str(float(value))

"""What a manifest declares against what the opened file says: names, shapes, types, operations, and the plan's sizes.

Compared before anything is allocated or computed: a manifest that was sealed again may declare anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..backends.file_tensors import FileTensor, FileTensors, mismatches
from ..bundle import ModelEntry, TensorEntry
from ..pipeline.plan import PipelinePlan
from ..pipeline.stage import INPUTS, PIPELINE_STAGES, Stage


def declared_problems(model: ModelEntry, found: FileTensors) -> list[str]:
    """What in an opened file is not as the manifest says; empty when all is."""
    problems = []
    for kind, tensors, there in (("input", model.inputs, found.inputs), ("output", model.outputs, found.outputs)):
        wanted = tuple(map(_declared, tensors))
        if mismatches(wanted, there):
            problems.append(f"{model.path}: {kind}s are {_listed(there)}, the manifest says {_listed(wanted)}")
    if found.operators is not None and found.operators != model.operators:
        problems.append(f"{model.path}: operations {found.operators} differ from the manifest's {model.operators}")
    return problems


def plan_problems(plan: PipelinePlan, models: Iterable[ModelEntry]) -> list[str]:
    """Sizes of a plan that its models do not take; empty when they take all."""
    return [problem for model in models for problem in _plan_problems(plan, model)]


def _planned(plan: PipelinePlan, model: ModelEntry) -> tuple[int, int] | None:
    """Height and width of a model's input by the plan; None for one that the plan does not speak of, or a whole picture
    of any size."""
    stage = model.stage
    if stage not in PIPELINE_STAGES:
        return None
    if stage is Stage.DEPTH:
        return next((size for size in plan.further_depth_sizes if size == model.depth_size), plan.depth_shape)
    tile = (plan.lens_blur if stage is Stage.LENS_BLUR else plan.guided_upsampling).tile
    return None if tile is None else (tile, tile)


def _plan_problems(plan: PipelinePlan, model: ModelEntry) -> Iterator[str]:
    sides = _planned(plan, model)
    if sides is None:
        return
    declared = {tensor.name: tensor for tensor in model.inputs}
    for signal in INPUTS[model.stage]:
        wanted = (sides[0] * signal.scale, sides[1] * signal.scale)
        tensor = declared.get(signal.name)
        if tensor is not None and tensor.sides != wanted:
            found = "×".join(map(str, tensor.sides))
            yield f"{model.path}: {signal.name} takes {found} pixels, the plan gives {wanted[0]}×{wanted[1]}"


def _declared(tensor: TensorEntry) -> FileTensor:
    return FileTensor(name=tensor.name, kind=tensor.image or tensor.dtype, shape=tensor.shape)


def _listed(tensors: Iterable[FileTensor]) -> str:
    return "; ".join(sorted(map(str, tensors)))

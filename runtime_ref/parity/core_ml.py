"""What is particular to Core ML in a comparison: a package's declarations, and Apple's own runtime where it exists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..backends import open_session
from ..backends.coreml import NO_RUNTIME, ComputeUnit, CoreMLSession, has_runtime
from ..bundle import Bundle, ModelEntry, TensorEntry
from ..bundle.golden import GoldenArrays
from ..errors import first_line
from ..mil import Feature, MLProgram
from ..pipeline.portrait import from_network
from ..target import Precision, Target
from . import metrics
from .tolerances import tolerance
from .verdict import ParityResult, Verdict


def core_ml_problems(bundle: Bundle, model: ModelEntry) -> list[str]:
    """What in a Core ML package is not as the manifest says; empty when all is.

    Raises:
        DofkitError: the package is damaged.
    """
    program = MLProgram.open(bundle.path(model.path), model.function)
    problems = []
    for kind, tensors, features in (
        ("input", model.inputs, program.inputs),
        ("output", model.outputs, program.outputs),
    ):
        wanted = sorted(_declared(tensor) for tensor in tensors)
        found = sorted(_found(feature) for feature in features)
        if wanted != found:
            problems.append(f"{model.path}: {kind}s are {'; '.join(found)}, the manifest says {'; '.join(wanted)}")
    if program.operators != model.operators:
        problems.append(f"{model.path}: operations {program.operators} differ from the manifest's {model.operators}")
    return problems


def _declared(tensor: TensorEntry) -> str:
    return f"{tensor.name} {tensor.image or tensor.dtype} {list(tensor.shape)}"


def _found(feature: Feature) -> str:
    kind = feature.color.name if feature.color else feature.element.storage.name
    return f"{feature.name} {kind} {list(feature.shape)}"


def core_ml_rows(bundle: Bundle, precision: Precision, golden: Sequence[GoldenArrays]) -> list[ParityResult]:
    """The same models on Apple's runtime: a row for each stage and compute unit, compared with PyTorch and with the
    evaluator. Off macOS one row that says so, which decides nothing.
    """
    if not has_runtime():
        return [
            ParityResult(Target.COREML, precision, "runtime", Verdict.NOT_RUN, reason=NO_RUNTIME, decisive=False),
        ]
    return [
        _on_unit(bundle, model, precision, golden, unit)
        for model in bundle.models(Target.COREML, precision)
        for unit in ComputeUnit
    ]


def _on_unit(
    bundle: Bundle, model: ModelEntry, precision: Precision, golden: Sequence[GoldenArrays], unit: ComputeUnit
) -> ParityResult:
    """One stage on one compute unit."""
    scope = f"{model.stage} on {unit.title}"
    try:
        session = CoreMLSession(model.stage, bundle.path(model.path), model.function, unit)
        values = list(_measured(bundle, model, session, golden))
    except Exception as error:  # Core ML's errors arrive as RuntimeError with its text
        return ParityResult(Target.COREML, precision, scope, Verdict.FAIL, reason=first_line(error))
    worst = {name: metrics.worst(name, [value[name] for value in values]) for name in values[0]}
    limits = tolerance(model.stage.value, model.precision, model.target, model.has_buffers)
    broken = limits.violations(worst)
    verdict = Verdict.FAIL if broken else Verdict.PASS
    return ParityResult(Target.COREML, precision, scope, verdict, worst, "; ".join(broken), session.runtime, limits)


def _measured(
    bundle: Bundle, model: ModelEntry, session: CoreMLSession, golden: Sequence[GoldenArrays]
) -> Iterator[dict[str, float]]:
    """The runtime's distance from PyTorch, and its PSNR against the evaluator."""
    evaluator = open_session(bundle, model)
    for arrays in golden:
        inputs = arrays.inputs(model.stage)
        output = from_network(session.run(inputs))
        evaluated = from_network(evaluator.run(inputs))
        yield metrics.picture(from_network(arrays.output(model.stage)), output) | {
            "evaluator_psnr": metrics.psnr(evaluated, output)
        }

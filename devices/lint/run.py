"""`dofkit lint`: every file of a bundle against every rule, for the units of a device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...runtime_ref.backends.tracers import open_tracer
from ...runtime_ref.bundle import Bundle, ModelEntry
from ...runtime_ref.errors import DofkitError
from ...runtime_ref.target import Precision, Target
from ..first_case import first_case
from ..profile import Accelerator, Profile
from . import arm_measurement, mobile_checker
from . import gpu_accelerator as gpu
from .arm_measurement import ArmMeasurement
from .finding import LintFinding, Problem, Rule, Severity
from .readers import read_graph
from .rules import RULES


@dataclass(frozen=True)
class LintReport:
    """What was found.

    Attributes:
        findings: in the order of the files, then of the rules.
        files: how many were looked at.
        measurements: of the files with findings of 16-bit floats, what those really do.
        not_run: engines that could not be asked, and why.
    """

    findings: tuple[LintFinding, ...]
    files: int
    measurements: tuple[ArmMeasurement, ...] = ()
    not_run: tuple[str, ...] = ()

    @property
    def errors(self) -> tuple[LintFinding, ...]:
        """Those that a unit does not compute, or computes wrongly."""
        return tuple(one for one in self.findings if one.severity is Severity.ERROR)

    def measured(self, finding: LintFinding) -> ArmMeasurement | None:
        """What stands beside a finding of 16-bit floats; None beside others."""
        if finding.rule not in arm_measurement.RULES:
            return None
        return next((one for one in self.measurements if one.model == finding.model), None)


def lint_bundle(
    bundle: Path | str,
    profile: Profile,
    *,
    targets: Sequence[Target] = (),
    precisions: Sequence[Precision] = (),
    with_ranges: bool = True,
    with_engines: bool = True,
    measure: bool = False,
    rules: Sequence[Rule] = RULES,
    watch: Callable[[str, int, int], None] = lambda *_: None,
) -> LintReport:
    """Verify a bundle's files and look for what they will meet on a device.

    Args:
        bundle: its folder.
        profile: the device.
        targets, precisions: of the files; empty: all that run there.
        with_ranges: compute every file once on the first golden photo, for the rules that need values; slower.
        with_engines: ask the runtimes' own checkers, too: LiteRT's GPU accelerator, ONNX Runtime's for phones.
        measure: compute the files with findings of 16-bit floats in such floats on an emulated ARM core; minutes.
        rules: what is looked for.
        watch: called with a file's name, how many are done and how many there are.

    Raises:
        DofkitError: a file is missing or was changed, or none runs on the device.
    """
    opened = Bundle.open(Path(bundle))
    models = [
        model
        for model in opened.models()
        if model.target in profile.targets
        and (not targets or model.target in targets)
        and (not precisions or model.precision in precisions)
    ]
    if not models:
        there = ", ".join(f"{target} {precision}" for target, precision in opened.variants())
        runs = ", ".join(target.value for target in profile.targets)
        raise DofkitError(f"{opened.root} holds no such file for {profile.title} ({runs}); it holds {there}")
    accelerator = gpu.GpuAccelerator() if with_engines else None
    findings: list[LintFinding] = []
    try:
        for number, model in enumerate(models):
            watch(_name(model), number, len(models))
            findings += _of_model(opened, model, profile, with_ranges, rules)
            if accelerator is not None:
                findings += _by_engine(opened, model, profile.units_for(model.target), accelerator)
    finally:
        if accelerator is not None:
            accelerator.stop()
    absent = "" if accelerator is None else accelerator.absent
    not_run = (f"{gpu.TITLE}: NOT RUN ({absent})",) if absent else ()
    measurements = tuple(_measurements(opened, findings, measure, lambda model: watch(f"ARM: {_name(model)}", 0, 1)))
    return LintReport(tuple(findings), len(models), measurements, not_run)


def _name(model: ModelEntry) -> str:
    return f"{model.target.title} {model.precision} {model.name}"


def _measurements(
    bundle: Bundle, findings: Sequence[LintFinding], measure: bool, watch: Callable[[ModelEntry], None]
) -> Iterator[ArmMeasurement]:
    doubted = {one.model.location: one.model for one in findings if one.rule in arm_measurement.RULES}
    for model in doubted.values():
        if not measure:
            yield ArmMeasurement(model, reason=arm_measurement.NOT_ASKED)
            continue
        watch(model)
        yield arm_measurement.measured(bundle, model)


def _of_model(
    bundle: Bundle, model: ModelEntry, profile: Profile, with_ranges: bool, rules: Sequence[Rule]
) -> Iterator[LintFinding]:
    units = profile.units_for(model.target)
    graph = read_graph(bundle, model)
    if with_ranges and any(unit.computes_in_fp16 for unit in units):
        graph = replace(graph, ranges=_ranges(bundle, model))
    for rule in rules:
        for unit in units:
            for problem in rule.find(graph, unit):
                yield _finding(rule.id, rule.severity, rule.rewrite, model, unit, problem)


def _by_engine(
    bundle: Bundle, model: ModelEntry, units: Sequence[Accelerator], accelerator: gpu.GpuAccelerator
) -> Iterator[LintFinding]:
    for unit in units:
        match model.target, unit.unit:
            case Target.ONNX, mobile_checker.UNIT:
                problems, severity = mobile_checker.nnapi_problems(bundle.path(model.path)), Severity.WARNING
                rule, rewrite = mobile_checker.ID, mobile_checker.REWRITE
            case gpu.TARGET, gpu.UNIT:
                problems, severity = accelerator.problems(bundle, model), Severity.ERROR
                rule, rewrite = gpu.ID, gpu.REWRITE
            case _:
                continue
        for problem in problems:
            yield _finding(rule, severity, rewrite, model, unit, problem)


def _finding(
    rule: str, severity: Severity, rewrite: str, model: ModelEntry, unit: Accelerator, problem: Problem
) -> LintFinding:
    node = problem.node
    name, module = ("", "") if node is None else (node.name, node.module)
    return LintFinding(rule, severity, model, unit.unit, name, module, problem.message, rewrite)


def _ranges(bundle: Bundle, model: ModelEntry) -> dict[str, tuple[float, float]]:
    """Least and greatest value of what the file computes on the first golden photo."""
    tracer = open_tracer(model.stage, model.target, bundle.path(model.path), model.function)
    values = tracer.trace(first_case(bundle, model).inputs)
    return {name: (float(value.min()), float(value.max())) for name, value in values if _has_range(value)}


def _has_range(value: object) -> bool:
    return getattr(getattr(value, "dtype", None), "kind", "") == "f" and bool(getattr(value, "size", 0))

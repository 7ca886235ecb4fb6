"""`dofkit lint`: every file of a bundle against every rule, for the units of a device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...runtime_ref.backends.tracers import open_tracer
from ...runtime_ref.bundle import Bundle, ModelEntry
from ...runtime_ref.bundle.golden import read_golden
from ...runtime_ref.errors import DofkitError
from ...runtime_ref.pipeline.stage import Stage
from ...runtime_ref.target import Precision, Target
from ..profile import Accelerator, Profile
from . import mobile_checker
from .finding import LintFinding, Problem, Rule, Severity
from .graph import Graph
from .readers import read_graph
from .rules import RULES


@dataclass(frozen=True)
class LintReport:
    """What was found.

    Attributes:
        findings: in the order of the files, then of the rules.
        files: how many were looked at.
    """

    findings: tuple[LintFinding, ...]
    files: int

    @property
    def errors(self) -> tuple[LintFinding, ...]:
        """Those that a unit does not compute, or computes wrongly."""
        return tuple(one for one in self.findings if one.severity is Severity.ERROR)


def lint_bundle(
    bundle: Path | str,
    profile: Profile,
    *,
    targets: Sequence[Target] = (),
    precisions: Sequence[Precision] = (),
    with_ranges: bool = True,
    rules: Sequence[Rule] = RULES,
    watch: Callable[[str, int, int], None] = lambda *_: None,
) -> LintReport:
    """Verify a bundle's files and look for what they will meet on a device.

    Args:
        bundle: its folder.
        profile: the device.
        targets, precisions: of the files; empty: all that run there.
        with_ranges: compute every file once on the first golden photo, for the rules that need values; slower.
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
    findings: list[LintFinding] = []
    for number, model in enumerate(models):
        watch(f"{model.target.title} {model.precision} {model.name}", number, len(models))
        findings += _of_model(opened, model, profile, with_ranges, rules)
    return LintReport(tuple(findings), len(models))


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
    yield from _by_engine(bundle, model, units, graph)


def _by_engine(bundle: Bundle, model: ModelEntry, units: Sequence[Accelerator], graph: Graph) -> Iterator[LintFinding]:
    for unit in units:
        if graph.target is Target.ONNX and unit.unit is mobile_checker.UNIT:
            for problem in mobile_checker.nnapi_problems(bundle.path(model.path)):
                checker = mobile_checker
                yield _finding(checker.ID, Severity.WARNING, checker.REWRITE, model, unit, problem)


def _finding(
    rule: str, severity: Severity, rewrite: str, model: ModelEntry, unit: Accelerator, problem: Problem
) -> LintFinding:
    node = problem.node
    name, module = ("", "") if node is None else (node.name, node.module)
    return LintFinding(rule, severity, model, unit.unit, name, module, problem.message, rewrite)


def _ranges(bundle: Bundle, model: ModelEntry) -> dict[str, tuple[float, float]]:
    """Least and greatest value of what the file computes on the first golden photo."""
    golden = read_golden(bundle.path(bundle.manifest.golden[0].path))
    if model.stage is Stage.DEPTH and bundle.manifest.plan.further_depth_sizes:
        golden = golden.at_depth(model.depth_size or bundle.manifest.plan.depth_shape)
    tracer = open_tracer(model.stage, model.target, bundle.path(model.path), model.function)
    values = tracer.trace(golden.inputs(model.stage))
    return {name: (float(value.min()), float(value.max())) for name, value in values if _has_range(value)}


def _has_range(value: object) -> bool:
    return getattr(getattr(value, "dtype", None), "kind", "") == "f" and bool(getattr(value, "size", 0))

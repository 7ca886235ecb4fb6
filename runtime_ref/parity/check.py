"""Parity: the exported file, as it lies on disk, against the reference's results on real and hard pictures.

A verdict is PASS, FAIL or NOT RUN (with the reason); a comparison never stops at the first failure, and a runtime that
crashes is a failure of its file, not of the comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ..backends import Session
from ..backends.isolated import IsolatedSessions
from ..backends.opinions import Opinion, OpinionUnavailableError, opinions_for
from ..bundle import Bundle, ModelEntry
from ..bundle.golden import GoldenArrays
from ..errors import DofkitError, MissingExtraError, first_line
from ..pipeline.optics import defocus
from ..pipeline.plan import PipelinePlan
from ..pipeline.portrait import Array, Lens, PortraitPipeline, from_network
from ..pipeline.pyramid import resize
from ..pipeline.stage import Stage
from ..target import Precision, Target
from . import metrics
from .cases import Case, golden_cases
from .core_ml import core_ml_problems, core_ml_rows
from .diagnosis.effects import input_effect
from .diagnosis.explain import Reference, explain
from .tolerance_file import TeamTolerances
from .tolerances import Tolerance, tolerance
from .verdict import ParityReport, ParityResult, Rendering, Verdict

__all__ = ["PIPELINE", "CheckOptions", "ParityReport", "ParityResult", "Rendering", "Variant", "Verdict", "run_parity"]

PIPELINE = "pipeline"
# The cases on which every input of a stage is changed, and on which second opinions are asked: a photo and the hard one
# suffice, and both cost several runs.
PROBED = 2
# An output that moves less than this when an input is mirrored and dimmed does not depend on it.
LEAST_EFFECT = 1e-6

Variant = tuple[Target, Precision]
Watcher = Callable[[Target, Precision, str], None]


class SessionOpener(Protocol):
    """Opens the sessions of a bundle's models."""

    def session(self, model: ModelEntry, opinion: Opinion | None = None) -> Session:
        """The session of a model, computed by its own runtime or by another one."""
        ...


@dataclass(frozen=True)
class CheckOptions:
    """How strict and how thorough a comparison is.

    Attributes:
        tolerances: a team's own limits; None takes the table's.
        opinions: ask the second opinions on every stage, too.
        reference: gives the reference itself where it is at hand, to find causes with; called when something fails.
        renderings: a folder that keeps the renderings for a report; None keeps none.
        sessions: what opens sessions; each runtime in a process of its own by default.
    """

    tolerances: TeamTolerances | None = None
    opinions: bool = False
    reference: Callable[[], Reference] | None = None
    renderings: Path | None = None
    sessions: Callable[[Bundle], AbstractContextManager[SessionOpener]] = IsolatedSessions


def run_parity(
    bundle: Bundle,
    variants: Sequence[Variant] | None = None,
    cases: Sequence[Case] | None = None,
    options: CheckOptions | None = None,
    watch: Watcher | None = None,
) -> ParityReport:
    """Compare every model of a bundle, and every complete pipeline, with the reference's results.

    Args:
        bundle: a bundle whose files are in place.
        variants: the (target, precision) pairs to compare; all by default.
        cases: pictures and the reference's results; the bundle's golden ones by default.
        options: how strict and how thorough.
        watch: called with (target, precision, scope) before each comparison.
    """
    options = options or CheckOptions()
    cases = golden_cases(bundle) if cases is None else cases
    results: list[ParityResult] = []
    renderings: list[Rendering] = []
    for target, precision in variants if variants is not None else bundle.variants():
        with options.sessions(bundle) as sessions:
            check = _VariantCheck(bundle, target, precision, cases, options, sessions)
            for scope in check.scopes():
                if watch is not None:
                    watch(target, precision, scope.name)
                results.append(check.compare(scope))
            renderings += check.renderings
        if target is Target.COREML:
            results += core_ml_rows(bundle, precision, [case.arrays() for case in cases[:PROBED]])
    return ParityReport(tuple(results), tuple(renderings))


@dataclass(frozen=True)
class _Scope:
    """What one row compares.

    Attributes:
        name: the stage's, "pipeline", or "pipeline, tiles of 256" at a size that is not the plan's.
        models: what computes it.
        stage: None for the pipeline.
        plan: how tiles are cut.
        opinion: who computes it instead of the target's own runtime.
    """

    name: str
    models: Mapping[Stage, ModelEntry]
    stage: Stage | None
    plan: PipelinePlan
    opinion: Opinion | None = None

    def limits(self, team: TeamTolerances | None) -> Tolerance:
        """What is promised of it."""
        model = next(iter(self.models.values()))
        scope = PIPELINE if self.stage is None else self.stage.value
        half = self.opinion is not None and self.opinion.half and model.precision is Precision.FP32
        precision = Precision.FP16 if half else model.precision
        limits = tolerance(scope, precision, model.target, model.has_buffers)
        return limits if team is None else team.apply(scope, model.target, model.precision, limits)


class _VariantCheck:
    """All comparisons of one target in one precision."""

    def __init__(
        self,
        bundle: Bundle,
        target: Target,
        precision: Precision,
        cases: Sequence[Case],
        options: CheckOptions,
        sessions: SessionOpener,
    ) -> None:
        self._bundle, self._cases, self._options, self._sessions = bundle, cases, options, sessions
        self._target, self._precision = target, precision
        self.renderings: list[Rendering] = []

    def scopes(self) -> Iterator[_Scope]:
        """The stages in the bundle, the pipeline when all of them are (at every tile size), then second opinions."""
        plan = self._bundle.manifest.plan
        models = {model.stage: model for model in self._bundle.models(self._target, self._precision)}
        for stage, model in models.items():
            yield _Scope(stage.value, {stage: model}, stage, plan)
        if len(models) == len(Stage):
            yield _Scope(PIPELINE, models, None, plan)
            others = self._bundle.other_tiles(self._target, self._precision)
            for tile in dict.fromkeys(model.tile for model in others if model.tile is not None):
                resized = models | {model.stage: model for model in others if model.tile == tile}
                yield _Scope(f"{PIPELINE}, tiles of {tile}", resized, None, plan.with_tiles(tile))
        for opinion in opinions_for(self._target) if self._options.opinions else ():
            for stage, model in models.items():
                yield _Scope(f"{stage}, {opinion.title}", {stage: model}, stage, plan, opinion)

    def compare(self, scope: _Scope) -> ParityResult:
        """One row; what goes wrong in a runtime is that row's verdict, not the end of the check."""
        try:
            if problems := self._declared_problems(scope):
                return self._result(scope, Verdict.FAIL, reason="; ".join(problems))
            measured = list(self._pipeline(scope) if scope.stage is None else self._stage(scope, scope.stage))
        except (MissingExtraError, OpinionUnavailableError) as error:
            return self._result(scope, Verdict.NOT_RUN, reason=str(error))
        except Exception as error:  # every runtime raises classes of its own
            return self._result(scope, Verdict.FAIL, reason=first_line(error))
        names = dict.fromkeys(name for _, values in measured for name in values)
        worst = {n: metrics.worst(n, [values[n] for _, values in measured if n in values]) for n in names}
        limits = scope.limits(self._options.tolerances)
        broken = [f"{case}: {problem}" for case, values in measured for problem in limits.violations(values)]
        ignored: list[str] = []
        if scope.stage is not None and scope.opinion is None:
            effects = self._effects(scope, scope.stage)
            worst["input_effect"] = min(effects.values())
            ignored = [f"the output does not depend on {n}" for n, effect in effects.items() if effect < LEAST_EFFECT]
        if not broken and not ignored:
            doubts = [model.uncompared_weights for model in scope.models.values() if model.uncompared_weights]
            verdict = Verdict.NOT_RUN if doubts else Verdict.PASS
            return self._result(scope, verdict, worst, "; ".join(doubts))
        causes = self._causes(scope) if broken else ()
        return self._result(scope, Verdict.FAIL, worst, "; ".join([*ignored, *broken]), causes)

    def _result(
        self,
        scope: _Scope,
        verdict: Verdict,
        values: dict[str, float] | None = None,
        reason: str = "",
        causes: tuple[str, ...] = (),
    ) -> ParityResult:
        return ParityResult(
            self._target,
            self._precision,
            scope.name,
            verdict,
            values or {},
            reason,
            self._runtime(scope) if verdict is not Verdict.NOT_RUN else "",
            scope.limits(self._options.tolerances),
            causes=causes,
        )

    def _runtime(self, scope: _Scope) -> str:
        """Who computes; empty where nothing does."""
        names = []
        for model in scope.models.values():
            try:
                names.append(self._session(scope, model).runtime)
            except DofkitError:
                continue
        return ", ".join(dict.fromkeys(names))

    def _session(self, scope: _Scope, model: ModelEntry) -> Session:
        return self._sessions.session(model, scope.opinion)

    def _stage(self, scope: _Scope, stage: Stage) -> Iterator[tuple[str, dict[str, float]]]:
        session = self._session(scope, scope.models[stage])
        for case in self._cases if scope.opinion is None else self._cases[:PROBED]:
            arrays = case.arrays()
            output = from_network(session.run(arrays.inputs(stage)))
            yield case.name, metrics.picture(from_network(arrays.output(stage)), output)

    def _effects(self, scope: _Scope, stage: Stage) -> dict[str, float]:
        """How far each input moves the output; the greatest over the probed cases."""
        session = self._session(scope, scope.models[stage])
        effects: dict[str, float] = {}
        for case in self._cases[:PROBED]:
            for name, effect in input_effect(session, case.arrays().inputs(stage)).items():
                effects[name] = max(effect, effects.get(name, 0.0))
        return effects

    def _pipeline(self, scope: _Scope) -> Iterator[tuple[str, dict[str, float]]]:
        pipeline = PortraitPipeline({s: self._session(scope, model) for s, model in scope.models.items()}, scope.plan)
        for number, case in enumerate(self._cases):
            arrays = case.arrays()
            output = pipeline.render(arrays.photo, pipeline.disparity(arrays.photo), case.lens, np.float32)
            if scope.name == PIPELINE and self._options.renderings is not None:
                path = self._options.renderings / f"{self._target}-{self._precision}-{number}.npy"
                np.save(path, output)
                kept = np.load(path, mmap_mode="r")  # read when it is looked at: memory does not grow with the photos
                self.renderings.append(Rendering(self._target, self._precision, case.name, kept))
            yield case.name, metrics.picture(arrays.rendered, output) | _seen(arrays, output, case.lens)

    def _causes(self, scope: _Scope) -> tuple[str, ...]:
        """Why a stage's file fails, as far as can be told; a pipeline fails because of its stages."""
        if scope.stage is None or scope.opinion is not None:
            return ()
        model = scope.models[scope.stage]
        try:
            return explain(
                self._session(scope, model),
                self._bundle,
                model,
                [case.arrays() for case in self._cases[:PROBED]],
                scope.limits(self._options.tolerances),
                None if self._options.reference is None else self._options.reference(),
            )
        except Exception as error:  # a diagnosis that fails must not hide the failure that it was to explain
            return (f"the diagnosis itself stopped: {first_line(error)}",)

    def _declared_problems(self, scope: _Scope) -> list[str]:
        """What is wrong before anything is computed: stored weights, and the declarations of a Core ML package."""
        models = scope.models.values()
        problems = [problem for model in models for problem in model.weight_problems]
        if self._target is Target.COREML:
            problems += [problem for model in models for problem in core_ml_problems(self._bundle, model)]
        return problems


def _seen(arrays: GoldenArrays, output: Array, lens: Lens) -> dict[str, float]:
    """What photographers see: PSNR in the focused region, in the band along depth edges, and at highlights."""
    height, width = arrays.rendered.shape[:2]
    disparity = resize(arrays.output(Stage.DEPTH)[0, 0], (height, width))
    radius = defocus(disparity, lens.focus, lens.aperture, max(height, width))
    regions = {
        "focus_psnr": metrics.in_focus(radius),
        "edge_psnr": metrics.depth_edge_band(disparity, width=max(height, width) // 64),
        "highlight_psnr": metrics.highlights(arrays.rendered),
    }
    return {name: metrics.psnr(arrays.rendered, output, where) for name, where in regions.items() if where.sum() >= 16}

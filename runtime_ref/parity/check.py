"""Parity: the exported file, as it lies on disk, against the reference's results on real and hard pictures.

A verdict is PASS, FAIL or NOT RUN (with the reason); a comparison never stops at the first failure, and a runtime that
crashes is a failure of its file, not of the comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..backends import Backend, BackendUnavailableError, Session, Transport, backends_for, default_backend
from ..backends.file_tensors import DescribedSession
from ..backends.own_process import OwnProcess, SessionTimeoutError
from ..backends.patience import VARIABLE as PATIENCE
from ..backends.stages import stage_sessions
from ..bundle import Bundle, ModelEntry
from ..bundle.golden import GoldenArrays
from ..errors import DofkitError, MissingExtraError, first_line
from ..pipeline.optics import defocus
from ..pipeline.plan import PipelinePlan
from ..pipeline.portrait import Array, Lens, PortraitPipeline, from_network
from ..pipeline.resampling import resize
from ..pipeline.session import run_each
from ..pipeline.stage import PIPELINE_STAGES, Stage
from ..target import Precision, Target
from . import metrics
from .cases import Case, golden_cases
from .declared import declared_problems, plan_problems
from .diagnosis.effects import input_effect
from .diagnosis.explain import Reference, explain
from .grade import Grade
from .host_steps import step_differences
from .remembering import Memory
from .tolerance_file import TeamTolerances
from .tolerances import Tolerance, tolerance
from .verdict import PIPELINE, RUNTIME, STEPS, ParityReport, ParityResult, Rendering, RowKey, Verdict, graded

__all__ = ["PIPELINE", "CheckOptions", "ParityReport", "ParityResult", "Rendering", "Variant", "Verdict", "run_parity"]

# The cases on which inputs of a stage are changed until each has shown an effect, and on which backends beside the
# default one are asked: a photo and the hard one suffice, and both cost several runs.
PROBED = 2
# An output that moves less than this when an input is mirrored and dimmed does not depend on it.
LEAST_EFFECT = 1e-6

Variant = tuple[Target, Precision]
Watcher = Callable[[Target, Precision, str], None]


@dataclass(frozen=True)
class CheckOptions:
    """How strict and how thorough a comparison is.

    Attributes:
        tolerances: a team's own limits; None takes the table's.
        backends: what computes, each for its targets; None is every target's default backend, and those of Apple's on
            a Mac.
        least_grade: a pipeline whose pictures look worse FAILs; None accepts all.
        reference: gives the reference itself where it is at hand, to find causes with; called when something fails.
        renderings: a folder that keeps the renderings for a report; None keeps none.
        transport: where backends compute; each in a process of its own by default.
    """

    tolerances: TeamTolerances | None = None
    backends: tuple[Backend, ...] | None = None
    least_grade: Grade | None = None
    reference: Callable[[], Reference] | None = None
    renderings: Path | None = None
    transport: Callable[[], AbstractContextManager[Transport]] = OwnProcess

    def asked(self, target: Target) -> tuple[Backend, ...]:
        """The backends that compute a target's files."""
        if self.backends is not None:
            return tuple(one for one in self.backends if target in one.facts.targets)
        routine = (one for one in backends_for(target) if one.facts.is_routine and one.available() is None)
        return (default_backend(target), *routine)


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
        watch: called with (target, precision, what) before each comparison.
    """
    options = options or CheckOptions()
    cases = golden_cases(bundle) if cases is None else cases
    results: list[ParityResult] = []
    renderings: list[Rendering] = []
    chosen = list(variants if variants is not None else bundle.variants())
    if bundle.manifest.steps and chosen and options.backends is None:  # else one runtime is in question
        results.append(_steps(bundle, *chosen[0], watch))
    for target, precision in chosen:
        with options.transport() as transport:
            check = _VariantCheck(bundle, target, precision, cases, options, transport)
            for row in check.rows():
                if watch is not None:
                    watch(target, precision, row.key.title)
                check.compare(row)
            results += check.results
            renderings += check.renderings
        results += _absent(target, precision, options)
    return ParityReport(tuple(results), tuple(renderings))


def _steps(bundle: Bundle, target: Target, precision: Precision, watch: Watcher | None) -> ParityResult:
    """The row of the steps around the networks, which no target has a part in: it stands with the first."""
    if watch is not None:
        watch(target, precision, STEPS)
    key = RowKey(STEPS, target, precision, backend="", device="")
    try:
        found = step_differences(bundle)
    except DofkitError as error:
        return ParityResult(key, Verdict.FAIL, reason=first_line(error))
    verdict = Verdict.FAIL if found else Verdict.PASS
    return ParityResult(key, verdict, reason="; ".join(map(str, found)), failing=tuple(each.case for each in found))


def _absent(target: Target, precision: Precision, options: CheckOptions) -> Iterator[ParityResult]:
    """One row, which decides nothing, where runtimes that every check should ask exist on other machines only."""
    asked = options.asked(target)
    for one in backends_for(target):
        reason = one.available() if one.facts.is_routine and one not in asked else None
        if reason is not None and default_backend(target) in asked:
            key = RowKey(RUNTIME, target, precision, backend="", device="")
            yield ParityResult(key, Verdict.NOT_RUN, reason=str(reason), decisive=False)
            return


@dataclass(frozen=True)
class _Row:
    """What one row compares.

    Attributes:
        models: what is computed.
        stage: None for the pipeline.
        plan: how tiles are cut.
        brought: the stages among them whose networks were.
    """

    key: RowKey
    backend: Backend
    models: tuple[ModelEntry, ...]
    stage: Stage | None
    plan: PipelinePlan
    brought: frozenset[Stage] = frozenset()

    @property
    def is_default(self) -> bool:
        """Whether the target's default backend computes it."""
        return self.backend == default_backend(self.key.target)

    @property
    def model(self) -> ModelEntry:
        """The model of a stage's row."""
        return self.models[0]

    def arrays(self, case: Case) -> GoldenArrays:
        """A case's inputs and what is right, of the size that the row's model takes."""
        arrays = case.arrays()
        if self.stage is not Stage.DEPTH or not self.plan.further_depth_sizes:
            return arrays
        return arrays.at_depth(self.model.depth_size or self.plan.depth_shape)

    def limits(self, team: TeamTolerances | None) -> Tolerance:
        """What is promised of it."""
        model = self.models[0]
        facts, buffers = self.backend.facts, model.has_buffers
        limits = tolerance(
            self.key.scope, model.precision, model.target, buffers, facts.arithmetic, facts.half_sums, self.brought
        )
        return limits if team is None else team.apply(self.key, limits)


class _VariantCheck:
    """All comparisons of one target in one precision.

    Attributes:
        results: the rows that were compared so far.
        renderings: pictures of its pipelines.
    """

    def __init__(
        self,
        bundle: Bundle,
        target: Target,
        precision: Precision,
        cases: Sequence[Case],
        options: CheckOptions,
        transport: Transport,
    ) -> None:
        self._bundle, self._cases, self._options, self._transport = bundle, cases, options, transport
        self._target, self._precision = target, precision
        self._memory = Memory()
        self.results: list[ParityResult] = []
        self.renderings: list[Rendering] = []

    def rows(self) -> Iterator[_Row]:
        """A row for each backend and stage; for the default backend the pipeline, too, when all stages are there (at
        every tile size).
        """
        plan = self._bundle.manifest.plan
        models = {model.stage: model for model in self._bundle.models(self._target, self._precision)}
        depths = self._bundle.further_depths(self._target, self._precision)
        for one in self._options.asked(self._target):
            for model in [*models.values(), *depths]:
                key = replace(self._key(model.stage.value, one), depth_size=model.depth_size)
                yield _Row(key, one, (model,), model.stage, plan, self._bundle.manifest.brought(model.stage))
            if one == default_backend(self._target) and set(PIPELINE_STAGES) <= set(models):
                yield from self._pipelines(one, {stage: models[stage] for stage in PIPELINE_STAGES}, depths)

    def _pipelines(
        self, one: Backend, models: Mapping[Stage, ModelEntry], depths: Sequence[ModelEntry]
    ) -> Iterator[_Row]:
        plan = self._bundle.manifest.plan
        brought = self._bundle.manifest.brought(None)
        yield _Row(self._key(PIPELINE, one), one, (*models.values(), *depths), None, plan, brought)
        others = self._bundle.other_tiles(self._target, self._precision)
        for tile in dict.fromkeys(model.tile for model in others if model.tile is not None):
            resized = {**models, **{model.stage: model for model in others if model.tile == tile}}
            key = replace(self._key(PIPELINE, one), tile=tile)
            yield _Row(key, one, (*resized.values(), *depths), None, plan.with_tiles(tile), brought)

    def _key(self, scope: str, one: Backend) -> RowKey:
        return RowKey(scope, self._target, self._precision, one.facts.id, one.facts.device)

    def compare(self, row: _Row) -> None:
        """Add one row's result; what goes wrong in a runtime is that row's verdict, not the end of the check."""
        try:
            result = self._compared(row)
        except (MissingExtraError, BackendUnavailableError) as error:
            result = self._result(row, Verdict.NOT_RUN, reason=str(error))
        except SessionTimeoutError as error:
            # An app's runtime must not take so long; one that is made to be right, not fast, says nothing by it.
            slow = row.backend.facts.on_one_core
            remedy = f"; {PATIENCE}=1800 gives it three times as long" if slow else ""
            result = self._result(row, Verdict.NOT_RUN if slow else Verdict.FAIL, reason=f"{error}{remedy}")
        except Exception as error:  # every runtime raises classes of its own
            result = self._result(row, Verdict.FAIL, reason=first_line(error))
        self.results.append(result)

    def _compared(self, row: _Row) -> ParityResult:
        if problems := self._declared_problems(row):
            return self._result(row, Verdict.FAIL, reason="; ".join(problems))
        measured = list(self._pipeline(row) if row.stage is None else self._stage(row, row.stage))
        names = dict.fromkeys(name for _, values in measured for name in values)
        worst = {n: metrics.worst(n, [values[n] for _, values in measured if n in values]) for n in names}
        limits = row.limits(self._options.tolerances)
        broken = [(case, problem) for case, values in measured for problem in limits.violations(values)]
        problems = [f"{case}: {problem}" for case, problem in broken]
        if row.stage is not None and row.is_default:
            effects = self._effects(row, row.stage)
            worst["input_effect"] = min(effects.values())
            ignored = [f"the output does not depend on {n}" for n, effect in effects.items() if effect < LEAST_EFFECT]
            problems = [*ignored, *problems]
        doubts = [model.uncompared_weights for model in row.models if model.uncompared_weights]
        verdict = Verdict.FAIL if problems else Verdict.NOT_RUN if doubts else Verdict.PASS
        result = self._result(row, verdict, worst, "; ".join(problems or doubts))
        if broken:
            failing = tuple(dict.fromkeys(case for case, _ in broken))
            result = replace(result, failing=failing, causes=self._causes(row))
        return graded(result, self._options.least_grade)

    def _result(
        self, row: _Row, verdict: Verdict, values: dict[str, float] | None = None, reason: str = ""
    ) -> ParityResult:
        runtime = self._runtime(row) if verdict is not Verdict.NOT_RUN else ""
        return ParityResult(row.key, verdict, values or {}, reason, runtime, row.limits(self._options.tolerances))

    def _runtime(self, row: _Row) -> str:
        """Who computes; empty where nothing does."""
        names = []
        for model in row.models:
            try:
                names.append(self._session(row, model).runtime)
            except DofkitError:
                continue
        return ", ".join(dict.fromkeys(names))

    def _session(self, row: _Row, model: ModelEntry) -> Session:
        return self._transport.open(row.backend, self._bundle, model)

    def _remembered(self, row: _Row, model: ModelEntry, keep: bool = True) -> Session:
        """A session that is not asked again for what another row of this check asked."""
        return self._memory.session(row.backend.facts.id, model.location, self._session(row, model), keep)

    def _asked_of(self, row: _Row) -> Sequence[Case]:
        """The cases that a row's backend computes."""
        # Apple's on Linux takes minutes for a picture of a transformer in fp16: the evaluator computes the others.
        if row.backend.facts.on_one_core and row.brought:
            return self._cases[:1]
        return self._cases if row.is_default else self._cases[:PROBED]

    def _stage(self, row: _Row, stage: Stage) -> Iterator[tuple[str, dict[str, float]]]:
        model = row.model
        session = self._remembered(row, model)
        ordinary = default_backend(self._target)
        # Where a target's default is an evaluation by definition, what its own runtimes differ from it by is told, too.
        beside = None if row.is_default or not ordinary.facts.is_reference else ordinary
        run_each(session, [row.arrays(case).inputs(stage) for case in self._asked_of(row)[:PROBED]])  # at once
        for case in self._asked_of(row):
            arrays = row.arrays(case)
            output = from_network(session.run(arrays.inputs(stage)))
            values = metrics.picture(from_network(arrays.output(stage)), output)
            if beside is not None:
                evaluated = self._transport.open(beside, self._bundle, model).run(arrays.inputs(stage))
                values["evaluator_psnr"] = metrics.psnr(from_network(evaluated), output)
            yield case.name, values

    def _effects(self, row: _Row, stage: Stage) -> dict[str, float]:
        """How far each input moves the output, on the first case where all do; else the greatest of all cases.

        It is the file that may have lost an input, so that an evaluation by definition tells as much as a runtime
        that takes several times as long.
        """
        asked = (one for one in self._options.asked(self._target) if one.facts.is_reference)
        judge = replace(row, backend=next(asked, row.backend)) if row.backend.facts.on_one_core else row
        session = self._remembered(judge, row.model)
        effects: dict[str, float] = {}
        for case in self._cases[:PROBED]:
            if effects and min(effects.values()) >= LEAST_EFFECT:
                break
            for name, effect in input_effect(session, row.arrays(case).inputs(stage)).items():
                effects[name] = max(effect, effects.get(name, 0.0))
        return effects

    def _pipeline(self, row: _Row) -> Iterator[tuple[str, dict[str, float]]]:
        sessions = stage_sessions(row.models, row.plan, lambda model: self._remembered(row, model, keep=False))
        pipeline = PortraitPipeline(sessions, row.plan)
        for number, case in enumerate(self._asked_of(row)):
            arrays = case.arrays()
            output = pipeline.render(arrays.photo, pipeline.disparity(arrays.photo), case.lens, np.float32)
            if row.key.tile is None and self._options.renderings is not None:
                path = self._options.renderings / f"{self._target}-{self._precision}-{number}.npy"
                np.save(path, output)
                kept = np.load(path, mmap_mode="r")  # read when it is looked at: memory does not grow with the photos
                self.renderings.append(Rendering(row.key, case.name, kept))
            yield case.name, metrics.picture(arrays.rendered, output) | _seen(arrays, output, case.lens)

    def _causes(self, row: _Row) -> tuple[str, ...]:
        """Why a stage's file fails, as far as can be told; a pipeline fails because of its stages, and a file that
        fails on the default backend is explained there.
        """
        if row.stage is None or (not row.is_default and self._fails_by_default(row)):
            return ()
        try:
            return explain(
                self._session(row, row.model),
                self._bundle,
                row.model,
                [row.arrays(case) for case in self._cases[:PROBED]],
                row.limits(self._options.tolerances),
                None if self._options.reference is None else self._options.reference(),
            )
        except Exception as error:  # a diagnosis that fails must not hide the failure that it was to explain
            return (f"the diagnosis itself stopped: {first_line(error)}",)

    def _fails_by_default(self, row: _Row) -> bool:
        key = RowKey.by_default(row.key.scope, self._target, self._precision, depth_size=row.key.depth_size)
        return any(result.key == key and result.verdict is Verdict.FAIL for result in self.results)

    def _declared_problems(self, row: _Row) -> list[str]:
        """What is wrong before anything is computed: stored weights, the plan's sizes, the file's own declarations."""
        problems = [problem for model in row.models for problem in model.weight_problems]
        if row.stage is None:
            problems += plan_problems(row.plan, row.models)
        if problems:
            return problems
        for model in row.models:
            session = self._session(row, model)
            found = session.tensors() if isinstance(session, DescribedSession) else None
            problems += [] if found is None else declared_problems(model, found)
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

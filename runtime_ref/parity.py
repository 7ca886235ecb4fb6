"""Parity: the exported file, as it lies on disk, against PyTorch fp32 on the bundle's golden inputs.

A verdict is PASS, FAIL or NOT RUN (with the reason); a comparison never stops at the first failure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from . import metrics
from .bundle import Bundle, ModelEntry
from .errors import DofkitError, MissingExtraError
from .golden import GoldenArrays, read_golden
from .optics import defocus
from .pipeline import Array, Lens, PortraitPipeline, from_network
from .pyramid import resize
from .sessions import Session, coreml, open_session
from .stage import Stage
from .target import Precision, Target
from .tolerances import Tolerance, tolerance

PIPELINE = "pipeline"


class Verdict(str, Enum):
    """What a comparison says."""

    PASS = "PASS"
    FAIL = "FAIL"
    NOT_RUN = "NOT RUN"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class ParityResult:
    """One row of the table: a stage, or the whole pipeline, of one target and precision.

    Attributes:
        scope: the stage's name, or "pipeline".
        metrics: the worst value of each metric over all golden cases; empty when not run.
        reason: why it failed or did not run; empty when it passed.
        runtime: what computed the output.
    """

    target: Target
    precision: Precision
    scope: str
    verdict: Verdict
    metrics: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    runtime: str = ""


@dataclass(frozen=True)
class Rendering:
    """The whole pipeline's output on one golden photo, kept for the report's pictures. `[H, W, 3]`."""

    target: Target
    precision: Precision
    case: str
    output: Array


@dataclass(frozen=True)
class ParityReport:
    """All results of a bundle."""

    results: tuple[ParityResult, ...]
    renderings: tuple[Rendering, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """FAIL if anything failed, else NOT RUN if anything did not run, else PASS."""
        verdicts = {result.verdict for result in self.results}
        for worst in (Verdict.FAIL, Verdict.NOT_RUN):
            if worst in verdicts:
                return worst
        return Verdict.PASS if verdicts else Verdict.NOT_RUN

    def as_json(self) -> dict[str, Any]:
        """The results as JSON data; pictures are not part of it."""
        return {"verdict": self.verdict.value, "results": [asdict(result) for result in self.results]}


Variant = tuple[Target, Precision]
Watcher = Callable[[Target, Precision, str], None]


def run_parity(bundle: Bundle, variants: list[Variant] | None = None, watch: Watcher | None = None) -> ParityReport:
    """Compare every model of a bundle, and every complete pipeline, with the golden vectors.

    Args:
        bundle: a bundle whose golden files are in place.
        variants: the (target, precision) pairs to compare; all by default.
        watch: called with (target, precision, scope) before each comparison.
    """
    golden = [(case, read_golden(bundle.path(case.path))) for case in bundle.manifest.golden]
    results: list[ParityResult] = []
    renderings: list[Rendering] = []
    for target, precision in variants if variants is not None else bundle.variants():
        check = _VariantCheck(bundle, target, precision, [(case.name, arrays) for case, arrays in golden])
        for scope in check.scopes:
            if watch is not None:
                watch(target, precision, scope)
            results.append(check.compare(scope))
        renderings += check.renderings
    return ParityReport(tuple(results), tuple(renderings))


class _VariantCheck:
    """All comparisons of one target in one precision; sessions are opened once."""

    def __init__(
        self, bundle: Bundle, target: Target, precision: Precision, golden: list[tuple[str, GoldenArrays]]
    ) -> None:
        self._bundle = bundle
        self._models = {model.stage: model for model in bundle.models(target, precision)}
        self._golden = golden
        self._sessions: dict[Stage, Session] = {}
        self._target, self._precision = target, precision
        self.renderings: list[Rendering] = []

    @property
    def scopes(self) -> list[str]:
        """The stages in the bundle, and the pipeline when all of them are."""
        return [stage.value for stage in self._models] + ([PIPELINE] if len(self._models) == len(Stage) else [])

    def compare(self, scope: str) -> ParityResult:
        """One row; what goes wrong in a runtime is that row's verdict, not the end of the check."""
        try:
            if self._target is Target.COREML:
                return self._structure(scope)
            measured = list(self._pipeline() if scope == PIPELINE else self._stage(Stage(scope)))
        except MissingExtraError as error:
            return self._result(scope, Verdict.NOT_RUN, reason=str(error))
        except Exception as error:  # every runtime raises classes of its own
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            return self._result(scope, Verdict.FAIL, reason=reason)
        limits = tolerance(scope, self._precision, self._target)
        worst = {
            name: _worst(name, [values[name] for _, values in measured if name in values]) for name in _names(measured)
        }
        broken = [problem for case, values in measured for problem in _violations(case, values, limits)]
        verdict = Verdict.FAIL if broken else Verdict.PASS
        return self._result(scope, verdict, worst, "; ".join(broken))

    def _result(
        self, scope: str, verdict: Verdict, values: dict[str, float] | None = None, reason: str = ""
    ) -> ParityResult:
        runtimes = dict.fromkeys(session.runtime for session in self._sessions.values())
        return ParityResult(self._target, self._precision, scope, verdict, values or {}, reason, ", ".join(runtimes))

    def _session(self, stage: Stage) -> Session:
        if stage not in self._sessions:
            self._sessions[stage] = open_session(self._target, stage, self._bundle.path(self._models[stage].path))
        return self._sessions[stage]

    def _stage(self, stage: Stage) -> Iterator[tuple[str, dict[str, float]]]:
        for name, arrays in self._golden:
            output = from_network(self._session(stage).run(arrays.inputs(stage)))
            reference = from_network(arrays.output(stage))
            yield name, _picture_metrics(reference, output)

    def _pipeline(self) -> Iterator[tuple[str, dict[str, float]]]:
        pipeline = PortraitPipeline({stage: self._session(stage) for stage in Stage}, self._bundle.manifest.plan)
        for case, (name, arrays) in zip(self._bundle.manifest.golden, self._golden, strict=True):
            lens = Lens(case.focus, case.aperture)
            photo = arrays.photo
            output = pipeline.render(photo, pipeline.disparity(photo), lens, np.float32)
            self.renderings.append(Rendering(self._target, self._precision, name, output))
            yield name, _picture_metrics(arrays.rendered, output) | _seen(arrays, output, lens)

    def _structure(self, scope: str) -> ParityResult:
        """Core ML off macOS: the package's declarations against the manifest; its numbers are NOT RUN."""
        models = self._models.values() if scope == PIPELINE else [self._models[Stage(scope)]]
        problems = [problem for model in models for problem in coreml_problems(self._bundle, model)]
        if problems:
            return self._result(scope, Verdict.FAIL, reason="; ".join(problems))
        return self._result(scope, Verdict.NOT_RUN, reason=coreml.NO_RUNTIME)


def coreml_problems(bundle: Bundle, model: ModelEntry) -> list[str]:
    """What in a Core ML package is not as the manifest says; empty when all is."""
    found = coreml.read_structure(bundle.path(model.path))
    problems = []
    for kind, tensors, declared in (("input", model.inputs, found.inputs), ("output", model.outputs, found.outputs)):
        wanted = {tensor.name: tensor.shape for tensor in tensors}
        if wanted != declared:
            problems.append(f"{model.path}: {kind}s are {declared}, the manifest says {wanted}")
    wrong = sorted(name for name, dtype in found.dtypes.items() if dtype != "float32")
    if wrong:
        problems.append(f"{model.path}: {', '.join(wrong)} not float32")
    if found.operators != model.operators:
        problems.append(f"{model.path}: operations {found.operators} differ from the manifest's {model.operators}")
    return problems


def _picture_metrics(reference: Array, output: Array) -> dict[str, float]:
    if output.shape != reference.shape:
        raise DofkitError(f"the output's shape is {output.shape}, PyTorch's is {reference.shape}")
    if not np.isfinite(output).all():
        raise DofkitError("the output holds NaN or infinity")
    return {
        "max_abs": metrics.max_abs(reference, output),
        "psnr": metrics.psnr(reference, output),
        "ssim": metrics.ssim(reference, output),
    }


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


def _names(measured: list[tuple[str, dict[str, float]]]) -> list[str]:
    return list(dict.fromkeys(name for _, values in measured for name in values))


def _worst(name: str, values: list[float]) -> float:
    return max(values) if name == "max_abs" else min(values)


def _violations(case: str, values: dict[str, float], limits: Tolerance) -> Iterator[str]:
    if limits.max_abs is not None and values["max_abs"] > limits.max_abs:
        yield f"{case}: max abs {values['max_abs']:.2e} > {limits.max_abs:.0e}"
    if limits.psnr is not None and values["psnr"] < limits.psnr:
        yield f"{case}: PSNR {values['psnr']:.1f} < {limits.psnr:g} dB"

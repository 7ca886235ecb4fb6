"""`dofkit export`, step by step: load, convert, compute golden vectors, prove parity, describe, seal."""

from __future__ import annotations

import dataclasses
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path

import torch
from typing_extensions import assert_never

from ..runtime_ref.bundle import (
    MANIFEST,
    SCHEMA,
    SUFFIX,
    Bundle,
    Manifest,
    ModelEntry,
    NetworkEntry,
    describe_files,
    manifest_schema,
    new_bundle,
    refuse_foreign,
)
from ..runtime_ref.errors import DofkitError, ensure_installed
from ..runtime_ref.parity.cases import ArraysByName, Case, compute_case
from ..runtime_ref.parity.check import CheckOptions, ParityReport, run_parity
from ..runtime_ref.parity.reports.page import write_readme, write_report
from ..runtime_ref.pipeline.aspects import Size
from ..runtime_ref.pipeline.plan import PipelinePlan
from ..runtime_ref.pipeline.stage import PIPELINE_STAGES, PREVIEWS, TILED, Stage
from ..runtime_ref.target import Precision, Target
from ..train.brought.networks import Brought
from ..train.brought.taking_part import NetworkSources
from ..train.networks.registry import ARCHITECTURES, Architectures
from ..train.reference import PyTorchReference
from ..train.session import plan_of, torch_sessions
from ..train.weights import SHIPPED, Terms
from .calibration import Calibration, CalibrationSet, find_photos
from .conventions import CONVENTIONS
from .coreml.options import CoreMLOptions, refuse_impossible
from .coverage import Coverage
from .entries import golden_entry, network_entry
from .focal import refuse_unoffered
from .further import FurtherSizes, pipeline_and_further
from .golden import golden_pictures
from .job import Job
from .labels import Labels, refuse_contradiction
from .precision import refuse_useless
from .preview import preview_graphs, preview_networks, refuse_fixed, refuse_preview
from .recipe import Recipe, recipes_for
from .refusals import refuse_onnx
from .stages import StackSize, graph_size, stage_graphs
from .step_pictures import step_pictures, write_step_cases
from .tools import tool_versions

Watch = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ExportRequest:
    """What to export.

    Attributes:
        out: the bundle's folder; an older bundle there is replaced when the new one is complete.
        targets, precisions, stages: what to write; every combination is written.
        tile: side of the rendering stages' low-resolution tiles in pixels, halo included; None takes each one's own.
        depth_sizes: (height, width) of the depth network's inputs, a graph each; None: the usual ones that it takes.
        stack: slices and size of the graph of focal stacks, where that is among the stages.
        preview: (height, width) of the photo that both previews take; None: no previews.
        weights: folder with the stages' safetensors files; what it lacks of the other stages is taken as it ships.
        brought: networks that take the place of a stage's weights.
        photos: real photos for the golden vectors; empty takes a public-domain one.
        calibration: folder of photos to measure ranges of activations on; None takes those of scikit-image.
        recipes: files that say which layers mixed models leave in floats; a target without one takes the shipped one.
        force: also write precisions that were measured to be useless for a target.
        coreml: how Core ML packages are written.
        labels: what files say of themselves.
        architectures: those that weights may be of.
    """

    out: Path
    targets: tuple[Target, ...]
    precisions: tuple[Precision, ...] = (Precision.FP32,)
    stages: tuple[Stage, ...] = PIPELINE_STAGES
    tile: int | None = None
    depth_sizes: tuple[Size, ...] | None = None
    stack: StackSize = field(default_factory=StackSize)
    preview: Size | None = None
    weights: Path = SHIPPED
    brought: Mapping[Stage, Brought] = field(default_factory=dict)
    photos: tuple[Path, ...] = ()
    calibration: Path | None = None
    recipes: tuple[Path, ...] = ()
    force: bool = False
    coreml: CoreMLOptions = field(default_factory=CoreMLOptions)
    labels: Labels = field(default_factory=Labels)
    architectures: Architectures = ARCHITECTURES

    @property
    def is_whole(self) -> bool:
        """Whether all stages of the pipeline are among those asked for."""
        return set(PIPELINE_STAGES) <= set(self.stages)

    @property
    def sources(self) -> NetworkSources:
        """Where the networks are from."""
        return NetworkSources(self.weights, self.stages, self.brought, self.architectures)


@dataclass(frozen=True)
class ExportResult:
    """What an export wrote and proved; the coverage of its calibration, where a precision needed one."""

    bundle: Bundle
    parity: ParityReport
    coverage: Coverage | None
    seconds: float

    @property
    def manifest(self) -> Manifest:
        """The bundle's."""
        return self.bundle.manifest


@dataclass(frozen=True)
class _Prepared:
    """A request that was found to be possible, and what follows from it."""

    request: ExportRequest
    plan: PipelinePlan
    coreml: CoreMLOptions
    recipes: Mapping[Target, Recipe]
    calibration: CalibrationSet
    terms: Mapping[Stage, Terms]

    @property
    def steps(self) -> int:
        """How many steps the watcher is told of."""
        request = self.request
        whole = request.is_whole
        graphs = len(request.stages) + (0 if request.preview is None else len(PREVIEWS))
        graphs += len(self.plan.further_depth_sizes) if Stage.DEPTH in request.stages else 0
        scopes = graphs + whole
        conversions = len(request.targets) * graphs
        tiled = sum(target in (Target.COREML, Target.COREAI) for target in request.targets)
        conversions += tiled * len(self.coreml.tiles) * sum(stage in TILED for stage in request.stages)
        comparisons = len(request.targets) * len(request.precisions) * scopes
        if whole:
            comparisons += tiled * len(request.precisions) * len(self.coreml.tiles)
        return conversions + comparisons + max(1, len(request.photos)) + 2


def export_bundle(request: ExportRequest, watch: Watch = lambda *_: None) -> ExportResult:
    """Export, prove and write a bundle; it appears at `request.out` whole or not at all.

    Args:
        request: what to export.
        watch: called with (what happens now, steps done, steps in all).

    Returns:
        The bundle, opened, and what the comparison of every file in it with PyTorch showed.

    Raises:
        DofkitError: on weights that do not load, a missing extra, a goal that cannot be written, sizes that the
            networks do not take, a recipe for other weights, a licence that the weights contradict.
    """
    started = time.perf_counter()
    # 1. Refuse early what would fail late: the goal, the packages that are needed, sizes, recipes and licences.
    prepared = _prepare(request)
    report = _Steps(watch, prepared.steps)
    # 2. Networks.
    networks = request.sources.networks()
    if request.preview is not None:
        made = preview_networks(networks, prepared.plan, request.preview, architectures=request.architectures)
        networks = {**networks, **made}
    with new_bundle(request.out) as folder:
        # 3. Golden vectors: what PyTorch fp32 computes on real and hard inputs.
        cases = _write_golden(folder, prepared, networks, report)
        report("step cases")
        steps = write_step_cases(folder, step_pictures(prepared.plan), prepared.plan)
        calibration = _calibration(prepared, networks, report)
        # 4. Convert: every stage for every target, in every precision.
        models = [
            model
            for target in request.targets
            for model in _exporter(target)(_job(target, folder, prepared, networks, cases, calibration, report))
        ]
        coverage = calibration.coverage if any(p.needs_ranges for p in request.precisions) else None
        if coverage is not None:
            (folder / "calibration.json").write_text(json.dumps(coverage.as_json(), indent=2) + "\n")
        manifest = Manifest(
            name=request.out.name.removesuffix(SUFFIX),
            conventions=CONVENTIONS,
            plan=prepared.plan,
            networks={stage: _network_entry(stage, networks[stage], prepared) for stage in request.stages},
            models=tuple(models),
            golden=tuple(golden_entry(case, folder) for case in cases),
            steps=steps,
            tools=tool_versions(),
            files={},
        )
        # 5. Parity of the files as they lie on disk.
        parity = _prove(Bundle(folder, manifest), networks, request, cases, report)
        write_readme(folder / "README.md", manifest)
        (folder / SCHEMA).write_bytes(manifest_schema())
        # 7. Seal: hashes of every file, then the manifest's own digest.
        manifest = manifest.model_copy(update={"files": describe_files(folder)}).sealed()
        (folder / MANIFEST).write_bytes(manifest.encoded())
    return ExportResult(Bundle(request.out, manifest), parity, coverage, time.perf_counter() - started)


def _prepare(request: ExportRequest) -> _Prepared:
    """Everything that can be refused before the work.

    Raises:
        DofkitError: see `export_bundle`.
    """
    refuse_foreign(request.out)
    refuse_useless(request.targets, request.precisions, request.force)
    refuse_impossible(request.coreml, request.precisions, request.targets)
    _ensure_packages(request.targets)
    if Stage.FOCAL_DEPTH in request.stages:
        refuse_unoffered(request.precisions, request.coreml)
    contracts = {stage: request.sources.contract(stage) for stage in dict.fromkeys((*PIPELINE_STAGES, *request.stages))}
    refuse_onnx(contracts[Stage.DEPTH], request.targets, request.precisions, request.preview is not None)
    plan = plan_of(contracts, request.tile, request.depth_sizes)
    for target, stage in product(request.targets, request.stages):
        graph_size(contracts[stage], plan, target, request.stack)
    if request.preview is not None:
        refuse_fixed(contracts)
        refuse_preview(request.preview, plan, request.stages, request.precisions)
    for size in request.coreml.tiles:
        plan_of(contracts, size, request.depth_sizes)
    own = {plan.lens_blur.tile, plan.guided_upsampling.tile}
    tiles = tuple(size for size in request.coreml.tiles if {size} != own)
    terms = {stage: request.sources.terms(stage) for stage in request.stages}
    refuse_contradiction(request.labels, terms.values())
    chosen = CalibrationSet.shipped()
    if request.calibration is not None:
        if not any(precision.needs_ranges for precision in request.precisions):
            raise DofkitError(
                f"--calibration {request.calibration} measures ranges that no precision here needs; add --precision "
                "w8a8 or mixed, or leave it out"
            )
        chosen = CalibrationSet.of(find_photos(request.calibration))
    coreml = dataclasses.replace(request.coreml, tiles=tiles)
    return _Prepared(request, plan, coreml, _recipes(request), chosen, terms)


def _recipes(request: ExportRequest) -> Mapping[Target, Recipe]:
    """The recipes of mixed models.

    Raises:
        DofkitError: one is given that nothing would heed, or one is lacking.
    """
    if Precision.MIXED not in request.precisions:
        if request.recipes:
            raise DofkitError(
                f"--recipe {request.recipes[0]} says what a mixed model leaves in floats; add --precision mixed"
            )
        return {}
    digests = {stage: request.sources.sha256(stage) for stage in request.stages}
    return recipes_for(request.targets, request.recipes, digests)


def _prove(
    bundle: Bundle,
    networks: Mapping[Stage, torch.nn.Module],
    request: ExportRequest,
    cases: list[Case],
    report: _Steps,
) -> ParityReport:
    """Compare every file with PyTorch, and write what people read of it."""
    reference = partial(PyTorchReference, networks, request.architectures)
    with tempfile.TemporaryDirectory() as renderings:
        parity = run_parity(
            bundle,
            options=CheckOptions(reference=reference, renderings=Path(renderings)),
            watch=lambda target, p, scope: report(f"parity {target.title} {p} {scope}"),
        )
        # 6. What people read.
        (bundle.root / "parity.json").write_text(json.dumps(parity.as_json(), indent=2, sort_keys=True) + "\n")
        write_report(bundle.root / "report.html", bundle.manifest, parity, ArraysByName(cases))
    return parity


class _Steps:
    """Counts the steps that a watcher sees."""

    def __init__(self, watch: Watch, total: int) -> None:
        self._watch, self._total, self._done = watch, total, 0

    def __call__(self, what: str) -> None:
        self.note(what)
        self._done += 1

    def note(self, what: str) -> None:
        """What happens within the present step."""
        self._watch(what, self._done, self._total)


# The packages that a target's converter and runtime import, checked before the first minute of work.
NEEDED = {
    Target.COREML: ("coremltools",),
    Target.TFLITE: ("litert_torch", "ai_edge_quantizer", "ai_edge_litert"),
    Target.ONNX: ("onnx", "onnxscript", "onnxruntime"),
    Target.COREAI: ("coreai", "coreai_torch"),
}


def _ensure_packages(targets: tuple[Target, ...]) -> None:
    for target in targets:
        for package in (*NEEDED[target], "skimage"):
            ensure_installed(package, target.extra, f"exporting to {target.title}")
    ensure_installed("jinja2", "report", "writing the bundle's report")


def _exporter(target: Target) -> Callable[[Job], list[ModelEntry]]:
    """The function that writes a target's files."""
    match target:
        case Target.COREML:
            from .coreml.exporter import export
        case Target.TFLITE:
            from .tflite import export
        case Target.ONNX:
            from .onnx import export
        case Target.COREAI:
            from .coreai import export
        case _:
            assert_never(target)
    return export


def _job(
    target: Target,
    folder: Path,
    prepared: _Prepared,
    networks: Mapping[Stage, torch.nn.Module],
    cases: list[Case],
    calibration: Calibration,
    report: _Steps,
) -> Job:
    request, plan = prepared.request, prepared.plan
    exported = {stage: networks[stage] for stage in request.stages}
    graphs = stage_graphs(exported, plan, target, request.architectures, request.stack)
    if request.preview is not None:
        graphs |= preview_graphs(networks, plan, request.preview, target, request.architectures)
    return Job(
        target=target,
        folder=folder,
        plan=plan,
        graphs=graphs,
        precisions=request.precisions,
        golden=tuple(case.arrays() for case in cases),
        calibration=calibration,
        recipe=prepared.recipes.get(target),
        coreml=prepared.coreml,
        report=report,
        labels=request.labels,
        terms=prepared.terms,
    )


def _calibration(prepared: _Prepared, networks: Mapping[Stage, torch.nn.Module], report: _Steps) -> Calibration:
    """Its photos are read when a precision needs them, not before."""

    def watch(stage: Stage, done: int, total: int) -> None:
        report.note(f"calibrate {stage}, picture {done} of {total}")

    return Calibration(prepared.calibration, networks, watch=watch)


def _write_golden(
    folder: Path, prepared: _Prepared, networks: Mapping[Stage, torch.nn.Module], report: _Steps
) -> list[Case]:
    (folder / "golden").mkdir()
    request = prepared.request
    sizes = FurtherSizes(request.stack if Stage.FOCAL_DEPTH in request.stages else None, request.preview)
    sessions, further = pipeline_and_further(torch_sessions(networks), prepared.plan, sizes)
    cases = []
    for number, picture in enumerate(golden_pictures(request.photos)):
        report(f"golden vectors {picture.name}")
        path = folder / f"golden/{number}.safetensors"
        cases.append(compute_case(picture, sessions, prepared.plan, path, further))
    return cases


def _network_entry(stage: Stage, network: torch.nn.Module, prepared: _Prepared) -> NetworkEntry:
    request, terms = prepared.request, prepared.terms[stage]
    return network_entry(
        network, request.architectures.contract_of(network), request.sources.sha256(stage), terms, request.labels
    )

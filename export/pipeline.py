"""`dofkit export`, step by step: load, convert, compute golden vectors, prove parity, describe, seal."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from typing_extensions import assert_never

from .. import __version__
from ..runtime_ref.bundle import (
    MANIFEST,
    SUFFIX,
    Bundle,
    GoldenCase,
    Manifest,
    ModelEntry,
    NetworkEntry,
    describe_files,
    file_sha256,
    new_bundle,
    refuse_foreign,
)
from ..runtime_ref.errors import ensure_installed
from ..runtime_ref.parity.cases import ArraysByName, Case, compute_case
from ..runtime_ref.parity.check import CheckOptions, ParityReport, run_parity
from ..runtime_ref.parity.reports.page import write_readme, write_report
from ..runtime_ref.pipeline.plan import PipelinePlan
from ..runtime_ref.pipeline.stage import Stage
from ..runtime_ref.target import Precision, Target
from ..train.reference import PyTorchReference
from ..train.session import load_networks, torch_sessions
from ..train.weights import weights_file
from .calibration import Calibration, CalibrationSet
from .conventions import CONVENTIONS
from .coreml.options import CoreMLOptions, refuse_impossible
from .coverage import Coverage
from .golden import golden_pictures
from .job import Job
from .precision import refuse_useless
from .recipe import Recipe
from .stages import stage_graphs

# Packages whose versions decide the bytes of a bundle.
TOOLS = (
    "torch",
    "coremltools",
    "litert-torch",
    "ai-edge-quantizer",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "ai-edge-litert",
)

Watch = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ExportRequest:
    """What to export.

    Attributes:
        out: the bundle's folder.
        targets, precisions, stages: what to write; every combination is written.
        plan: tile sizes and halos.
        weights: folder with the stages' safetensors files.
        photos: real photos for the golden vectors; empty takes a public-domain one.
        calibration: photos to measure ranges of activations on; None takes those that ship with scikit-image.
        recipes: which layers mixed models leave in floats, for each target.
        force: also write precisions that were measured to be useless for a target.
        coreml: how Core ML packages are written.
    """

    out: Path
    targets: tuple[Target, ...]
    precisions: tuple[Precision, ...]
    stages: tuple[Stage, ...]
    plan: PipelinePlan
    weights: Path
    photos: tuple[Path, ...] = ()
    calibration: tuple[Path, ...] | None = None
    recipes: Mapping[Target, Recipe] = field(default_factory=dict)
    force: bool = False
    coreml: CoreMLOptions = field(default_factory=CoreMLOptions)

    @property
    def steps(self) -> int:
        """How many steps `export_bundle` reports."""
        whole = len(self.stages) == len(Stage)
        scopes = len(self.stages) + whole
        conversions = len(self.targets) * len(self.stages)
        if Target.COREML in self.targets:
            conversions += len(self.coreml.tiles) * sum(stage is not Stage.DEPTH for stage in self.stages)
        comparisons = len(self.targets) * len(self.precisions) * scopes
        if Target.COREML in self.targets and whole:
            comparisons += len(self.precisions) * len(self.coreml.tiles)
        return conversions + comparisons + max(1, len(self.photos)) + 1


@dataclass(frozen=True)
class ExportResult:
    """What an export wrote and proved; the coverage of its calibration, where a precision needed one."""

    bundle: Path
    manifest: Manifest
    parity: ParityReport
    coverage: Coverage | None
    seconds: float


def export_bundle(request: ExportRequest, watch: Watch = lambda *_: None) -> ExportResult:
    """Export, prove and write a bundle; it appears at `request.out` whole or not at all.

    Args:
        request: what to export.
        watch: called with (what happens now, steps done, steps in all).

    Raises:
        DofkitError: on weights that do not load, a missing extra, a goal that cannot be written.
    """
    started = time.perf_counter()
    report = _Steps(watch, request.steps)
    # 1. Refuse early what would fail late: the goal and the packages that every export needs.
    refuse_foreign(request.out)
    refuse_useless(request.targets, request.precisions, request.force)
    if Target.COREML in request.targets:
        refuse_impossible(request.coreml, request.precisions)
    _ensure_packages(request.targets)
    # 2. Networks.
    networks = load_networks(request.weights, request.stages)
    with new_bundle(request.out) as folder:
        # 3. Golden vectors: what PyTorch fp32 computes on real and hard inputs.
        cases = _write_golden(folder, request, networks, report)
        calibration = _calibration(request, networks, report)
        # 4. Convert: every stage for every target, in every precision.
        models = [
            model
            for target in request.targets
            for model in _exporter(target)(_job(target, folder, request, networks, cases, calibration, report))
        ]
        coverage = calibration.coverage if any(p.needs_ranges for p in request.precisions) else None
        if coverage is not None:
            (folder / "calibration.json").write_text(json.dumps(coverage.as_json(), indent=2) + "\n")
        manifest = Manifest(
            name=request.out.name.removesuffix(SUFFIX),
            conventions=CONVENTIONS,
            plan=request.plan,
            networks={stage: _describe(stage, networks[stage], request.weights) for stage in request.stages},
            models=tuple(models),
            golden=tuple(_golden_entry(case, folder) for case in cases),
            tools=_tool_versions(),
            files={},
        )
        # 5. Parity of the files as they lie on disk.
        bundle = Bundle(folder, manifest)
        with tempfile.TemporaryDirectory() as renderings:
            options = CheckOptions(reference=lambda: PyTorchReference(networks), renderings=Path(renderings))
            parity = run_parity(
                bundle, options=options, watch=lambda target, p, scope: report(f"parity {target.title} {p} {scope}")
            )
            # 6. What people read.
            (folder / "parity.json").write_text(json.dumps(parity.as_json(), indent=2, sort_keys=True) + "\n")
            write_report(folder / "report.html", manifest, parity, ArraysByName(cases))
        write_readme(folder / "README.md", manifest)
        # 7. Seal: hashes of every file, then the manifest's own digest.
        manifest = manifest.model_copy(update={"files": describe_files(folder)}).sealed()
        (folder / MANIFEST).write_bytes(manifest.encoded())
    return ExportResult(request.out, manifest, parity, coverage, time.perf_counter() - started)


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
        case _:
            assert_never(target)
    return export


def _job(
    target: Target,
    folder: Path,
    request: ExportRequest,
    networks: Mapping[Stage, torch.nn.Module],
    cases: list[Case],
    calibration: Calibration,
    report: _Steps,
) -> Job:
    return Job(
        target=target,
        folder=folder,
        plan=request.plan,
        graphs=stage_graphs({stage: networks[stage] for stage in request.stages}, request.plan, target),
        precisions=request.precisions,
        golden=tuple(case.arrays() for case in cases),
        calibration=calibration,
        recipe=request.recipes.get(target),
        coreml=request.coreml,
        report=report,
    )


def _calibration(request: ExportRequest, networks: Mapping[Stage, torch.nn.Module], report: _Steps) -> Calibration:
    """Its photos are read when a precision needs them, not before."""
    photos = CalibrationSet.shipped() if request.calibration is None else CalibrationSet.of(request.calibration)

    def watch(stage: Stage, done: int, total: int) -> None:
        report.note(f"calibrate {stage}, picture {done} of {total}")

    return Calibration(photos, networks, watch=watch)


def _write_golden(
    folder: Path, request: ExportRequest, networks: Mapping[Stage, torch.nn.Module], report: _Steps
) -> list[Case]:
    (folder / "golden").mkdir()
    sessions = torch_sessions(networks)
    cases = []
    for number, picture in enumerate(golden_pictures(request.photos)):
        report(f"golden vectors {picture.name}")
        cases.append(compute_case(picture, sessions, request.plan, folder / f"golden/{number}.safetensors"))
    return cases


def _golden_entry(case: Case, folder: Path) -> GoldenCase:
    return GoldenCase(
        name=case.name,
        path=case.path.relative_to(folder).as_posix(),
        kind=case.kind,
        focus=case.lens.focus,
        aperture=case.lens.aperture,
        note=case.note,
    )


def _describe(stage: Stage, network: torch.nn.Module, weights: Path) -> NetworkEntry:
    return NetworkEntry(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        halo=getattr(network, "halo", None),
        configuration=dataclasses.asdict(network.config),  # pyright: ignore[reportArgumentType, reportCallIssue]
        weights_sha256=file_sha256(weights_file(stage, weights)),
    )


def _tool_versions() -> dict[str, str]:
    versions = {"dofkit": __version__}
    for name in TOOLS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # a target that was not asked for
    return versions

"""Benchmarks on this machine: every backend in a process of its own, so that none warms or crashes another.

The same backends that `check` asks for results are asked here for times and memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel

from ..runtime_ref.backends import Backend, default_backend
from ..runtime_ref.backends.latency import PhotoTimes, RunTimes, TimeBudget
from ..runtime_ref.backends.own_process import OwnProcess, ProcessSession
from ..runtime_ref.bundle import Bundle, ModelEntry
from ..runtime_ref.bundle.golden import GoldenArrays, read_golden
from ..runtime_ref.errors import DofkitError
from ..runtime_ref.parity.declared import plan_problems
from ..runtime_ref.pipeline.aspects import Size
from ..runtime_ref.pipeline.portrait import Lens
from ..runtime_ref.pipeline.stage import Stage
from ..runtime_ref.target import Precision, Target

_USUAL = TimeBudget(runs=30, seconds=10)
_PATIENCE = 3600.0  # seconds for the steady runs of a whole photo on the slowest backend


@dataclass(frozen=True)
class BenchRequest:
    """What is measured in one process.

    Attributes:
        bundle: an opened bundle.
        backend: what computes.
        target: whose files run; None where the backend needs none (PyTorch).
        precision: of the files.
        threads: CPU threads of the runtime.
        budget: steady runs of a stage and of the photo.
        photo_side: long side of the photo for the whole pipeline, in pixels; 0 leaves it out.
    """

    bundle: Bundle
    backend: Backend
    target: Target | None
    precision: Precision = Precision.FP32
    threads: int = 2
    budget: TimeBudget = _USUAL
    photo_side: int = 2048

    @property
    def title(self) -> str:
        """The row's name in the table."""
        if self.target is None:
            return f"{self.backend.facts.title} {self.precision}"
        title = f"{self.target.title} {self.precision}"
        return title if self.backend == default_backend(self.target) else f"{title}, {self.backend.facts.title}"

    def _variant(self) -> tuple[Target, Precision]:
        if self.target is not None:
            return self.target, self.precision
        # any that is as complete as can be: only the stages count
        return max(self.bundle.variants(), key=lambda other: len(self.bundle.models(*other)))

    def models(self) -> dict[Stage, ModelEntry]:
        """The models that run, in the order of the stages."""
        found = {model.stage: model for model in self.bundle.models(*self._variant())}
        return {stage: found[stage] for stage in Stage if stage in found}

    def depth_for(self, size: Size) -> ModelEntry | None:
        """The depth network of a further input size; None: `models` has the one of this size."""
        return next((model for model in self.bundle.further_depths(*self._variant()) if model.depth_size == size), None)


class RunFigures(BaseModel):
    """Times of runs one after the other, in milliseconds.

    Attributes:
        first: the first run (allocation, packing of weights).
        p50, p90: median and 90th percentile of the steady runs after it.
        runs: how many those were.
        samples: their times, in order.
    """

    first: float
    p50: float
    p90: float
    runs: int
    samples: tuple[float, ...] = ()


def _figures(first: float, steady: tuple[float, ...]) -> dict[str, Any]:
    """The fields of `RunFigures`."""
    p50, p90 = map(float, np.percentile(steady, [50, 90]))
    return {"first": first, "p50": p50, "p90": p90, "runs": len(steady), "samples": steady}


class StageFigures(RunFigures):
    """Latency of one stage, in milliseconds.

    Attributes:
        load: opening the model.
    """

    stage: Stage
    load: float

    @classmethod
    def of(cls, stage: Stage, load: float, times: RunTimes) -> StageFigures:
        """The figures of raw times."""
        return cls(stage=stage, load=load, **_figures(times.first, times.steady))


class PhotoFigures(RunFigures):
    """A whole photo: depth once, then blur and upsampling of all tiles, nothing copied; in milliseconds.

    Attributes:
        width, height: in pixels.
        depth_p50, render_p50: medians of the two parts.
    """

    width: int
    height: int
    depth_p50: float
    render_p50: float

    @classmethod
    def of(cls, pixels: NDArray[np.uint8], times: PhotoTimes) -> PhotoFigures:
        """The figures of raw times."""
        whole = tuple(depth + render for depth, render in zip(times.depth, times.render, strict=True))
        return cls(
            width=pixels.shape[1],
            height=pixels.shape[0],
            depth_p50=float(np.median(times.depth)),
            render_p50=float(np.median(times.render)),
            **_figures(times.first, whole),
        )


class BenchFigures(BaseModel):
    """What was measured, or why it could not be.

    Attributes:
        backend, device: id of what computed, and on what.
        runtime: its name and version.
        peak_mb: greatest resident memory of its process, in 10^6 bytes.
        error: why there are no figures; empty when there are.
    """

    title: str
    backend: str = ""
    device: str = ""
    runtime: str = ""
    stages: tuple[StageFigures, ...] = ()
    photo: PhotoFigures | None = None
    peak_mb: float | None = None
    error: str = ""


def bench_bundle(
    bundle: Path | str,
    *,
    targets: Sequence[Target] = (),
    precisions: Sequence[Precision] = (),
    backends: Sequence[Backend] = (),
    fileless: Sequence[Backend] = (),
    threads: int = 2,
    budget: TimeBudget = _USUAL,
    photo_side: int = 2048,
    watch: Callable[[str, int, int], None] = lambda *_: None,
) -> tuple[BenchFigures, ...]:
    """Verify a bundle's files and measure them on this machine, each backend in a process of its own.

    Args:
        bundle: its folder.
        targets, precisions: of the files to measure; empty: all.
        backends: what computes; empty: each target's default, unless that is a reference evaluation, whose time says
            nothing of an app's.
        fileless: backends that need none of the bundle's files, such as PyTorch's; measured last, in fp32.
        threads: CPU threads of each runtime.
        budget: steady runs of a stage and of the photo.
        photo_side: long side in pixels of the photo for the whole pipeline; 0 leaves it out.
        watch: called with a row's title, how many are done and how many there are, before each row.

    Returns:
        A row for each backend and variant; one that crashed or cannot run here says so in `error`.

    Raises:
        DofkitError: a file of the bundle is missing or was changed, or nothing is left to measure.
    """
    opened = Bundle.open(Path(bundle))
    asked = [
        BenchRequest(opened, one, target, precision, threads, budget, photo_side)
        for target, precision in opened.variants()
        if (not targets or target in targets) and (not precisions or precision in precisions)
        for one in _measurable(target, backends)
    ]
    asked += [BenchRequest(opened, one, None, Precision.FP32, threads, budget, photo_side) for one in fileless]
    if not asked:
        there = ", ".join(f"{target} {precision}" for target, precision in opened.variants())
        raise DofkitError(f"{opened.root} holds nothing of that kind which runs on this machine; it holds {there}")
    rows = []
    for request in asked:
        watch(request.title, len(rows), len(asked))
        rows.append(bench(request))
    return tuple(rows)


def _measurable(target: Target, backends: Sequence[Backend]) -> Iterator[Backend]:
    usual = default_backend(target)
    yield from (
        one for one in backends or (() if usual.facts.is_reference else (usual,)) if target in one.facts.targets
    )


def bench(request: BenchRequest) -> BenchFigures:
    """Measure in a process of its own; a crash, or a backend that cannot run here, becomes the row's error."""
    facts = request.backend.facts
    row = BenchFigures(title=request.title, backend=facts.id, device=facts.device)
    try:
        with OwnProcess(timeout=_PATIENCE, threads=request.threads) as transport:
            return row.model_copy(update=_measured(request, transport))
    except DofkitError as error:
        return row.model_copy(update={"error": str(error)})


def _measured(request: BenchRequest, transport: OwnProcess) -> dict[str, object]:
    """What `BenchFigures` says of a variant: every stage, then a whole photo."""
    bundle, models = request.bundle, request.models()
    plan = bundle.manifest.plan
    golden = read_golden(bundle.path(bundle.manifest.golden[0].path))
    sessions: dict[Stage, ProcessSession] = {}
    stages = []
    for stage, model in models.items():
        session = transport.open(request.backend, bundle, model)
        arrays = golden.at_depth(plan.depth_shape) if stage is Stage.DEPTH and plan.further_depth_sizes else golden
        stages.append(StageFigures.of(stage, session.load, session.time_runs(arrays.inputs(stage), request.budget)))
        sessions[stage] = session
    photo = None
    if request.photo_side and len(sessions) == len(Stage):
        photo = _whole_photo(request, golden, sessions, models, transport)
    return {
        "runtime": ", ".join(dict.fromkeys(session.runtime for session in sessions.values())),
        "stages": tuple(stages),
        "photo": photo,
        "peak_mb": max((session.peak_memory for session in sessions.values()), default=0) / 1e6,
    }


def _whole_photo(
    request: BenchRequest,
    golden: GoldenArrays,
    sessions: dict[Stage, ProcessSession],
    models: dict[Stage, ModelEntry],
    transport: OwnProcess,
) -> PhotoFigures:
    """The photo's own aspect decides which of the depth network's sizes runs."""
    manifest = request.bundle.manifest
    if problems := plan_problems(manifest.plan, models.values()):
        raise DofkitError(f"{request.bundle.root}: {problems[0]}; export the bundle again")
    pixels = _enlarged(golden.photo, request.photo_side)
    lens = Lens(manifest.golden[0].focus, aperture=1.0)
    size = manifest.plan.depth_shape_for(*pixels.shape[:2])
    if (nearest := request.depth_for(size)) is not None:
        sessions = {**sessions, Stage.DEPTH: transport.open(request.backend, request.bundle, nearest)}
    plan = manifest.plan.with_depth(size)
    times = sessions[Stage.DEPTH].time_photo(sessions, plan, pixels, lens, request.budget)
    return PhotoFigures.of(pixels, times)


def _enlarged(pixels: NDArray[np.uint8], long_side: int) -> NDArray[np.uint8]:
    """The photo as a 4:3 picture of the given long side: what a phone's camera gives."""
    return np.asarray(Image.fromarray(pixels).resize((long_side, max(1, long_side * 3 // 4)), Image.Resampling.BICUBIC))

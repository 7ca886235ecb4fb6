"""Benchmarks: every backend in a process of its own, so that none warms or crashes another.

The same backends that `check` asks for results are asked here for times, memory, and results beside them. What the
figures are is in `figures`; where a backend computes is its own affair.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..runtime_ref.backends import Backend, BackendUnavailableError, default_backend
from ..runtime_ref.backends.latency import TimeBudget
from ..runtime_ref.backends.own_process import OwnProcess, ProcessSession
from ..runtime_ref.bundle import Bundle, ModelEntry
from ..runtime_ref.bundle.golden import read_golden
from ..runtime_ref.errors import DofkitError
from ..runtime_ref.parity import metrics
from ..runtime_ref.parity.declared import plan_problems
from ..runtime_ref.pipeline.aspects import Size
from ..runtime_ref.pipeline.plan import PipelinePlan
from ..runtime_ref.pipeline.portrait import Lens
from ..runtime_ref.pipeline.stage import PIPELINE_STAGES, Stage
from ..runtime_ref.target import Precision, Target
from ..version import __version__
from .device import Elsewhere
from .figures import (
    BenchFigures,
    BenchReport,
    MinuteFigures,
    ParityFigures,
    PhotoFigures,
    StageFigures,
    SustainedFigures,
)
from .first_case import StageCase, first_case
from .machine import MachineState, this_machine, this_state

_USUAL = TimeBudget(runs=30, seconds=10)
_PATIENCE = 3600.0  # seconds for the steady runs of a whole photo on the slowest backend
_PREVIEW = (1280, 960)  # width and height of what a phone shows while a user moves the focus
_MINUTE = 60.0


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
        every_size: measure the depth network's further sizes and the stages' further tiles, too.
        photos: (width, height) of the photos for the whole pipeline, in pixels.
        preview: whether a preview of 1280×960 is measured, too.
        sustained: seconds that the preview is rendered again and again; 0 leaves it out.
    """

    bundle: Bundle
    backend: Backend
    target: Target | None
    precision: Precision = Precision.FP32
    threads: int = 2
    budget: TimeBudget = _USUAL
    every_size: bool = True
    photos: tuple[tuple[int, int], ...] = ((2048, 1536),)
    preview: bool = True
    sustained: float = 0.0

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

    def further_models(self) -> list[ModelEntry]:
        """Those of other sizes that are measured, too."""
        variant = self._variant()
        return self.bundle.further_depths(*variant) + self.bundle.other_tiles(*variant) if self.every_size else []

    def depth_for(self, size: Size) -> ModelEntry | None:
        """The depth network of a further input size; None: `models` has the one of this size."""
        return next((model for model in self.bundle.further_depths(*self._variant()) if model.depth_size == size), None)


def bench_bundle(
    bundle: Path | str,
    *,
    targets: Sequence[Target] = (),
    precisions: Sequence[Precision] = (),
    backends: Sequence[Backend] = (),
    fileless: Sequence[Backend] = (),
    threads: int = 2,
    budget: TimeBudget = _USUAL,
    every_size: bool = True,
    photos: Sequence[tuple[int, int]] = ((2048, 1536),),
    preview: bool = True,
    sustained: float = 0.0,
    watch: Callable[[str, int, int], None] = lambda *_: None,
) -> BenchReport:
    """Verify a bundle's files and measure them, each backend in a process of its own.

    Args:
        bundle: its folder.
        targets, precisions: of the files to measure; empty: all.
        backends: what computes; empty: each target's default, unless that is a reference evaluation, whose time says
            nothing of an app's.
        fileless: backends that need none of the bundle's files, such as PyTorch's; measured last, in fp32.
        threads: CPU threads of each runtime.
        budget: steady runs of a stage and of a photo.
        every_size: measure the depth network's further sizes and the stages' further tiles, too.
        photos: (width, height) of the photos for the whole pipeline, in pixels.
        preview: whether a preview of 1280×960 is measured, too.
        sustained: seconds that the preview is rendered again and again; 0 leaves it out.
        watch: called with a row's title and what it measures now, how many rows are done and how many there are.

    Returns:
        A row for each backend and variant; one that crashed or cannot run here says so in `error`.

    Raises:
        DofkitError: a file of the bundle is missing or was changed, or nothing is left to measure.
    """
    opened = Bundle.open(Path(bundle))

    def request(one: Backend, target: Target | None, precision: Precision) -> BenchRequest:
        return BenchRequest(
            opened, one, target, precision, threads, budget, every_size, tuple(photos), preview, sustained
        )

    asked = [
        request(one, target, precision)
        for target, precision in opened.variants()
        if (not targets or target in targets) and (not precisions or precision in precisions)
        for one in _measurable(target, backends)
    ]
    asked += [request(one, None, Precision.FP32) for one in fileless]
    if not asked:
        there = ", ".join(f"{target} {precision}" for target, precision in opened.variants())
        raise DofkitError(f"{opened.root} holds nothing of that kind which runs on this machine; it holds {there}")
    taken = datetime.now(timezone.utc).isoformat(timespec="seconds")
    rows = []
    for number, one in enumerate(asked):

        def measuring(what: str, title: str = one.title, done: int = number) -> None:
            watch(f"{title}: {what}", done, len(asked))

        rows.append(bench(one, measuring))
    return BenchReport(
        dofkit=__version__,
        bundle=opened.manifest.name,
        digest=opened.manifest.digest,
        taken=taken,
        machine=this_machine(),
        threads=threads,
        results=tuple(rows),
    )


def _measurable(target: Target, backends: Sequence[Backend]) -> Iterator[Backend]:
    usual = default_backend(target)
    yield from (
        one for one in backends or (() if usual.facts.is_reference else (usual,)) if target in one.facts.targets
    )


def bench(request: BenchRequest, watch: Callable[[str], None] = lambda _: None) -> BenchFigures:
    """Measure in a process of its own; a crash, or a backend that cannot run here, becomes the row's error.

    Args:
        request: what.
        watch: called with the stage or the size of the photo before each is measured.
    """
    facts = request.backend.facts
    row = BenchFigures(title=request.title, backend=facts.id, device=facts.device)
    try:
        with OwnProcess(timeout=_PATIENCE, threads=request.threads) as transport:
            return row.model_copy(update=_Row(request, transport, watch).measured())
    except DofkitError as error:
        return row.model_copy(update={"error": str(error)})


class _Row:
    """The measurements of one row: every stage, then whole photos."""

    def __init__(self, request: BenchRequest, transport: OwnProcess, watch: Callable[[str], None]) -> None:
        self._request, self._transport, self._watch = request, transport, watch
        manifest = request.bundle.manifest
        self._plan, self._lens = manifest.plan, Lens(manifest.golden[0].focus, aperture=1.0)
        self._golden = read_golden(request.bundle.path(manifest.golden[0].path))
        self._sessions: dict[Stage, ProcessSession] = {}

    def measured(self) -> dict[str, object]:
        """What `BenchFigures` says of it."""
        request = self._request
        before = self._state()
        stages = tuple(self._stage(stage, model) for stage, model in request.models().items())
        further = tuple(self._measured(model)[1] for model in request.further_models())
        renders = self._elsewhere is None or self._elsewhere.whole_photos
        whole = renders and set(PIPELINE_STAGES) <= set(self._sessions)
        photos = [self._photo(size) for size in request.photos if whole]
        return {
            "stages": stages,
            "further_stages": further,
            "photo": photos[0] if photos else None,
            "further_photos": tuple(photos[1:]),
            "preview": self._photo(_PREVIEW) if whole and request.preview else None,
            "sustained": self._sustained() if whole and request.sustained else None,
            "runtime": ", ".join(dict.fromkeys(session.runtime for session in self._sessions.values())),
            "machine": None if self._elsewhere is None else self._elsewhere.machine(),
            "before": before,
            "after": self._state(),
            "peak_mb": None if self._elsewhere is not None else self._peak_memory(),
        }

    @property
    def _elsewhere(self) -> Elsewhere | None:
        backend = self._request.backend
        return backend if isinstance(backend, Elsewhere) else None

    def _state(self) -> MachineState:
        return this_state() if self._elsewhere is None else self._elsewhere.state()

    def _peak_memory(self) -> float:
        """In 10^6 bytes."""
        return max((session.peak_memory for session in self._sessions.values()), default=0) / 1e6

    def _stage(self, stage: Stage, model: ModelEntry) -> StageFigures:
        """Of the plan's size; its session stays for the photos."""
        self._sessions[stage], figures = self._measured(model)
        return figures

    def _measured(self, model: ModelEntry) -> tuple[ProcessSession, StageFigures]:
        request = self._request
        self._watch(model.stage.value)
        session = self._transport.open(request.backend, request.bundle, model)
        case = first_case(request.bundle, model, self._golden)
        times = session.time_runs(case.inputs, request.budget)
        size = max((array.shape[2:] for array in case.inputs.values()), key=math.prod)
        parity = _parity(case, session)
        counted = _instructions(session, case.inputs)
        figures = StageFigures.of(model.stage, session.load, times, size=size, parity=parity, instructions=counted)
        return session, figures

    def _photo(self, size: tuple[int, int]) -> PhotoFigures:
        self._watch("{}×{}".format(*size))
        pixels = _enlarged(self._golden.photo, size)
        sessions, plan = self._for(pixels)
        times = sessions[Stage.DEPTH].time_photo(sessions, plan, pixels, self._lens, self._request.budget)
        return PhotoFigures.of(pixels, times)

    def _for(self, pixels: NDArray[np.uint8]) -> tuple[dict[Stage, ProcessSession], PipelinePlan]:
        """The photo's own aspect decides which of the depth network's sizes runs."""
        request = self._request
        if self._plan_problems:
            raise DofkitError(f"{request.bundle.root}: {self._plan_problems[0]}; export the bundle again")
        size: Size = self._plan.depth_shape_for(*pixels.shape[:2])
        sessions = {stage: self._sessions[stage] for stage in PIPELINE_STAGES}
        if (nearest := request.depth_for(size)) is not None:
            sessions[Stage.DEPTH] = self._transport.open(request.backend, request.bundle, nearest)
        return sessions, self._plan.with_depth(size)

    @cached_property
    def _plan_problems(self) -> list[str]:
        return list(plan_problems(self._plan, self._request.models().values()))

    def _sustained(self) -> SustainedFigures:
        """The preview, for as long as was asked for; a figure a minute."""
        self._watch("a load that goes on")
        pixels = _enlarged(self._golden.photo, _PREVIEW)
        sessions, plan = self._for(pixels)
        minutes: list[MinuteFigures] = []
        passed = 0.0
        while passed < self._request.sustained:
            seconds = min(_MINUTE, self._request.sustained - passed)
            budget = TimeBudget(runs=10**6, seconds=seconds, warm_up=0)
            figures = PhotoFigures.of(
                pixels, sessions[Stage.DEPTH].time_photo(sessions, plan, pixels, self._lens, budget)
            )
            passed += seconds
            minutes.append(MinuteFigures(seconds=passed, p50=figures.p50, runs=figures.runs, state=self._state()))
        return SustainedFigures(minutes=tuple(minutes))


def _instructions(session: ProcessSession, inputs: Mapping[str, Any]) -> int | None:
    try:
        return session.count_instructions(inputs)
    except BackendUnavailableError:  # results are there without what counts
        return None


def _parity(case: StageCase, session: ProcessSession) -> ParityFigures | None:
    """None where nothing can be compared: no outputs, another shape, or not finite. `check` says what is wrong then."""
    try:
        output = case.comparable(session.run(case.inputs))
    except BackendUnavailableError:  # a tool that takes times only
        return None
    if case.wanted.shape != output.shape or not np.isfinite(output).all():
        return None
    return ParityFigures(psnr=metrics.psnr(case.wanted, output), max_abs=metrics.max_abs(case.wanted, output))


def _enlarged(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The photo as one of (width, height)."""
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))

"""Benchmarks on this machine: every runtime in a process of its own, so that none warms or crashes another.

The parent starts `python -m dofkit.commands._bench_worker`, sends a request as JSON and reads the figures as JSON.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from ..runtime_ref.backends import Session
from ..runtime_ref.backends.latency import Latency, measure, steady, timed
from ..runtime_ref.bundle import Bundle
from ..runtime_ref.bundle.golden import read_golden
from ..runtime_ref.memory import peak_memory
from ..runtime_ref.pipeline.portrait import Lens, PortraitPipeline
from ..runtime_ref.pipeline.stage import Stage
from ..runtime_ref.target import Precision, Target

WORKER = "dofkit.commands._bench_worker"


class BenchRequest(BaseModel):
    """What one worker measures.

    Attributes:
        bundle: the bundle's folder.
        target: whose files run; None runs PyTorch with the weights in `weights`.
        precision: of the files.
        weights: folder of weights for PyTorch.
        threads: CPU threads of the runtime.
        runs, seconds: steady runs of a stage and of the photo, at most, and the time after which they stop.
        photo_side: long side of the photo for the whole pipeline, in pixels; 0 leaves it out.
    """

    model_config = ConfigDict(frozen=True)

    bundle: Path
    target: Target | None
    precision: Precision = Precision.FP32
    weights: Path | None = None
    threads: int = Field(default=2, ge=1)
    runs: int = Field(default=30, ge=1)
    seconds: float = Field(default=10, gt=0)
    photo_side: int = Field(default=2048, ge=0)

    @property
    def title(self) -> str:
        """The row's name in the table."""
        return f"{self.target.title} {self.precision}" if self.target else "PyTorch fp32"


class StageFigures(BaseModel):
    """Latency of one stage, in milliseconds; see `runtime_ref.latency.Latency`."""

    stage: Stage
    load: float
    first: float
    p50: float
    p90: float
    runs: int


class PhotoFigures(BaseModel):
    """A whole photo: depth once, then blur and upsampling of all tiles, nothing copied.

    Attributes:
        width, height: in pixels.
        depth_p50, render_p50: medians of the two parts, in milliseconds.
        first: the first photo, depth and rendering together, in milliseconds.
        p50, p90: of the photos after it.
        runs: how many those were.
    """

    width: int
    height: int
    depth_p50: float
    render_p50: float
    first: float
    p50: float
    p90: float
    runs: int


class BenchFigures(BaseModel):
    """What a worker measured, or why it could not.

    Attributes:
        runtime: name and version of what computed.
        peak_mb: greatest resident memory of the worker's process, in 10^6 bytes.
        error: why there are no figures; empty when there are.
    """

    title: str
    runtime: str = ""
    stages: tuple[StageFigures, ...] = ()
    photo: PhotoFigures | None = None
    peak_mb: float | None = None
    error: str = ""


def bench(request: BenchRequest) -> BenchFigures:
    """Measure in a process of its own; a crash becomes the row's error, with the signal's name."""
    command = [sys.executable, "-m", WORKER]
    worker = subprocess.run(command, input=request.model_dump_json(), capture_output=True, text=True, check=False)
    if worker.returncode < 0:
        name = signal.Signals(-worker.returncode).name
        return BenchFigures(title=request.title, error=f"the runtime's process died with {name}")
    if worker.returncode:
        last = (worker.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return BenchFigures(title=request.title, error=last)
    return BenchFigures.model_validate(json.loads(worker.stdout.splitlines()[-1]))


def measure_bundle(request: BenchRequest, open_stage: Callable[[Bundle, Stage], Session]) -> BenchFigures:
    """The worker's side: measure every stage of a variant, then a whole photo.

    Args:
        request: what to measure.
        open_stage: opens a stage's session; called once a stage.
    """
    bundle = Bundle.open(request.bundle)
    golden = read_golden(bundle.path(bundle.manifest.golden[0].path))
    sessions: dict[Stage, Session] = {}
    figures = []
    for stage in (stage for stage in Stage if stage in bundle.manifest.networks):
        inputs = golden.inputs(stage)

        def open_it(stage: Stage = stage, inputs: dict[str, Any] = inputs) -> Callable[[], object]:
            sessions[stage] = open_stage(bundle, stage)
            return lambda: sessions[stage].run(inputs)

        latency: Latency = measure(open_it, request.runs, request.seconds)
        figures.append(StageFigures(stage=stage, **vars(latency)))
    photo = None
    if request.photo_side and len(sessions) == len(Stage):
        pixels = _enlarged(golden.photo, request.photo_side)
        photo = _whole_photo(bundle, sessions, pixels, request.runs, request.seconds)
    return BenchFigures(
        title=request.title,
        runtime=", ".join(dict.fromkeys(session.runtime for session in sessions.values())),
        stages=tuple(figures),
        photo=photo,
        peak_mb=peak_memory() / 1e6,
    )


def _whole_photo(
    bundle: Bundle, sessions: dict[Stage, Session], pixels: NDArray[np.uint8], runs: int, seconds: float
) -> PhotoFigures:
    # Nothing is copied: the time then depends on the photo's size only, not on what it shows.
    pipeline = PortraitPipeline(sessions, bundle.manifest.plan.model_copy(update={"copy_below": 0.0}))
    lens = Lens(bundle.manifest.golden[0].focus, aperture=1.0)
    parts: list[tuple[float, float]] = []

    def whole() -> None:
        disparity, depth_ms = timed(lambda: pipeline.disparity(pixels))
        parts.append((depth_ms, timed(lambda: pipeline.render(pixels, disparity, lens))[1]))

    _, first = timed(whole)
    parts.clear()
    times = steady(whole, runs, seconds)
    depth, render = np.median(parts, axis=0)
    p50, p90 = np.percentile(times, [50, 90])
    return PhotoFigures(
        width=pixels.shape[1],
        height=pixels.shape[0],
        depth_p50=float(depth),
        render_p50=float(render),
        first=first,
        p50=float(p50),
        p90=float(p90),
        runs=len(times),
    )


def _enlarged(pixels: NDArray[np.uint8], long_side: int) -> NDArray[np.uint8]:
    """The photo as a 4:3 picture of the given long side: what a phone's camera gives."""
    return np.asarray(Image.fromarray(pixels).resize((long_side, max(1, long_side * 3 // 4)), Image.Resampling.BICUBIC))

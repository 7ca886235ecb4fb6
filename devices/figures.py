"""What a bench measured: every figure with the samples that it is of, and the JSON document that holds them all."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from ..runtime_ref.backends.latency import PhotoTimes, RunTimes
from ..runtime_ref.pipeline.stage import Stage
from .machine import Machine, MachineState
from .statistics import spread

SCHEMA = "dofkit-bench-1"


class RunFigures(BaseModel):
    """Times of runs one after the other, in milliseconds.

    Attributes:
        first: the first run (allocation, packing of weights).
        p50, p90, p99: median, 90th and 99th percentile of the steady runs.
        mad: their median absolute deviation from the median.
        runs: how many those were.
        samples: their times, in order.
        warm_up: the runs between the first and the steady ones, in order.
        settled: whether the warm-up ended because times had become stable, and not because its time was over.
    """

    first: float
    p50: float
    p90: float
    p99: float = 0.0
    mad: float = 0.0
    runs: int
    samples: tuple[float, ...] = ()
    warm_up: tuple[float, ...] = ()
    settled: bool = False


def _figures(times: RunTimes | PhotoTimes, steady: tuple[float, ...]) -> dict[str, Any]:
    """The fields of `RunFigures`."""
    p50, p90, p99 = map(float, np.percentile(steady, [50, 90, 99]))
    of_samples = {"p50": p50, "p90": p90, "p99": p99, "mad": spread(steady), "runs": len(steady), "samples": steady}
    return {"first": times.first, "warm_up": times.warm_up, "settled": times.settled, **of_samples}


class ParityFigures(BaseModel):
    """How far what was computed is from PyTorch fp32, on the bundle's first golden case.

    Attributes:
        psnr: in dB, peak 1.
        max_abs: greatest absolute difference, in units of the value range.
    """

    psnr: float
    max_abs: float


class StageFigures(RunFigures):
    """Latency of one stage, in milliseconds: of a tile, or of the depth network's whole input.

    Attributes:
        load: opening the model.
        size: (height, width) of its largest input, in pixels; None where it was not recorded.
        parity: of its output; None where it was not compared.
        instructions: of a run after the first, on one thread; None where the device does not count them.
    """

    stage: Stage
    load: float
    size: tuple[int, int] | None = None
    parity: ParityFigures | None = None
    instructions: int | None = None

    @property
    def title(self) -> str:
        """Its name, with the size of its input where that was recorded."""
        return " ".join(filter(None, (self.stage.value, _size(self.size))))

    @classmethod
    def of(cls, stage: Stage, load: float, times: RunTimes, **more: Any) -> StageFigures:
        """The figures of raw times."""
        return cls(stage=stage, load=load, **_figures(times, times.steady), **more)


class PhotoFigures(RunFigures):
    """A whole photo: depth once, then blur and upsampling of all tiles, nothing copied; in milliseconds.

    Attributes:
        width, height: in pixels.
        depth_p50, render_p50: medians of the two parts.
        networks_only: the device took the times itself, of the networks; what is computed between them is left out.
    """

    width: int
    height: int
    depth_p50: float
    render_p50: float
    networks_only: bool = False

    @classmethod
    def of(cls, pixels: NDArray[np.uint8], times: PhotoTimes) -> PhotoFigures:
        """The figures of raw times."""
        whole = tuple(depth + render for depth, render in zip(times.depth, times.render, strict=True))
        return cls(
            width=pixels.shape[1],
            height=pixels.shape[0],
            depth_p50=float(np.median(times.depth)),
            render_p50=float(np.median(times.render)),
            networks_only=times.networks_only,
            **_figures(times, whole),
        )

    @property
    def title(self) -> str:
        """Its size."""
        return f"{self.width}×{self.height}"

    @property
    def frames_per_second(self) -> float:
        """Renderings a second, depth apart: an app computes depth once, and renders while a user moves the focus."""
        return 1e3 / self.render_p50


class MinuteFigures(BaseModel):
    """A minute of a load that goes on.

    Attributes:
        seconds: after which it ended, from the start of the load.
        p50: median time of a frame in it, in milliseconds.
        runs: frames.
        state: how warm and how fast the machine was at its end.
    """

    seconds: float
    p50: float
    runs: int
    state: MachineState = MachineState()


class SustainedFigures(BaseModel):
    """A preview rendered again and again, depth and blur, for minutes: what heat leaves of the speed."""

    minutes: tuple[MinuteFigures, ...]

    @property
    def slowdown(self) -> float:
        """The last minute's median time through the first's."""
        return self.minutes[-1].p50 / self.minutes[0].p50


class BenchFigures(BaseModel):
    """What was measured, or why it could not be.

    Attributes:
        backend, device: id of what computed, and on what.
        runtime: its name and version.
        machine: where, if that is not the report's machine: a phone.
        before, after: how warm and how fast that was before the first and after the last figure.
        stages: of the sizes that the plan has first.
        further_stages: the depth network's further sizes, and the stages' further tiles.
        photo: the first photo; further sizes are in `further_photos`.
        preview: 1280×960, as an app shows it while a user chooses.
        sustained: the preview under a load that goes on.
        peak_mb: greatest resident memory of its process, in 10^6 bytes; None where that is not here.
        error: why there are no figures; empty when there are.
    """

    title: str
    backend: str = ""
    device: str = ""
    runtime: str = ""
    machine: Machine | None = None
    before: MachineState = MachineState()
    after: MachineState = MachineState()
    stages: tuple[StageFigures, ...] = ()
    further_stages: tuple[StageFigures, ...] = ()
    photo: PhotoFigures | None = None
    further_photos: tuple[PhotoFigures, ...] = ()
    preview: PhotoFigures | None = None
    sustained: SustainedFigures | None = None
    peak_mb: float | None = None
    error: str = ""

    @property
    def every_stage(self) -> tuple[StageFigures, ...]:
        """Of every size."""
        return self.stages + self.further_stages

    @property
    def photos(self) -> tuple[PhotoFigures, ...]:
        """All photos, in the order that was asked for."""
        return (() if self.photo is None else (self.photo,)) + self.further_photos

    def timed(self) -> dict[str, RunFigures]:
        """Everything of which there are samples, by name: a stage with its size, a photo, the preview."""
        stages = {one.title: one for one in self.every_stage}
        photos = {f"photo {one.title}": one for one in self.photos}
        return {**stages, **photos, **({} if self.preview is None else {"preview": self.preview})}


def _size(size: tuple[int, int] | None) -> str:
    return "" if size is None else f"{size[1]}×{size[0]}"


class BenchReport(BaseModel):
    """All rows of one bench, and what they belong to. Its JSON Schema: `dofkit bench --schema`.

    Attributes:
        schema_version: what the document's fields mean; named `schema` in JSON.
        dofkit: its version.
        bundle: the bundle's name.
        digest: of its manifest, so that figures belong to files.
        taken: when, in UTC (ISO 8601).
        machine: that started the bench.
        threads: CPU threads of each runtime.
        results: a row for each backend and variant.
    """

    model_config = ConfigDict(populate_by_name=True)

    schema_version: Literal["dofkit-bench-1"] = Field(default=SCHEMA, alias="schema")
    dofkit: str
    bundle: str
    digest: str
    taken: str
    machine: Machine
    threads: int
    results: tuple[BenchFigures, ...]

    def as_json(self) -> dict[str, Any]:
        """For files and machines."""
        return self.model_dump(mode="json", by_alias=True)

"""What a calibration has seen: focus, aperture, defocus and light of its photos, and where that is thin.

Counting and telling only; where the photos and tiles come from is decided in `calibration`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..runtime_ref.pipeline.portrait import Lens
from ..runtime_ref.pipeline.stage import Stage
from .ranges import StageInputs

BINS = 10
Histogram = tuple[int, ...]
EMPTY: Histogram = (0,) * BINS

# Below this many photos one of them decides many of the ranges.
FEW_PHOTOS = 8
# Mean luma: a dim room or a street at night lies below, snow, a beach or a white wall above.
DARK, BRIGHT = 0.25, 0.6
# Near white in all channels; a saturated colour reaches 255 in one without being a light.
CLIPPED_FROM = 250
# A share below this is a speck: no light source, no blurred region.
SPECK = 0.001
_LUMA = np.array([0.2126, 0.7152, 0.0722]) / 255  # Rec. 709, of sRGB-encoded values


@dataclass(frozen=True)
class Light:
    """The light in one photo.

    Attributes:
        luma: mean luma (Rec. 709, sRGB-encoded), [0, 1].
        clipped: share of the pixels that are near white in all channels, [0, 1].
    """

    luma: float
    clipped: float

    @classmethod
    def of(cls, pixels: NDArray[np.uint8]) -> Light:
        """Measure uint8 `[H, W, 3]`."""
        clipped = (pixels.min(axis=2) >= CLIPPED_FROM).mean()
        return cls(luma=float(pixels.mean(axis=(0, 1)) @ _LUMA), clipped=float(clipped))


@dataclass(frozen=True)
class StageCoverage:
    """What one stage was fed. Histograms have ten bins of equal width.

    Attributes:
        samples: inputs fed from photos.
        focus, aperture: renderings, over [0, 1].
        defocus: pixels of the tiles fed, over [−1, 1], as the networks get it.
        nearer, farther: pixels of the tiles fed whose defocus lies above 0.5, below −0.5.
    """

    samples: int = 0
    focus: Histogram = EMPTY
    aperture: Histogram = EMPTY
    defocus: Histogram = EMPTY
    nearer: int = 0
    farther: int = 0

    def with_rendering(self, lens: Lens | None, samples: Sequence[StageInputs]) -> StageCoverage:
        """The same, and what one more rendering fed.

        Args:
            lens: None for the depth network, which knows none.
            samples: inputs, by name.
        """
        seen = dataclasses.replace(self, samples=self.samples + len(samples))
        if lens is None:
            return seen
        maps = [values for inputs in samples for name, values in inputs.items() if name.startswith("defocus")]
        return dataclasses.replace(
            seen,
            focus=_added(self.focus, _histogram([lens.focus], 0, 1)),
            aperture=_added(self.aperture, _histogram([lens.aperture], 0, 1)),
            defocus=_added(self.defocus, *(_histogram(values, -1, 1) for values in maps)),
            nearer=self.nearer + sum(int((values > 0.5).sum()) for values in maps),
            farther=self.farther + sum(int((values < -0.5).sum()) for values in maps),
        )


@dataclass(frozen=True)
class Coverage:
    """What a calibration has seen so far.

    Attributes:
        own: whether the photos are the user's.
        found: photos in the user's folder; more than were used where a cap left some out.
        photos: the light of every photo that was used.
        stages: what each stage was fed, of those that were calibrated.
    """

    own: bool
    found: int
    photos: tuple[Light, ...] = ()
    stages: Mapping[Stage, StageCoverage] = field(default_factory=dict)

    @property
    def focus(self) -> Histogram:
        """Renderings over the disparity in focus, [0, 1]; all stages see the same ones."""
        return max((stage.focus for stage in self.stages.values()), key=sum, default=EMPTY)

    @property
    def aperture(self) -> Histogram:
        """Renderings over the aperture, [0, 1]."""
        return max((stage.aperture for stage in self.stages.values()), key=sum, default=EMPTY)

    @property
    def defocus(self) -> Histogram:
        """Pixels of all tiles fed over the defocus, [−1, 1]."""
        return _added(EMPTY, *(stage.defocus for stage in self.stages.values()))

    @property
    def brightness(self) -> Histogram:
        """Photos over their mean luma, [0, 1]."""
        return _histogram([light.luma for light in self.photos], 0, 1)

    @property
    def with_lights(self) -> int:
        """Photos with clipped highlights."""
        return sum(light.clipped >= SPECK for light in self.photos)

    @property
    def nearer(self) -> float:
        """Share of the pixels fed that are blurred more than half of the most, nearer than the focus."""
        return self._share(sum(stage.nearer for stage in self.stages.values()))

    @property
    def farther(self) -> float:
        """Share of the pixels fed that are blurred more than half of the most, farther than the focus."""
        return self._share(sum(stage.farther for stage in self.stages.values()))

    def _share(self, pixels: int) -> float:
        return pixels / max(1, sum(self.defocus))

    @property
    def warnings(self) -> tuple[str, ...]:
        """Where the photos are thin, one line each, with what to add."""
        return tuple(self._thin())

    def _thin(self) -> Iterator[str]:
        if not self.photos:
            return
        if not self.own:
            yield "calibrated on a few pictures that scikit-image brings, not on your photos; give --calibration DIR"
        elif len(self.photos) < FEW_PHOTOS:
            count = f"{len(self.photos)} photo{'s' * (len(self.photos) > 1)}"
            yield f"calibrated on {count}; add more, {FEW_PHOTOS} at least, of different scenes"
        lumas = [light.luma for light in self.photos]
        if min(lumas) >= DARK:
            yield f"no dark photo (mean luma below {DARK:g}); add one taken indoors or at night"
        if max(lumas) <= BRIGHT:
            yield f"no bright photo (mean luma above {BRIGHT:g}); add one with snow, a beach or a white wall"
        if not self.with_lights:
            yield "no clipped highlights; add a photo with lamps, reflections or the sun in it"
        if any(self.defocus):
            if self.nearer < SPECK:
                yield "no strong blur in front of the focus; add a photo with something close before its subject"
            if self.farther < SPECK:
                yield "no strong blur behind the focus; add a photo with a far background"

    def lines(self) -> list[str]:
        """For the terminal: counts, and a bar of ten steps for every histogram."""
        cap = f" of {self.found}, evenly chosen" if self.found > len(self.photos) else ""
        samples = ", ".join(f"{stage} {coverage.samples}" for stage, coverage in self.stages.items())
        lines = [
            f"photos      {len(self.photos)}{cap}; clipped highlights in {self.with_lights}",
            f"samples     {samples or 'none'}",
            f"brightness     dark {_bar(self.brightness)} bright",
        ]
        if any(self.defocus):
            beyond = f"beyond half: {self.farther:.1%} and {self.nearer:.1%} of the pixels"
            lines += [
                f"focus           far {_bar(self.focus)} near",
                f"aperture     closed {_bar(self.aperture)} open",
                f"defocus      behind {_bar(self.defocus)} in front; {beyond}",
            ]
        return lines

    def as_json(self) -> dict[str, Any]:
        """The report for machines."""
        return {
            "own_photos": self.own,
            "photos_found": self.found,
            "photos": [dataclasses.asdict(light) for light in self.photos],
            "samples": {stage.value: coverage.samples for stage, coverage in self.stages.items()},
            "focus": list(self.focus),
            "aperture": list(self.aperture),
            "defocus": list(self.defocus),
            "defocus_beyond_half": {"nearer": self.nearer, "farther": self.farther},
            "brightness": list(self.brightness),
            "warnings": list(self.warnings),
        }


def _histogram(values: Any, low: float, high: float) -> Histogram:
    """Ten bins of equal width; what lies outside falls into the outermost."""
    counts, _ = np.histogram(np.clip(values, low, high), bins=BINS, range=(low, high))
    return tuple(int(count) for count in counts)


def _added(*histograms: Histogram) -> Histogram:
    return tuple(sum(counts) for counts in zip(*histograms, strict=True))


def _bar(histogram: Histogram) -> str:
    """One character a bin, its height the share of the fullest; a dot for an empty one."""
    steps = "▁▂▃▄▅▆▇█"
    most = max(histogram)
    return "".join(steps[(count * len(steps) - 1) // most] if count else "·" for count in histogram)

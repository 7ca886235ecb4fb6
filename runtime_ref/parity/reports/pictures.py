"""The pictures of report.html: input, reference, output and amplified difference of every case, as data URIs.

Pictures keep their own pixels: nothing is reduced, or the differences would vanish. What is larger than the page allows
is cut to the window in which the outputs differ most.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ...pipeline.portrait import Array
from ...pipeline.resampling import resize
from ...pipeline.stage import Stage
from .. import metrics
from ..verdict import ParityReport, Rendering, Verdict
from .figures import format_metric

DIFFERENCE_GAIN = 64  # at 64× one 8-bit step is a quarter of white: what is invisible becomes a picture

# Long sides of what a page shows, the greatest first, and how many lossless pixels a page may hold: at 2 to 3 bytes
# each a report of many variants stays below some 50 MB, which browsers still open at once.
_SIDES = (1280, 960, 640, 480, 320)
_PAGE_PIXELS = 16_000_000
_OVERVIEW_SIDE = 320
_BLOCK = 16  # pixels; the window of greatest difference is sought on a grid of this
_JPEG_BEYOND = 640  # longer inputs are JPEG: nothing is compared with them


class CaseArrays(Protocol):
    """What a page shows of a case; `golden.GoldenArrays` is one."""

    @property
    def photo(self) -> NDArray[np.uint8]:
        """The input, uint8 `[H, W, 3]`."""
        ...

    @property
    def rendered(self) -> Array:
        """The reference's picture, float32 `[H, W, 3]` in [0, 1]."""
        ...

    def output(self, stage: Stage) -> Array:
        """What the reference computes in a stage, `[1, C, h, w]`."""
        ...


@dataclass(frozen=True)
class Window:
    """The part of a picture that is shown, in its pixels.

    Attributes:
        top, left: its first row and column.
        height, width: its size.
        whole: (height, width) of the picture.
    """

    top: int
    left: int
    height: int
    width: int
    whole: tuple[int, int]

    def of(self, picture: NDArray[Any]) -> NDArray[Any]:
        """This part of a picture `[H, W, ...]`."""
        return picture[self.top : self.top + self.height, self.left : self.left + self.width]

    @property
    def is_whole(self) -> bool:
        """Whether nothing is cut away."""
        return (self.height, self.width) == self.whole

    @property
    def text(self) -> str:
        """Where it lies, for people."""
        size = f"{self.whole[1]}×{self.whole[0]} pixels"
        if self.is_whole:
            return size
        right, bottom = self.left + self.width - 1, self.top + self.height - 1
        return f"columns {self.left}–{right} and rows {self.top}–{bottom} of {size}, where outputs differ most"


@dataclass(frozen=True)
class VariantView:
    """What one file format and precision makes of a case.

    Attributes:
        verdict: of the whole pipeline on this case.
        figures: its distance from the reference, in words.
        output, difference: data URIs; no difference where the sizes are not the same.
    """

    target: str
    title: str
    precision: str
    verdict: Verdict
    figures: str
    output: str
    difference: str | None


@dataclass(frozen=True)
class CaseView:
    """A case on the page; pictures are data URIs.

    Attributes:
        window: what part of the pictures is shown.
        overview: the whole input with the window marked; None where the window is the whole.
        variants: the failing ones first.
    """

    name: str
    note: str
    window: Window
    overview: str | None
    input: str
    disparity: str
    reference: str
    variants: tuple[VariantView, ...]

    @property
    def verdict(self) -> Verdict:
        """FAIL when any variant fails."""
        failing = any(variant.verdict is Verdict.FAIL for variant in self.variants)
        return Verdict.FAIL if failing else Verdict.PASS


def case_views(cases: Mapping[str, CaseArrays], notes: Mapping[str, str], parity: ParityReport) -> list[CaseView]:
    """Every case with its pictures, failing ones first; cases are read one at a time.

    Args:
        cases: name -> pictures.
        notes: a line about some of the cases, by name.
        parity: verdicts and renderings.
    """
    side = _side(cases, parity.renderings)
    views = [_case_view(name, notes.get(name, ""), cases[name], parity, side) for name in cases]
    return sorted(views, key=lambda view: view.verdict is not Verdict.FAIL)


def _side(cases: Iterable[str], renderings: Sequence[Rendering]) -> int:
    """The longest side at which all lossless pictures fit into a page."""
    names = set(cases)
    shapes = [rendering.output.shape for rendering in renderings if rendering.case in names]

    def pixels(side: int) -> int:
        return sum(2 * min(height, side) * min(width, side) for height, width, *_ in shapes)

    return next((side for side in _SIDES if pixels(side) <= _PAGE_PIXELS), _SIDES[-1])


def _case_view(name: str, note: str, arrays: CaseArrays, parity: ParityReport, side: int) -> CaseView:
    reference = arrays.rendered
    renderings = [rendering for rendering in parity.renderings if rendering.case == name]
    window = _most_different(reference, [r.output for r in renderings if r.output.shape == reference.shape], side)
    variants = [
        _variant_view(rendering, reference, window, _verdict_of_case(rendering, parity)) for rendering in renderings
    ]
    disparity = resize(arrays.output(Stage.DEPTH)[0, 0], window.whole)
    return CaseView(
        name=name,
        note=note,
        window=window,
        overview=None if window.is_whole else _overview(arrays.photo, window),
        input=data_uri(window.of(arrays.photo), lossless=max(window.height, window.width) <= _JPEG_BEYOND),
        disparity=data_uri(to_bytes(window.of(disparity))),
        reference=data_uri(to_bytes(window.of(reference))),
        variants=tuple(sorted(variants, key=lambda variant: variant.verdict is not Verdict.FAIL)),
    )


def _variant_view(rendering: Rendering, reference: Array, window: Window, verdict: Verdict) -> VariantView:
    same_size = rendering.output.shape == reference.shape
    shown = window.of(rendering.output)
    # Not a number is white: it must not look like agreement.
    gained = np.nan_to_num(np.abs(shown - window.of(reference)) * DIFFERENCE_GAIN, nan=1.0) if same_size else None
    return VariantView(
        target=rendering.key.target.value,
        title=rendering.key.target.title,
        precision=rendering.key.precision.value,
        verdict=verdict,
        figures=_figures(reference, rendering.output) if same_size else "its size is not the reference's",
        output=data_uri(to_bytes(np.nan_to_num(shown))),
        difference=None if gained is None else data_uri(to_bytes(gained)),
    )


def _verdict_of_case(rendering: Rendering, parity: ParityReport) -> Verdict:
    """The pipeline's verdict; where only some cases fail, the others passed."""
    row = next((row for row in parity.results if row.key == rendering.key), None)
    if row is None:
        return Verdict.NOT_RUN
    return Verdict.PASS if row.failing and rendering.case not in row.failing else row.verdict


def _figures(reference: Array, output: Array) -> str:
    if not np.isfinite(output).all():
        return "holds NaN or infinity"
    psnr, greatest = metrics.psnr(reference, output), metrics.max_abs(reference, output)
    return f"PSNR {format_metric('psnr', psnr)} dB, max abs {format_metric('max_abs', greatest)}"


def _most_different(reference: Array, outputs: Iterable[Array], side: int) -> Window:
    """The window of at most `side` × `side` pixels with the greatest sum of differences."""
    whole = reference.shape[:2]
    size = tuple(min(length, side) for length in whole)
    heat = np.zeros([-(-length // _BLOCK) for length in whole])
    if size != whole:
        for output in outputs:
            difference = np.nan_to_num(np.abs(output - reference).max(axis=2), nan=1.0, posinf=1.0)
            rows = np.add.reduceat(difference, np.arange(0, whole[0], _BLOCK), axis=0)
            heat = np.maximum(heat, np.add.reduceat(rows, np.arange(0, whole[1], _BLOCK), axis=1))
    high, wide = (min(max(1, part // _BLOCK), n) for part, n in zip(size, heat.shape, strict=True))
    sums = np.pad(heat.cumsum(0).cumsum(1), ((1, 0), (1, 0)))  # of everything above and to the left
    inside = sums[high:, wide:] - sums[:-high, wide:] - sums[high:, :-wide] + sums[:-high, :-wide]
    row, column = np.unravel_index(int(inside.argmax()), inside.shape)
    top, left = min(int(row) * _BLOCK, whole[0] - size[0]), min(int(column) * _BLOCK, whole[1] - size[1])
    return Window(top, left, size[0], size[1], (whole[0], whole[1]))


def _overview(photo: NDArray[np.uint8], window: Window) -> str:
    """The whole input, small, with the window's outline."""
    picture = Image.fromarray(photo)
    picture.thumbnail((_OVERVIEW_SIDE, _OVERVIEW_SIDE))
    scale = picture.width / window.whole[1]
    left, top, right, bottom = (
        round(value * scale)
        for value in (window.left, window.top, window.left + window.width, window.top + window.height)
    )
    box = (left, top, min(right, picture.width) - 1, min(bottom, picture.height) - 1)
    ImageDraw.Draw(picture).rectangle(box, outline=(255, 64, 0), width=2)
    return data_uri(np.asarray(picture), lossless=False)


def to_bytes(picture: NDArray[Any]) -> NDArray[np.uint8]:
    """Values in [0, 1] as 8 bits; what lies outside is clipped."""
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def data_uri(pixels: NDArray[np.uint8], lossless: bool = True) -> str:
    """A picture `[H, W]` or `[H, W, 3]` as a data URI: PNG, or JPEG where small losses do not matter."""
    buffer = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    if lossless:
        picture.save(buffer, "PNG")
    else:
        picture.save(buffer, "JPEG", quality=92, subsampling=0)
    kind = "png" if lossless else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"

"""What an evaluation leaves: scores.json for machines, and report.html, one self-contained page, for people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...runtime_ref.files import write_file, write_json
from ...runtime_ref.parity.reports.pictures import data_uri, to_bytes
from ...runtime_ref.pipeline.pyramid import as_float
from ...runtime_ref.pipeline.resampling import resize
from .methods import DisparitySource, Group, Method, Networks
from .page import page
from .photos import PhotoView
from .plots import line_plot
from .render import CROP, DepthSource, JudgedScene, SceneEvaluation, Scenes
from .scores import Bytes
from .store import PartialStore

GAIN = 8
"""Of the differences shown: what the eye just sees as wrong becomes plain."""
OVERVIEW = 480
"""Long side of a whole photo on the page, in pixels."""


@dataclass(frozen=True)
class Titled:
    """A picture on the page, as a data URI."""

    title: str
    uri: str


@dataclass(frozen=True)
class Row:
    """Pictures side by side."""

    title: str
    pictures: tuple[Titled, ...]


def to_json(evaluation: SceneEvaluation, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that was found, in a form that JSON holds.

    Args:
        evaluation: the scores.
        facts: versions, settings, hashes of the weights.
    """
    return {
        "format": 1,
        **facts,
        "scenes": [asdict(lens) for lens in evaluation.lenses],
        "methods": [
            {
                "name": method.name,
                "group": method.group.value,
                "source": method.source,
                "fingerprint": method.fingerprint,
                "mean": {kind.value: evaluation.means(method, kind) for kind in method.kinds},
                "per_scene": {kind.value: _per_scene(evaluation, method, kind) for kind in method.kinds},
            }
            for method in evaluation.methods
        ],
    }


def _per_scene(evaluation: SceneEvaluation, method: Method, kind: DisparitySource) -> list[dict[str, Any]]:
    return [{"scene": entry.scene, **asdict(entry.scores)} for entry in evaluation.of(method, kind)]


def write_scores(path: Path, evaluation: SceneEvaluation, facts: Mapping[str, Any]) -> None:
    """Write scores.json, whole or not at all."""
    write_json(path, to_json(evaluation, facts))


def write_report(
    path: Path,
    evaluation: SceneEvaluation,
    facts: Mapping[str, Any],
    scenes: Scenes,
    depth: DepthSource,
    photos: Iterable[PhotoView] = (),
) -> None:
    """Write report.html: tables, plots, crops at depth edges, real photos.

    Args:
        path: the page's goal.
        evaluation, facts: as for `to_json`.
        scenes, depth: what was evaluated, for the pictures.
        photos: real ones; read one at a time.

    Raises:
        MissingExtraError: Jinja2 or Matplotlib is not installed.
    """
    filled = page(
        "report.html.j2",
        scenes=evaluation.scenes,
        facts=dict(_flat(facts)),
        errors=disparity_errors(evaluation),
        kinds=list(DisparitySource),
        groups=score_table(evaluation),
        levels=level_table(evaluation),
        plots=channel_plots(evaluation),
        rows=[(f"scene {index + 1}", _scene_rows(evaluation, index, scenes, depth)) for index in evaluation.shown],
        photos=[_photo_row(photo) for photo in photos],
        gain=GAIN,
        crop=CROP,
    )
    write_file(path, filled)


def score_table(
    evaluation: SceneEvaluation,
) -> list[tuple[str, list[tuple[Method, dict[DisparitySource, dict[str, Any]]]]]]:
    """Heading of each group, and its methods with their mean scores by kind of disparity."""
    table = []
    for group in Group:
        methods = [method for method in evaluation.methods if method.group is group]
        rows = [(m, {k: means for k in m.kinds if (means := evaluation.means(m, k))}) for m in methods]
        if rows:
            table.append((group.value, rows))
    return table


def level_table(evaluation: SceneEvaluation) -> list[tuple[str, DisparitySource, list[float]]]:
    """(method, kind, mean dB of each level from the lowest) of the methods that have levels."""
    found = []
    for method in evaluation.methods:
        for kind in method.kinds if isinstance(method, Networks) else ():
            means = evaluation.means(method, kind)
            if means and means["levels"]:
                found.append((method.name, kind, means["levels"]))
    return found


def disparity_errors(evaluation: SceneEvaluation) -> dict[DisparitySource, float]:
    """Mean RMSE of each kind of disparity that is not the true one."""
    errors: dict[DisparitySource, float] = {}
    for method in evaluation.methods:
        for kind in method.kinds:
            means = evaluation.means(method, kind)
            if means and kind is not DisparitySource.TRUE:
                errors.setdefault(kind, means["disparity_error"])
    return errors


def channel_plots(evaluation: SceneEvaluation) -> list[Titled]:
    """PSNR over the number in names such as `channels=16`, one plot a word that at least two ablations share."""
    series: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for method in evaluation.methods:
        name = re.fullmatch(r"(\w[\w -]*)=(\d+(?:\.\d+)?)", method.name)
        if method.group is not Group.ABLATION or not name:
            continue
        for kind in method.kinds:
            if means := evaluation.means(method, kind):
                points = series.setdefault(name[1], {}).setdefault(f"{kind} disparity", [])
                points.append((float(name[2]), means["psnr"]))
    plots = []
    for word, lines in series.items():
        if all(len(points) > 1 for points in lines.values()):
            uri = line_plot({kind: sorted(points) for kind, points in lines.items()}, word, "PSNR in dB")
            plots.append(Titled(f"PSNR over {word}", uri))
    return plots


def _scene_rows(evaluation: SceneEvaluation, index: int, scenes: Scenes, depth: DepthSource) -> list[Row]:
    """Photo, truth and disparities of one scene, then ours and the best classical renderer by kind of disparity."""
    judged = JudgedScene(scenes[index], depth)
    window = judged.window
    truth = window.of(judged.truth)
    first = [Titled("photo", data_uri(window.of(judged.sharp))), Titled("truth", data_uri(truth))]
    maps = {kind: to_bytes(window.of(judged.disparity(kind))) for kind in DisparitySource}
    first += [Titled(f"{kind} disparity", data_uri(grey)) for kind, grey in maps.items()]
    lens = judged.lens
    title = f"focus {lens.focus:.2f}, aperture {lens.aperture:.2f}"
    rows = [Row(title, tuple(first))]
    best = evaluation.best(Group.CLASSICAL)
    ours = next((method for method in evaluation.methods if method.group is Group.OURS), None)
    for kind in DisparitySource:
        pictures = [p for method in (ours, best) if method for p in _compared(evaluation, method, kind, index, truth)]
        if pictures:
            rows.append(Row(f"{kind} disparity", tuple(pictures)))
    return rows


def _compared(
    evaluation: SceneEvaluation, method: Method, kind: DisparitySource, index: int, truth: Bytes
) -> list[Titled]:
    """A method's crop and its amplified difference from the truth."""
    entry = next((entry for entry in evaluation.of(method, kind) if entry.scene == index), None)
    crop = PartialStore.crop(entry.path) if entry else None
    if entry is None or crop is None or crop.shape != truth.shape:
        return []
    difference = np.abs(as_float(crop) - as_float(truth)) * GAIN
    return [
        Titled(f"{method.name}, {entry.scores.psnr:.1f} dB", data_uri(crop)),
        Titled(f"{method.name}: difference × {GAIN}", data_uri(to_bytes(difference))),
    ]


def _photo_row(photo: PhotoView) -> Row:
    """The whole photo small, then crops of its own pixels."""
    crops = (("photo, 100 %", photo.sharp), ("ours, 100 %", photo.ours))
    pictures = [Titled("photo", _overview(photo.sharp)), Titled("ours", _overview(photo.ours))]
    pictures += [Titled(title, data_uri(photo.window.of(picture))) for title, picture in crops]
    shown = to_bytes(resize(photo.disparity, photo.window.whole)[photo.window.top :, photo.window.left :])
    pictures.append(Titled("disparity there", data_uri(shown[: photo.window.height, : photo.window.width])))
    return Row(f"{photo.name}: {photo.note}", tuple(pictures))


def _overview(pixels: Bytes) -> str:
    """The whole picture at most 480 px long, as JPEG."""
    height, width = pixels.shape[:2]
    scale = min(1.0, OVERVIEW / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return data_uri(to_bytes(resize(as_float(pixels), size)), lossless=False)


def _flat(facts: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Facts within facts as one list of names and values."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name} › ")
        else:
            yield before + name, value


def table_rows(evaluation: SceneEvaluation) -> Sequence[tuple[str, list[str]]]:
    """The terminal's table: (method, cells), a heading with no cells before each group; '-' where nothing is known."""
    rows: list[tuple[str, list[str]]] = []
    for heading, methods in score_table(evaluation):
        rows.append((heading, []))
        for method, by_kind in methods:
            true = by_kind.get(DisparitySource.TRUE, {})
            cells = [figure(true.get("psnr")), figure(true.get("ssim"), 4)]
            cells += [figure(true.get(name)) for name in ("psnr_edges", "psnr_in_focus")]
            for kind in (DisparitySource.CORRUPTED, DisparitySource.PREDICTED):
                cells += [figure(by_kind.get(kind, {}).get(name)) for name in ("psnr", "psnr_edges")]
            rows.append((method.name, [*cells, figure(true.get("seconds"))]))
    return rows


def figure(value: float | None, digits: int = 2) -> str:
    """A number for people; '-' for None."""
    return "-" if value is None else f"{value:.{digits}f}"

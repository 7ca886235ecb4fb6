"""What people read in a bundle: report.html (verdicts and pictures) and README.md (for the app developer).

The pictures themselves are made in `pictures`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...bundle import Manifest
from ...errors import require
from ...files import write_file
from ...pipeline.stage import PREVIEWS
from ...target import Target
from ..grade import GRADES
from ..verdict import ParityReport, ParityResult, Verdict
from .figures import counted, format_metric, has_grades, measured_titles, promise, worst_first
from .pictures import DIFFERENCE_GAIN, CaseArrays, case_views

__all__ = ["format_metric", "measured_titles", "write_readme", "write_report"]

_TEMPLATES = Path(__file__).parent


def write_report(
    path: Path,
    manifest: Manifest,
    parity: ParityReport,
    cases: Mapping[str, CaseArrays],
    notes: Mapping[str, str] | None = None,
    reference: str | None = None,
) -> None:
    """Write one self-contained page: the parity table and the pictures behind it, side by side, with zoom.

    Args:
        path: the page's goal.
        manifest: of the bundle that was compared.
        parity: what was found.
        cases: name -> pictures; they are read one at a time, a lazy mapping keeps memory small. They need not be the
            bundle's own.
        notes: a line about cases that are not the bundle's, by name.
        reference: what the files were compared with; None: what computed the golden outputs.

    Raises:
        MissingExtraError: when Jinja2 is not installed.
    """
    titles = measured_titles(parity)
    known = {case.name: case.note for case in manifest.golden}
    page = (
        templates()
        .get_template("report.html.j2")
        .render(
            manifest=manifest,
            parity=parity,
            counted=counted(parity),
            reference=reference or manifest.reference,
            rows=[_row(result, titles) for result in worst_first(parity.results)],
            titles=titles,
            graded=has_grades(parity),
            grades=GRADES,
            filters=_filters(parity),
            gain=DIFFERENCE_GAIN,
            cases=case_views(cases, {**known, **(notes or {})}, parity),
        )
    )
    write_file(path, page.encode())


def write_readme(path: Path, manifest: Manifest) -> None:
    """Write README.md: how an app uses the bundle, from the manifest alone."""
    template = templates().get_template("readme.md.j2")
    images = any(tensor.image for model in manifest.models for tensor in (*model.inputs, *model.outputs))
    path.write_text(
        template.render(manifest=manifest, images=images, PREVIEWS=PREVIEWS, Target=Target), encoding="utf-8"
    )


def templates(folder: Path = _TEMPLATES) -> Any:
    """The pages' templates: a folder's own, and the style that all pages share.

    Raises:
        MissingExtraError: when Jinja2 is not installed.
    """
    jinja2 = require("jinja2", "report", "writing a report")
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(dict.fromkeys((folder, _TEMPLATES))),
        autoescape=jinja2.select_autoescape(["html", "html.j2"]),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def _row(result: ParityResult, titles: Mapping[str, str]) -> dict[str, Any]:
    return {
        "result": result,
        "metrics": [format_metric(name, result.metrics.get(name)) for name in titles],
        "promise": promise(result.limits),
        "why": result.limits.reason if result.limits else "",
    }


def _filters(parity: ParityReport) -> dict[str, dict[str, str]]:
    """What a reader may hide: the kind, its values as they stand in the page's attributes, and their titles."""
    return {
        "target": {result.target.value: result.target.title for result in parity.results},
        "precision": {result.precision.value: result.precision.value for result in parity.results},
        "verdict": {verdict.name: verdict.value for verdict in Verdict},
    }

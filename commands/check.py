"""`dofkit check`: does a bundle still compute what PyTorch computed? The gate for CI; needs no PyTorch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..runtime_ref.target import Precision, Target
from ._brought_options import brought_networks, brought_options
from ._groups import GroupedCommand, GroupedOption
from ._options import BUNDLE, FILE, PRECISION, TARGET, HintedChoice, computing, device_options, weights_option

if TYPE_CHECKING:
    from ..runtime_ref.backends import Backend
    from ..runtime_ref.bundle import Bundle
    from ..runtime_ref.parity.cases import Case
    from ..runtime_ref.parity.check import ParityReport

REPORTS = "Reports"
# As `runtime_ref.parity.grade` has them, which imports more than `--help` should.
GRADES = ("visually lossless", "good", "visible", "poor")
STDOUT = "-"


@click.command(cls=GroupedCommand)
@click.argument("bundle", type=BUNDLE)
@click.option("--target", "targets", type=TARGET, multiple=True, help="Check only this target.  [default: all]")
@click.option("--precision", "precisions", type=PRECISION, multiple=True, help="Check only this precision.")
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    help="Compare on the photos of this folder, too (reduced to 1280 pixels); needs PyTorch or --against BUNDLE.",
)
@click.option(
    "--against",
    metavar="golden|pytorch|BUNDLE",
    help="What is right: the bundle's golden vectors, PyTorch computed now, or another bundle's most exact files.  "
    "[default: golden; with --images pytorch]",
)
@weights_option(
    "The weights that the bundle was exported from, for PyTorch.  [default: those shipped]", file_okay=False
)
@click.option(
    "--tolerances",
    type=FILE,
    help="Your team's own limits, a TOML file (see docs/ci.md).",
)
@click.option(
    "--backend", "backends", multiple=True, metavar="ID",
    help="Compute with this backend only (`dofkit doctor` lists them).  [default: the usual one of each target]",
)  # fmt: skip
@device_options("Compute on this device.  [default: host]")
@click.option(
    "--all-backends",
    is_flag=True,
    help="Compute every stage with all backends: ONNX Runtime unoptimised and ONNX's reference evaluator; "
    "LiteRT's and TensorFlow's reference kernels, fp16 arithmetic, the GPU.",
)
@click.option("--second-opinions", "all_backends_alias", is_flag=True, hidden=True)  # its name before
@click.option(
    "--least-grade",
    type=HintedChoice(GRADES),
    help="FAIL a pipeline whose pictures look worse than this beside the reference's.",
)
@click.option("--allow-not-run", is_flag=True, help="Exit with 0 when something could not run here (instead of 3).")
@click.option(
    "--json", "json_to", is_flag=False, flag_value=STDOUT, metavar="[FILE]", cls=GroupedOption, group=REPORTS,
    help="JSON for machines; without a FILE on stdout, instead of the table.",
)  # fmt: skip
@click.option(
    "--junit", "junit_to", type=FILE, cls=GroupedOption, group=REPORTS,
    help="JUnit XML: a test case a row.",
)  # fmt: skip
@click.option(
    "--markdown", "markdown_to", type=FILE, cls=GroupedOption, group=REPORTS,
    help="Markdown for a job's summary or a pull request.",
)  # fmt: skip
@click.option(
    "--html", "html_to", type=FILE, cls=GroupedOption, group=REPORTS,
    help="A page with pictures: input, reference, output, amplified difference, with zoom.",
)  # fmt: skip
@brought_options()
@click.pass_context
def command(
    ctx: click.Context,
    bundle: Path,
    targets: tuple[Target, ...],
    precisions: tuple[Precision, ...],
    images: Path | None,
    against: str | None,
    weights: Path | None,
    tolerances: Path | None,
    backends: tuple[str, ...],
    devices: tuple[str, ...],
    all_backends: bool,
    all_backends_alias: bool,
    least_grade: str | None,
    allow_not_run: bool,
    json_to: str | None,
    junit_to: Path | None,
    markdown_to: Path | None,
    html_to: Path | None,
) -> None:
    """Verify a BUNDLE's files and compare every model with what PyTorch computes.

    Each runtime computes in a process of its own: one that crashes FAILs. Where a file fails, the likely mistake is
    named (swapped colours, a second normalisation, an ignored input …) and the first layer that differs.

    \b
    Exit codes: 0 all PASS, 1 something FAILs, 2 bad input (a missing or changed file is named),
                3 something could not run here (a runtime that is not installed).

    \b
    Examples:
        dofkit check portrait.dofbundle
        dofkit check portrait.dofbundle --images photos --html parity.html
        dofkit check new.dofbundle --against released.dofbundle --junit parity.xml --markdown parity.md
    """
    import tempfile

    from ..export.reference_cases import cases_against, reference_at_hand
    from ..runtime_ref.bundle import Bundle
    from ..runtime_ref.files import check_folder
    from ..runtime_ref.parity.check import CheckOptions, Verdict, run_parity
    from ..runtime_ref.parity.grade import Grade
    from ..runtime_ref.parity.tolerance_file import read_tolerances
    from . import _console

    files = [path for path in (junit_to, markdown_to, html_to) if path is not None]
    if json_to not in (None, STDOUT):
        files.append(Path(json_to))
    for path in files:
        check_folder(path)  # before the minutes of work
    team = read_tolerances(tolerances) if tolerances else None
    asked = _backends(computing(backends, devices), all_backends or all_backends_alias)
    opened = Bundle.open(bundle)
    variants = _chosen(opened, targets, precisions, asked)
    brought = brought_networks(ctx)
    if images is not None or against is not None:
        _refuse_other_sizes(opened)
    with _console.progress() as display, tempfile.TemporaryDirectory() as scratch:
        bar = display.add_task("open", total=None)

        def show(what: str) -> None:
            display.update(bar, description=what)

        cases = cases_against(opened, against, images, weights, Path(scratch), show, brought)
        options = CheckOptions(
            tolerances=team,
            backends=asked,
            least_grade=Grade(least_grade) if least_grade else None,
            reference=reference_at_hand(opened, weights, brought),
            renderings=Path(scratch) if html_to else None,
        )
        report = run_parity(opened, variants, cases, options, lambda t, p, scope: show(f"{t.title} {p} {scope}"))
        right = against if against and Path(against).is_dir() else opened.manifest.reference
        _write(report, opened, cases, json_to, junit_to, markdown_to, html_to, right)
    if json_to != STDOUT:
        _console.print_parity(report, right)
        _console.stdout().print(f"{bundle}: {report.verdict}", markup=False)
    codes = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.NOT_RUN: 0 if allow_not_run else 3}
    ctx.exit(codes[report.verdict])


def _backends(chosen: tuple[Backend, ...], every: bool) -> tuple[Backend, ...] | None:
    """What computes; None: what every check asks."""
    from ..runtime_ref.backends import BACKENDS

    if not every:
        return chosen or None
    # A runtime that every check asks where it exists is no news where it does not: one row says so.
    return tuple(one for one in BACKENDS if not one.facts.is_routine or one.available() is None or one in chosen)


def _refuse_other_sizes(bundle: Bundle) -> None:
    """Refuse a plan that the models do not fit, before a reference is computed by it."""
    from ..runtime_ref.errors import DofkitError
    from ..runtime_ref.parity.declared import plan_problems

    if problems := plan_problems(bundle.manifest.plan, bundle.models() + bundle.further_depths()):
        raise DofkitError(f"{bundle.root}: {problems[0]}; export the bundle again")


def _chosen(
    bundle: Bundle,
    targets: tuple[Target, ...],
    precisions: tuple[Precision, ...],
    backends: tuple[Backend, ...] | None,
) -> list[tuple[Target, Precision]]:
    """The bundle's variants that were asked for.

    Raises:
        DofkitError: there are none.
    """
    from ..runtime_ref.errors import DofkitError

    variants = [
        (target, precision)
        for target, precision in bundle.variants()
        if (not targets or target in targets)
        and (not precisions or precision in precisions)
        and (backends is None or any(target in one.facts.targets for one in backends))
    ]
    if not variants:
        there = ", ".join(f"{target} {precision}" for target, precision in bundle.variants())
        raise DofkitError(f"{bundle.root} holds none of what was asked for; it holds {there}")
    return variants


def _write(
    report: ParityReport,
    bundle: Bundle,
    cases: list[Case],
    json_to: str | None,
    junit_to: Path | None,
    markdown_to: Path | None,
    html_to: Path | None,
    reference: str,
) -> None:
    """The reports that were asked for."""
    from ..runtime_ref.files import write_file
    from . import _console

    if json_to == STDOUT:
        _console.print_json(report.as_json())
    elif json_to is not None:
        write_file(Path(json_to), (json.dumps(report.as_json(), indent=2) + "\n").encode())
    if junit_to is not None:
        from ..runtime_ref.parity.reports.junit import junit_xml

        write_file(junit_to, junit_xml(report, bundle.manifest.name))
    if markdown_to is not None:
        from ..runtime_ref.parity.reports.markdown import parity_markdown

        write_file(markdown_to, parity_markdown(report).encode())
    if html_to is not None:
        from ..runtime_ref.parity.cases import ArraysByName
        from ..runtime_ref.parity.reports.page import write_report

        notes = {case.name: case.note for case in cases}
        write_report(html_to, bundle.manifest, report, ArraysByName(cases), notes, reference)

"""`dofkit lint`: what a bundle's files will meet on a device, read from the files."""

from __future__ import annotations

from pathlib import Path

import click

from ..runtime_ref.target import Precision, Target
from ._options import BUNDLE, PRECISION, TARGET, json_option


@click.command()
@click.argument("bundle", type=BUNDLE)
@click.option(
    "--profile",
    "profile_name",
    required=True,
    metavar="NAME",
    help="The device (`dofkit devices list`), or a TOML file.",
)
@click.option("--target", "targets", type=TARGET, multiple=True, help="Look at this target only.")
@click.option("--precision", "precisions", type=PRECISION, multiple=True, help="Look at this precision only.")
@click.option("--no-ranges", is_flag=True, help="Compute nothing: rules that need values (fp16 overflow) find nothing.")
@click.option(
    "--no-engines",
    is_flag=True,
    help="Ask no runtime's own checker: LiteRT's GPU accelerator, ONNX Runtime's for phones.",
)
@click.option(
    "--measure", is_flag=True,
    help="Compute the files that rules of 16-bit floats warn of in such floats on an emulated ARM core: minutes each.",
)  # fmt: skip
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings, too.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    bundle: Path,
    profile_name: str,
    targets: tuple[Target, ...],
    precisions: tuple[Precision, ...],
    no_ranges: bool,
    no_engines: bool,
    measure: bool,
    strict: bool,
    as_json: bool,
) -> None:
    """Look through a BUNDLE's files for what a device's units do not take, compute wrongly, or compute slowly.

    The files are read, and computed once on the first golden photo for the ranges of their values; LiteRT's GPU
    accelerator and ONNX Runtime's checker for phones are asked beside the rules. Each finding names the operation, its
    module where the file tells, and what to do.

    \b
    Exit codes: 0 no errors, 1 an error (with --strict: anything), 2 bad input.

    \b
    Examples:
        dofkit lint portrait.dofbundle --profile pixel-9 --measure
        dofkit lint portrait.dofbundle --profile iphone-15 --target coreml --json
    """
    from ..devices.lint.run import lint_bundle
    from ..devices.profile import profile
    from . import _console, _device_tables

    chosen = profile(profile_name)
    with _console.progress() as display:
        bar = display.add_task("lint", total=None)
        report = lint_bundle(
            bundle,
            chosen,
            targets=targets,
            precisions=precisions,
            with_ranges=not no_ranges,
            with_engines=not no_engines,
            measure=measure,
            watch=lambda title, done, total: display.update(bar, description=title, completed=done, total=total),
        )
    if as_json:
        found = [one.as_json() for one in report.findings]
        measured = [one.as_json() for one in report.measurements]
        document = {"profile": profile_name, "files": report.files, "findings": found}
        _console.print_json({**document, "measurements": measured, "not_run": list(report.not_run)})
    else:
        _device_tables.print_lint(report, f"{bundle} on {chosen.title}")
    ctx.exit(1 if report.errors or (strict and report.findings) else 0)

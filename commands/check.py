"""`dofkit check`: does a bundle still compute what PyTorch computed? The gate for CI; needs no PyTorch."""

from __future__ import annotations

from pathlib import Path

import click

from ..runtime_ref.target import Precision, Target
from ._options import PRECISION, TARGET, json_option


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--target", "targets", type=TARGET, multiple=True, help="Check only this target.  [default: all]")
@click.option("--precision", "precisions", type=PRECISION, multiple=True, help="Check only this precision.")
@click.option("--allow-not-run", is_flag=True, help="Exit with 0 when something could not run here (instead of 3).")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    bundle: Path,
    targets: tuple[Target, ...],
    precisions: tuple[Precision, ...],
    allow_not_run: bool,
    as_json: bool,
) -> None:
    """Verify a BUNDLE's files and compare every model with its golden vectors.

    \b
    Exit codes: 0 all PASS, 1 something FAILs, 2 bad input (a missing or changed file is named),
                3 something could not run here (Core ML off macOS, a runtime that is not installed).
    """
    from ..runtime_ref.bundle import Bundle
    from ..runtime_ref.errors import DofkitError
    from ..runtime_ref.parity import Verdict, run_parity
    from . import _console

    opened = Bundle.open(bundle)
    variants = [
        (target, precision)
        for target, precision in opened.variants()
        if (not targets or target in targets) and (not precisions or precision in precisions)
    ]
    if not variants:
        there = ", ".join(f"{target} {precision}" for target, precision in opened.variants())
        raise DofkitError(f"{bundle} holds none of what was asked for; it holds {there}")
    with _console.progress() as display:
        bar = display.add_task("open", total=None)
        report = run_parity(
            opened, variants, lambda t, p, scope: display.update(bar, description=f"{t.title} {p} {scope}")
        )
    if as_json:
        _console.print_json(report.as_json())
    else:
        _console.print_parity(report)
        _console.stdout().print(f"{bundle}: {report.verdict}", markup=False)
    codes = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.NOT_RUN: 0 if allow_not_run else 3}
    ctx.exit(codes[report.verdict])

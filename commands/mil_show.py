"""`dofkit mil show`: what is inside a Core ML package, for people and for machines. Nothing is evaluated."""

from __future__ import annotations

from pathlib import Path

import click

from ._mil_options import open_package
from ._options import json_option


@click.command()
@click.argument("package", type=click.Path(path_type=Path))
@click.option("--function", help="Which function of the package.  [default: its default one]")
@click.option("--weights", "with_weights", is_flag=True, help="Show every weight: its user, type, shape, size, range.")
@click.option("--operations", "with_operations", is_flag=True, help="Show every operation in order.")
@json_option
def command(package: Path, function: str | None, with_weights: bool, with_operations: bool, as_json: bool) -> None:
    """Show what a Core ML PACKAGE holds: functions, inputs, outputs, operations, and how weights are stored.

    A package that the evaluator cannot run, for an operation it does not know, is shown all the same.
    """
    from . import _console, _mil_facts, _mil_tables

    opened = open_package(package)
    chosen = opened.function(function)
    if as_json:
        _console.print_json(_mil_facts.show_facts(opened, chosen, with_weights, with_operations))
    else:
        _mil_tables.print_show(opened, chosen, with_weights, with_operations)

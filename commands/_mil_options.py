"""Options that the commands of `dofkit mil` share."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..runtime_ref.target import Target
from ._options import ParsedPair

if TYPE_CHECKING:
    from ..runtime_ref.mil import MLProgram, Numerics, ProgramPackage


class Assignment(ParsedPair):
    """`NAME=VALUE`, returned as the two texts."""

    name = "NAME=VALUE"

    def parsed(self, text: str) -> tuple[str, str]:
        name, sign, rest = text.partition("=")
        if not (name and sign and rest):
            raise ValueError(f"{text!r} is not NAME=VALUE, such as image=photo.jpg")
        return name, rest


input_option: Callable[[Any], Any] = click.option(
    "--input", "sources", type=Assignment(), multiple=True, metavar="NAME=FILE",
    help="A photo, .npy, .npy.gz, FILE.safetensors#TENSOR, or a number that fills the input. Repeat for every input.",
)  # fmt: skip
resize_option: Callable[[Any], Any] = click.option(
    "--resize", is_flag=True, help="Stretch photos of another size to the input's; they are refused otherwise."
)


def retold(command: click.Command, help: str) -> click.Command:
    """The same command with other words of help."""
    told = copy.copy(command)
    told.help = inspect.cleandoc(help)
    return told


def open_package(path: Path) -> ProgramPackage:
    """A Core ML package or a Core AI model, whichever lies there.

    Raises:
        MissingExtraError: what reads it is not installed.
        DofkitError: it is neither, or damaged.
    """
    from ..runtime_ref.coreai import Asset
    from ..runtime_ref.mil import Package

    other = path.suffix != Target.COREML.suffix and _for_core_ai()
    return Asset(path) if other or path.suffix == Target.COREAI.suffix else Package(path)


def _for_core_ai() -> bool:
    """Whether the command that runs is one of `dofkit coreai`."""
    context = click.get_current_context(silent=True)
    while context is not None and context.info_name != Target.COREAI.value:
        context = context.parent
    return context is not None


def open_program(path: Path, function: str | None, numerics: Numerics | None = None) -> MLProgram:
    """A function of a Core ML package or a Core AI model, to be evaluated; raises as `open_package` does."""
    from ..runtime_ref.mil import MLProgram, Numerics

    return MLProgram(open_package(path), function, numerics or Numerics.TYPED)


def warn_of_inputs(program: MLProgram, inputs: Mapping[str, Any]) -> list[str]:
    """Say on stderr what a user should know of the values that a program is given, a line each; returns the lines."""
    remarks = program.remarks(inputs)
    for remark in remarks:
        click.echo(f"dofkit: warning: {remark}", err=True)
    return remarks

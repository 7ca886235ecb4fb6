"""Options that the commands of `dofkit mil` share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from ._options import ParsedPair

if TYPE_CHECKING:
    from ..runtime_ref.mil import MLProgram


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


def warn_of_inputs(program: MLProgram, inputs: Mapping[str, Any]) -> list[str]:
    """Say on stderr what a user should know of the values that a program is given, a line each; returns the lines."""
    remarks = program.remarks(inputs)
    for remark in remarks:
        click.echo(f"dofkit: warning: {remark}", err=True)
    return remarks

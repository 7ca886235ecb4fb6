"""What stands in the documents: their files, the command lines in their code, the options that they mention."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "train" / "weights" / "MODEL_CARD.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
SHELL = ("bash", "sh")


class Line(NamedTuple):
    """A command line of a document; `arguments` are what follows `dofkit`."""

    document: str
    arguments: list[str]

    def __str__(self) -> str:
        return f"{self.document}: dofkit {' '.join(self.arguments)}"


def without_fences(text: str) -> str:
    """A document's prose, its fenced code left out."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def command_lines(path: Path) -> Iterator[Line]:
    """Every `dofkit …` of a document's shell code, fenced or indented, in its workflow too."""
    text = path.read_text(encoding="utf-8")
    blocks = [
        code for kind, code in re.findall(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE) if kind in SHELL
    ]
    blocks.append("\n".join(re.findall(r"^ {4}(\S.*)$", without_fences(text), re.MULTILINE)))
    for block in blocks:
        variables = dict(re.findall(r'^([A-Z]+)="(.*)"$', block, re.MULTILINE))
        for name, value in variables.items():
            block = block.replace(f"${name}", value)
        for line in block.replace("\\\n", " ").splitlines():
            found = re.match(r"(?:.*&& )?\s*(?:\S*/)?dofkit (.*)", line)
            if found and not line.lstrip().startswith("#"):
                yield Line(path.name, shlex.split(found[1], comments=True))


def resolved(arguments: list[str]) -> tuple[click.Command, list[str]]:
    """The command that a command line names, and what it is given.

    Raises:
        LookupError: there is none of this name.
    """
    from dofkit.cli import main

    command: click.Command = main
    rest = list(arguments)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        below = command.get_command(click.Context(command), rest[0])
        if below is None:
            raise LookupError(f"dofkit {' '.join(arguments)}: there is no {rest[0]}")
        command = below
        rest.pop(0)
    return command, rest


def all_options() -> set[str]:
    """Every option of every command."""
    from dofkit.cli import main

    def walk(command: click.Command) -> Iterator[str]:
        context = click.Context(command)
        yield from (option for parameter in command.get_params(context) for option in parameter.opts)
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                below = command.get_command(context, name)
                assert below is not None
                yield from walk(below)

    return set(walk(main))

"""MkDocs hook: the commands under their own names, and their help's examples as code, for the generated page."""

from __future__ import annotations

import inspect
import re
from typing import Any

import click

from dofkit.cli import main


def on_config(config: Any) -> Any:
    """Called once, before any page is made; the commands change in this process only."""
    _prepare(main)
    return config


def _prepare(group: click.Group) -> None:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        command.name = name  # every function is called `command`
        if isinstance(command, click.Group):
            _prepare(command)
        command.help = with_code(command.help or "")
        for parameter in command.params:
            if str(parameter.default) == "Sentinel.UNSET":  # click 8.3's mark of no default
                parameter.default = None
    group.help = with_code(group.help or "")


def with_code(text: str) -> str:
    r"""Help text whose paragraphs that click is not to wrap (after `\b`) are fenced as code."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(re.sub(r"\A\x08\n(.*)\Z", r"```text\n\1\n```", part, flags=re.DOTALL) for part in paragraphs)

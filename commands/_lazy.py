"""A click group that knows its commands by name and help line, and imports a command's module only when it runs."""

from __future__ import annotations

import importlib
from typing import Any

import click

from ._hints import did_you_mean


class LazyGroup(click.Group):
    """A group of commands that are not imported to list them.

    Args:
        lines: name -> (module below `dofkit.commands` whose `command` it is, the line that `--help` shows).
    """

    def __init__(self, *args: Any, lines: dict[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lines = lines

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._lines)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._lines:
            return None
        return importlib.import_module(f".{self._lines[cmd_name][0]}", __package__).command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it; a command that is none is told with those that it may be."""
        if args and args[0] not in self._lines and not args[0].startswith("-"):
            ctx.fail(f"No such command {args[0]!r}.{did_you_mean(args[0], self._lines)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self._lines.items()])

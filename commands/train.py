"""`dofkit train`: the group of training commands, each loaded only when it runs."""

from __future__ import annotations

import importlib

import click

SYSTEMS = {
    "render": ("train_render", "Train lens blur and guided upsampling on synthetic scenes."),
    "depth": ("train_depth", "Train the depth network on image + depth and image + mask folders."),
}


class _Systems(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(SYSTEMS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in SYSTEMS:
            return None
        return importlib.import_module(f".{SYSTEMS[cmd_name][0]}", __package__).command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in SYSTEMS.items()])


@click.group(cls=_Systems)
def command() -> None:
    """Train the networks (needs the extra `train`). Interrupted runs go on where they stopped with --resume."""

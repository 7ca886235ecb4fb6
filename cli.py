"""The `dofkit` command: a click group that imports a command's module only when that command runs."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from . import __version__
from .runtime_ref.errors import DofkitError

# name -> (module below dofkit.commands, the line that `dofkit --help` shows); kept here so that --help imports nothing.
COMMANDS: dict[str, tuple[str, str]] = {
    "export": ("export", "Export networks to Core ML, TFLite and ONNX as one verified bundle."),
    "render": ("render", "Render a photo with a shallow depth of field."),
    "check": ("check", "Check that a bundle computes what PyTorch computes (for CI)."),
    "inspect": ("inspect", "Show what is inside a bundle."),
    "bench": ("bench", "Measure a bundle's latency and memory on this machine."),
    "train": ("train", "Train the depth network or the rendering networks."),
    "doctor": ("doctor", "Show versions and what works on this machine."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and loads each one's module on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return importlib.import_module(f".commands.{COMMANDS[cmd_name][0]}", __package__).command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Turn an error that the user can mend into one line and exit code 2 (`--debug` shows the traceback)."""
        try:
            return super().invoke(ctx)
        except DofkitError as error:
            if ctx.params["debug"]:
                raise
            click.echo(f"dofkit: error: {error}", err=True)
            sys.exit(2)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dofkit")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """Deploy portrait-mode networks: train, export, prove, measure.

    \b
    The main job, with the networks that ship with dofkit:
        dofkit export --target coreml --out portrait.dofbundle
    Look at what they do to a photo:
        dofkit render photo.jpg --focus 0.5,0.4 --out portrait.jpg
    Prove in CI that the exported files still compute what PyTorch computes:
        dofkit check portrait.dofbundle
    """

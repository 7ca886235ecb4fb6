"""The `dofkit` command: a click group that imports a command's module only when that command runs."""

from __future__ import annotations

import sys
from typing import Any

import click

from .commands._lazy import LazyGroup
from .commands._terminal import any_encoding, signals_as_exits
from .runtime_ref.errors import DofkitError
from .version import __version__

# name -> (module below dofkit.commands, the line that `dofkit --help` shows); kept here so that --help imports nothing.
COMMANDS: dict[str, tuple[str, str]] = {
    "export": ("export", "Export networks to Core ML, TFLite and ONNX as one verified bundle."),
    "render": ("render", "Render a photo with a shallow depth of field."),
    "dfd": ("dfd", "Make depth and an all-in-focus picture of a focal stack."),
    "check": ("check", "Check that a bundle computes what PyTorch computes (for CI)."),
    "kit": ("kit", "Write the source of an app's portrait mode around a bundle."),
    "demo": ("demo", "Show portrait mode in a browser, here or as files for a web server."),
    "inspect": ("inspect", "Show what is inside a bundle."),
    "diff": ("diff", "Compare two bundles: sizes, operations, parity, latency."),
    "sensitivity": ("sensitivity", "Find the layers that int8 hurts; write a recipe for mixed exports."),
    "bench": ("bench", "Measure a bundle's latency, memory and parity on a device."),
    "lint": ("lint", "Find what a device will not take, in the files themselves."),
    "estimate": ("estimate", "Estimate latency from operations, bytes and a device's rates."),
    "devices": ("devices", "List and show what is known of devices."),
    "coreai": ("coreai", "Run, show and compare Core AI models."),
    "mil": ("mil", "Run, show and compare Core ML packages on any machine."),
    "train": ("train", "Train the networks, or generators of training data."),
    "generate": ("generate", "Generate scenes of known depth of field, or photos by AR-GAN."),
    "data": ("data", "Look at image + depth data before training on it."),
    "evaluate": ("evaluate", "Score renderers, depth networks and generators."),
    "doctor": ("doctor", "Show versions and what works on this machine."),
}


class ErrorsInOneLine(LazyGroup):
    """The top group: an error that the user can mend becomes one line and exit code 2 (`--debug`: the traceback)."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        with any_encoding():
            return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with signals_as_exits():
            try:
                return super().invoke(ctx)
            except DofkitError as error:
                if ctx.params["debug"]:
                    raise
                print(f"dofkit: error: {error}", file=sys.stderr)
                sys.exit(2)


@click.group(cls=ErrorsInOneLine, lines=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
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

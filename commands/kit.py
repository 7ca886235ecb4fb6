"""`dofkit kit`: the source of an app's portrait mode around a bundle."""

from __future__ import annotations

from pathlib import Path

import click

from ..kits.platform import Platform
from ..runtime_ref.target import Precision, Target
from ._options import BUNDLE, PRECISION, TARGET, EnumChoice, json_option


@click.command()
@click.argument("bundle", type=BUNDLE)
@click.option("--platform", type=EnumChoice(Platform), required=True, help="What the app runs on.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The kit's folder.")
@click.option("--target", type=TARGET, help="Files of this target only. Default: of all that the platform runs.")
@click.option("--precision", type=PRECISION, help="Files of this precision only. Default: all in the bundle.")
@json_option
def command(
    bundle: Path, platform: Platform, out: Path, target: Target | None, precision: Precision | None, as_json: bool
) -> None:
    """Write a kit: readable source of the whole pipeline around a BUNDLE's files, its test and a small app.

    The kit holds the bundle's models for the platform, its manifest, and its golden cases, which the kit's own test
    replays step by step. It is yours to change: a kit that was changed is never written over.

    \b
    Examples:
        dofkit kit portrait.dofbundle --platform web --out portrait-web
    """
    from ..kits.writing import KitRequest, write_kit
    from . import _console

    written = write_kit(KitRequest(bundle, platform, out, target, precision))
    if as_json:
        _console.print_json(
            {
                "out": str(out),
                "platform": platform.value,
                "models": [model.path for model in written.models],
                "files": written.files,
                "bytes": written.bytes,
                "shipped_bytes": written.shipped,
            }
        )
        return
    console = _console.stdout()
    carried = f"the app carries {written.shipped / 1e6:.1f} MB of models"
    console.print(f"{out}: kit for {platform.title}, {written.files} files; {carried}", markup=False)
    console.print(f"next: cd {out} && {platform.places.next_step}", markup=False)

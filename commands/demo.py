"""`dofkit demo`: portrait mode in a browser, on this machine or as files for any web server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..runtime_ref.target import Precision, Target
from ._options import BUNDLE, PRECISION, TARGET

if TYPE_CHECKING:
    from ..kits.site import SiteRequest


@click.command()
@click.argument("bundle", type=BUNDLE, required=False)
@click.option("--out", type=click.Path(path_type=Path), help="Write the demo as files to this folder; serve nothing.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: any that is free.")
@click.option("--target", type=TARGET, help="Files that compute: onnx or tflite.  [default: onnx where there are any]")
@click.option("--precision", type=PRECISION, help="Precision of the files.  [default: the first in the bundle]")
def command(
    bundle: Path | None, out: Path | None, port: int, target: Target | None, precision: Precision | None
) -> None:
    """Show what a BUNDLE makes of photos, in this machine's browser. Default: the networks that ship with dofkit.

    Photos are computed in the page and sent nowhere; the server answers this machine alone. What `--out` writes can be
    put on any web server; it keeps itself on the device and then works without a network, on phones too.

    The runtimes' files come from npm, once: dofkit doctor --install browser.

    \b
    Examples:
        dofkit demo portrait.dofbundle
        dofkit demo portrait.dofbundle --precision fp16 --out demo
    """
    from ..devices.browser import installation
    from ..kits.site import SiteRequest, write_site
    from ..runtime_ref.errors import DofkitError
    from . import _console

    packages = installation.packages()
    if not packages.is_dir():
        raise DofkitError(f"the runtimes' npm packages are not installed; run: {installation.COMMAND}")
    request = SiteRequest(bundle or _shipped(), packages, target, precision)
    if out is None:
        _serve(request, port)
        return
    size = write_site(request, out)
    _console.stdout().print(f"wrote {out}: {size / 1e6:.1f} MB; put it on a web server (https)", markup=False)


def _shipped() -> Path:
    from ..runtime_ref.errors import require
    from . import _console

    require("torch", "train", "the demo without a bundle")
    from ..export.for_demo import shipped_bundle

    with _console.progress() as display:
        bar = display.add_task("export the shipped networks", total=None)
        return shipped_bundle(
            lambda what, done, total: display.update(bar, description=what, completed=done, total=total)
        )


def _serve(request: SiteRequest, port: int) -> None:
    import tempfile
    from contextlib import suppress

    from ..kits.serving import LoopbackServer
    from ..kits.site import fill_site
    from . import _console

    with tempfile.TemporaryDirectory(prefix="dofkit-demo-") as folder:
        fill_site(request, Path(folder))
        with LoopbackServer(Path(folder), port) as server:
            _console.stdout().print(f"{server.address} (Ctrl-C ends it)", markup=False)
            with suppress(KeyboardInterrupt):  # how it is meant to end
                server.serve_forever()

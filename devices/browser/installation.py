"""What the browser device needs: Chromium, playwright, which steers it, and the runtimes' packages as npm has them.

Which versions of the packages stands, with the checksum of each, in `package-lock.json` beside this file.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

from ...runtime_ref.backends.backend import NotRun
from ...runtime_ref.cache import cache_folder
from ...runtime_ref.errors import ensure_installed
from ..installing import Part, Say, install, run_tool

COMMAND = "dofkit doctor --install browser"
CHROMIUM = "DOFKIT_CHROMIUM"
_HERE = Path(__file__).parent
_LOCK = _HERE / "package-lock.json"
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def packages() -> Path:
    """The folder of the installed npm packages; of another name for every other lock."""
    digest = hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:8]
    return cache_folder() / "browser" / f"packages-{digest}" / "node_modules"


def package_version(name: str) -> str:
    """The version of an npm package in the lock."""
    return json.loads(_LOCK.read_text())["packages"][f"node_modules/{name}"]["version"]


def chromium() -> str | None:
    """The browser's program: `$DOFKIT_CHROMIUM`, or the first of the usual names; None where there is none."""
    return next(filter(None, map(shutil.which, [os.environ.get(CHROMIUM, ""), *_PROGRAMS])), None)


def missing() -> NotRun | None:
    """Why no page can be opened here, apart from playwright; None where it can."""
    if chromium() is None:
        return NotRun("no Chromium is installed", f"run: apt-get install chromium, or name its program in {CHROMIUM}")
    if not packages().is_dir():
        return NotRun("the runtimes' npm packages are not installed", f"run: {COMMAND}")
    return None


def install_browser(say: Say) -> None:
    """Fetch the npm packages, each verified by its checksum.

    Raises:
        DofkitError: npm is not installed or failed.
        MissingExtraError: playwright is not installed.
    """
    ensure_installed("playwright", "browser", "opening pages")
    install([Part("onnxruntime-web and LiteRT.js (185 MB on the disk)", packages().parent, _make_packages)], say)
    if chromium() is None:
        say(f"no Chromium is installed yet; run: apt-get install chromium, or name its program in {CHROMIUM}")


def _make_packages(into: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_HERE / name, into)
    # No package's own scripts: the files are served as they are.
    run_tool(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], into, "fetching the npm packages")

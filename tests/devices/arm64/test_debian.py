"""Where Debian's packages come from, and that apt sees nothing of this machine's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from dofkit.devices.arm64 import debian
from dofkit.devices.arm64.debian import Release, mirror_in
from dofkit.runtime_ref.errors import DofkitError

NEW_FORMAT = """Types: deb
# http://old.example/debian
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates

Types: deb
URIs: http://mirror.example/debian-security
"""
OLD_FORMAT = """# deb http://commented.example/debian stable main
deb [arch=amd64] https://security.example/debian-security stable-security main
deb [arch=amd64] https://mirror.example/some/debian/ stable main
"""


def test_the_first_mirror_is_found_in_both_formats_and_security_updates_are_none() -> None:
    assert mirror_in([NEW_FORMAT]) == "http://mirror.example/debian"
    assert mirror_in([OLD_FORMAT]) == "https://mirror.example/some/debian/"
    assert mirror_in(["deb http://other.example/ubuntu noble main"]) is None


def test_a_machine_without_a_mirror_is_told_the_variable_that_names_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keys").touch()
    monkeypatch.setattr(debian, "_KEYS", tmp_path / "keys")
    monkeypatch.setattr(debian, "_SOURCES", tmp_path)
    monkeypatch.delenv(debian.MIRROR, raising=False)
    with pytest.raises(DofkitError, match=r"no mirror of Debian .*DOFKIT_DEBIAN_MIRROR"):
        debian.mirror()
    monkeypatch.setenv(debian.MIRROR, "http://named.example/debian")
    assert debian.mirror() == "http://named.example/debian"


def test_apt_is_asked_with_lists_and_state_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(debian, "mirror", lambda: "http://mirror.example/debian")
    monkeypatch.setattr(debian, "run_tool", lambda command, cwd, doing, env=None: asked.append(list(command)) or "")
    Release("bookworm", "arm64").unpack(["python3.11"], tmp_path)
    update, download = asked
    assert update[-1] == "update"
    assert download[-4:] == ["-y", "--no-install-recommends", "--download-only", "python3.11"]
    settings = dict(word.split("=", 1) for word in download if "=" in word)
    assert settings["APT::Architecture"] == "arm64"
    for name in ("Dir::State", "Dir::State::status", "Dir::Cache", "Dir::Etc::sourcelist"):
        assert settings[name].startswith(str(tmp_path))
    assert list(tmp_path.iterdir()) == []  # what apt needed is gone

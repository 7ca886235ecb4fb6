"""The loopback server of the browser device gives what it should, isolated, and nothing else."""

from __future__ import annotations

from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from dofkit.devices.browser.site import Site


@pytest.fixture
def site(tmp_path: Path):
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "page.js").write_text("export {}")
    (tmp_path / "secret").write_text("of the machine")
    (tmp_path / "pages" / "link").symlink_to(tmp_path / "secret")
    opened = Site({"pages": tmp_path / "pages"})
    yield opened
    opened.close()


def test_pages_come_with_the_headers_that_threads_need(site: Site) -> None:
    with urlopen(site.address + "pages/page.js") as answer:
        assert answer.read() == b"export {}"
        assert answer.headers["Content-Type"] == "text/javascript"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"


@pytest.mark.parametrize("path", ["pages/../secret", "pages/link", "pages/", "pages/none.js", "secret", "offered/1"])
def test_nothing_outside_of_the_folders_is_served(site: Site, path: str) -> None:
    assert site.content(path) is None
    with pytest.raises(HTTPError, match="404"):
        urlopen(site.address + path)


def test_nobody_is_served_without_the_secret_of_the_address(site: Site) -> None:
    root = site.address.rsplit("/", 2)[0]
    with pytest.raises(HTTPError, match="404"):
        urlopen(f"{root}/pages/page.js")
    with pytest.raises(HTTPError, match="404"):
        urlopen(Request(f"{root}/taken/1", data=b"x"))
    with pytest.raises(KeyError):
        site.take("taken/1")


def test_arrays_go_there_and_back_once(site: Site) -> None:
    there = site.offer(b"\x00\x01")
    with urlopen(site.address + there) as answer:
        assert answer.read() == b"\x00\x01"
    site.withdraw(there)
    assert site.content(there) is None
    urlopen(Request(site.address + "taken/a", data=b"back")).close()
    assert site.take("taken/a") == b"back"
    with pytest.raises(KeyError):
        site.take("taken/a")

"""The loopback web server that a page of the browser device comes from, and through which arrays travel.

It serves what the page loads, models and inputs by names that it hands out, and takes what the page computed.
"""

from __future__ import annotations

import mimetypes
import secrets
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_TYPES = {".mjs": "text/javascript", ".js": "text/javascript", ".wasm": "application/wasm", ".html": "text/html"}
# Without these a page may not share memory between threads.
_ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}


class Site:
    """A server on a free port of 127.0.0.1, all of whose addresses begin with a secret; ends with the process.

    Args:
        folders: first part of an address -> the folder whose files lie below it.
    """

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._folders = {name: folder.resolve() for name, folder in folders.items()}
        self._secret = secrets.token_urlsafe(16)
        self._offered: dict[str, bytes | Path] = {}
        self._taken: dict[str, bytes] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()  # s to see `close`

    def close(self) -> None:
        """Serve nothing more."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def address(self) -> str:
        """Of the site's root, with a slash at its end."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/{self._secret}/"

    def offer(self, content: bytes | Path) -> str:
        """The address, from the root, of bytes or of a file; until `withdraw`."""
        name = f"offered/{secrets.token_hex(8)}"
        self._offered[name] = content
        return name

    def withdraw(self, name: str) -> None:
        """Serve it no more."""
        self._offered.pop(name, None)

    def take(self, name: str) -> bytes:
        """What the page posted at an address `taken/…`, once.

        Raises:
            KeyError: nothing was.
        """
        return self._taken.pop(name)

    def content(self, address: str) -> tuple[bytes, str] | None:
        """What lies at an address below the root, and its type; None where nothing does."""
        address = address.partition("?")[0]
        if address in self._offered:
            offered = self._offered[address]
            return (offered.read_bytes() if isinstance(offered, Path) else offered), "application/octet-stream"
        first, _, rest = address.partition("/")
        folder = self._folders.get(first)
        path = (folder / rest).resolve() if folder is not None else None
        if folder is None or path is None or not path.is_relative_to(folder) or not path.is_file():
            return None
        kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return path.read_bytes(), kind

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site, root = self, f"/{self._secret}/"

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                found = site.content(self.path.removeprefix(root)) if self.path.startswith(root) else None
                self._answer(404, b"", "text/plain") if found is None else self._answer(200, *found)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                name = self.path.removeprefix(root)
                allowed = self.path.startswith(root) and name.startswith("taken/")
                if allowed:
                    site._taken[name] = body
                self._answer(200 if allowed else 404, b"", "text/plain")

            def _answer(self, status: int, body: bytes, kind: str) -> None:
                self.send_response(status)
                for name, value in _ISOLATED.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        return Handler

"""A web server for one folder, for this machine alone."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from ..runtime_ref.errors import DofkitError

_HOST = "127.0.0.1"


class LoopbackServer(ThreadingHTTPServer):
    """Serves the files of a folder on 127.0.0.1, with the headers that threads of WebAssembly need.

    Args:
        folder: what is served; nothing above it is.
        port: 0: any that is free.

    Raises:
        DofkitError: the port is taken.
    """

    daemon_threads = True

    def __init__(self, folder: Path, port: int = 0) -> None:
        try:
            super().__init__((_HOST, port), partial(_Handler, directory=str(folder.resolve())))
        except OSError as error:
            raise DofkitError(f"port {port} cannot be had ({error.strerror or error}); give another --port") from error

    @property
    def address(self) -> str:
        """Of the folder, with a slash at its end."""
        return f"http://{_HOST}:{self.server_address[1]}/"


class _Handler(SimpleHTTPRequestHandler):
    extensions_map = {  # noqa: RUF012 - the base class's own attribute
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
        ".webmanifest": "application/manifest+json",
    }

    def send_head(self):
        """Refuse what another site's page asks for under a name of its own that leads here."""
        host = self.headers.get("Host", "").rpartition(":")[0]
        if host not in (_HOST, "localhost"):
            self.send_error(HTTPStatus.FORBIDDEN)
            return None
        # The base class takes ".." out of addresses; a link in the folder could still lead out of it.
        if not Path(self.translate_path(self.path)).resolve().is_relative_to(self.directory):
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        return super().send_head()

    def list_directory(self, path):
        """Folders without a page are not shown."""
        self.send_error(HTTPStatus.NOT_FOUND)

    def end_headers(self) -> None:
        """With the headers of a page that shares memory between its threads."""
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

"""A channel served on loopback, with the faults that channels have, chosen by the first part of a path."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class ChannelServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
        self.closing = threading.Event()
        self.asked: list[str] = []

    def url(self, fault: str) -> str:
        """The address of the channel with that fault: none, hang, hang-packages, missing, swapped, short, private."""
        return f"http://127.0.0.1:{self.server_port}/{fault}"


class _Handler(SimpleHTTPRequestHandler):
    server: ChannelServer

    def do_GET(self) -> None:
        _, fault, path = self.path.split("/", 2)
        self.server.asked.append(self.path)
        del self.headers["If-Modified-Since"]  # rattler doesn't accept a 304 that depends on the time only
        is_package = path.endswith(".conda")
        self.path = f"/{path}"
        if fault == "hang" or (fault == "hang-packages" and is_package):
            self.server.closing.wait(60)
        elif fault == "missing" and is_package:
            self.send_error(404)
        elif fault == "private" and self.headers.get("Authorization") != "Bearer open-sesame":
            self.send_error(401)
        elif fault in {"swapped", "short"} and is_package:
            self._corrupted(fault)
        else:
            super().do_GET()

    do_HEAD = do_GET  # noqa: N815 - the base class's name

    def _corrupted(self, fault: str) -> None:
        content = Path(self.translate_path(self.path)).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if fault == "short":
            self.wfile.write(content[: len(content) // 2])
        else:
            self.wfile.write(content[:-1] + bytes([content[-1] ^ 1]))
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(folder: Path) -> Iterator[ChannelServer]:
    """Serve a folder for as long as the block lasts."""
    server = ChannelServer(folder)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()

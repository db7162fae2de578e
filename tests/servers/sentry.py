"""What Sentry's ingestion is to a client: it takes envelopes, on loopback."""

from __future__ import annotations

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.servers.local import HOST


class Sentry:
    """What Sentry's ingestion is to a client: it takes envelopes."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                outer.take(body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the base class names it so
                """Stay quiet."""

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        # A client may go between `select` and `accept`, which would then wait for the next one.
        self._server.socket.settimeout(1)
        self.url = f"http://key@{HOST}:{self._server.server_port}/1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def take(self, body: bytes) -> None:
        """An envelope: a header, then header and payload of each item, a line each."""
        self.bodies.append(body)
        lines = body.split(b"\n")
        for header, payload in zip(lines[1::2], lines[2::2], strict=False):
            if header and json.loads(header).get("type") == "event":
                self.events.append(json.loads(payload))

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

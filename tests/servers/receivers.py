"""A receiver of OTLP by other authors."""

from __future__ import annotations

import http.client
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.servers.local import HOST, free_tcp_port, wait_until
from tests.servers.otlp import OtlpReceiver
from tests.servers.process import Process


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=1)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except OSError:
        return False
    finally:
        connection.close()
    return True


class Rotel(Process):
    """rotel, a collector written in Rust, which sends on what it takes.

    Args:
        directory: A test's own.
        target: Takes what it sends on.

    Attributes:
        url: For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    """

    def __init__(self, directory: Path, target: OtlpReceiver) -> None:
        spec = find_spec("rotel")
        if spec is None or spec.origin is None:
            pytest.fail("rotel is not here: it has wheels for Linux on x86_64 and Python 3.10 to 3.13")
        port, grpc = free_tcp_port(), free_tcp_port()
        self.url = f"http://{HOST}:{port}"
        options = {
            "pid-file": directory / "rotel.pid",
            "log-file": directory / "rotel.log",
            "otlp-http-endpoint": f"{HOST}:{port}",
            "otlp-grpc-endpoint": f"{HOST}:{grpc}",
            "exporter": "otlp",
            "otlp-exporter-endpoint": target.url,
            "otlp-exporter-protocol": "http",
            "batch-timeout": "50ms",
        }
        command = [str(Path(spec.origin).parent / "rotel-agent"), "start"]
        super().__init__([*command, *(f"--{name}={value}" for name, value in options.items())], directory)
        wait_until(lambda: self.ended() or _answers(port), "rotel listens", 20)

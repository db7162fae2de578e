"""Receivers of OTLP by other authors."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.servers.client import get
from tests.servers.local import HOST, ROOT, free_tcp_port, wait_until
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
        grpc_url: The same, over gRPC.
    """

    def __init__(self, directory: Path, target: OtlpReceiver) -> None:
        spec = find_spec("rotel")
        if spec is None or spec.origin is None:
            pytest.fail("rotel is not here: it has wheels for Linux on x86_64 and Python 3.10 to 3.13")
        port, grpc = free_tcp_port(), free_tcp_port()
        self.url, self.grpc_url = f"http://{HOST}:{port}", f"http://{HOST}:{grpc}"
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


_DATADOG = ROOT / ".cache/ddapm/bin/ddapm-test-agent"


class DatadogTestAgent(Process):
    """Datadog's own test agent, which tells what it was sent.

    Args:
        directory: A test's own.

    Attributes:
        url: For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    """

    def __init__(self, directory: Path) -> None:
        if not _DATADOG.is_file():
            pytest.fail("Datadog's test agent is not here: `make receivers` installs it")
        ports = {"port": free_tcp_port(), "otlp-http-port": free_tcp_port(), "otlp-grpc-port": free_tcp_port()}
        self.url = f"http://{HOST}:{ports['otlp-http-port']}"
        options = [f"--{name}={port}" for name, port in ports.items()]
        super().__init__([str(_DATADOG), *options, "--web-ui-port=0", f"--snapshot-dir={directory}"], directory)
        wait_until(lambda: self.ended() or _answers(ports["otlp-http-port"]), "the test agent listens", 30)
        if self.ended():
            pytest.fail(f"the test agent ended:\n{self.output()[-3000:]}")

    def items(self, signal: str, blocks: str, scopes: str, items: str) -> Iterator[Any]:
        """What was sent of a signal, as it has it in JSON: `traces` with `resource_spans`, `scope_spans`, `spans`."""
        answer = get(f"{self.url}/test/session/{signal}")
        assert answer is not None
        assert answer.status == 200, answer.body
        for request in answer.json():
            for block in request[blocks]:
                for scope in block[scopes]:
                    yield from scope[items]

"""A real UDP server, and an SDK that exports to it."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.exporter.statsd import StatsdMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader


class Server:
    """A UDP socket that keeps what it gets."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_000_000)
        self.socket.bind((host, port))
        self.host = host
        self.port: int = self.socket.getsockname()[1]
        self.endpoint = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    def datagrams(self, wait: float = 0.0) -> list[bytes]:
        """What has arrived; `wait` seconds for the first."""
        received = []
        self.socket.settimeout(wait)
        while True:
            try:
                received.append(self.socket.recv(65_536))
            except (BlockingIOError, TimeoutError):
                return received
            self.socket.settimeout(0.0)

    def lines(self, wait: float = 0.0) -> list[str]:
        return [line for datagram in self.datagrams(wait) for line in datagram.decode().split("\n")]

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def start_server() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(host: str = "127.0.0.1", port: int = 0) -> Server:
        servers.append(Server(host, port))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    return start_server()


class Application:
    """A provider with one exporter: `meter` to measure with, `flush()` for the lines of an interval."""

    def __init__(self, server: Server, views: Any = (), **options: Any) -> None:
        self.server = server
        self.exporter = StatsdMetricExporter(server.endpoint, **options)
        self.reader = PeriodicExportingMetricReader(self.exporter, export_interval_millis=3_600_000)
        self.provider = MeterProvider([self.reader], views=views, shutdown_on_exit=False)
        self.meter = self.provider.get_meter("test")

    def flush(self) -> list[str]:
        self.provider.force_flush()
        return self.server.lines()


@pytest.fixture
def application(server: Server) -> Iterator[Callable[..., Application]]:
    """Makes an application that exports to the server, with options of the exporter."""
    made: list[Application] = []

    def make(views: Any = (), **options: Any) -> Application:
        made.append(Application(server, views, **options))
        return made[-1]

    yield make
    for each in made:
        each.provider.shutdown()

"""What a flush, an export and the log say of a server that is not there, or of a name server that hangs."""

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.statsd import Endpoint, StatsdMetricExporter, StatsdMetricReader, UdpTransport
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData

LOGGER = "opentelemetry.exporter.statsd"
SOURCES = Path(__file__).parents[1] / "src"


class Application:
    """A provider whose reader collects when it is told to."""

    def __init__(self, endpoint: str, **options: Any) -> None:
        self.exporter = StatsdMetricExporter(endpoint, **options)
        self.reader = StatsdMetricReader(self.exporter, interval=3600)
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.counter = self.provider.get_meter("m").create_counter("c")
        self.histogram = self.provider.get_meter("m").create_histogram("h", unit="ms")


@pytest.fixture
def start() -> Iterator[Callable[..., Application]]:
    made: list[Application] = []

    def begin(endpoint: str, **options: Any) -> Application:
        made.append(Application(endpoint, **options))
        return made[-1]

    yield begin
    for each in made:
        each.reader.shutdown()


def unused(kind: int) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def refusing(scheme: str, path: Path) -> str:
    if scheme.startswith("unix"):
        return f"{scheme}://{path}/statsd"
    return f"{scheme}://127.0.0.1:{unused(socket.SOCK_STREAM if scheme == 'tcp' else socket.SOCK_DGRAM)}"


@pytest.mark.parametrize("scheme", ["udp", "tcp", "unix", "unixstream"])
def test_a_flush_says_that_the_server_refuses(start: Any, tmp_path: Path, scheme: str) -> None:
    app = start(refusing(scheme, tmp_path))
    for _ in range(2):
        app.counter.add(1)
        assert not app.reader.force_flush()
    assert not app.reader.force_flush(), "nothing new, and still nobody there"
    assert not app.exporter.force_flush()
    assert app.exporter.export(MetricsData([])) is MetricExportResult.FAILURE


def test_the_return_of_a_udp_server_counts_what_was_lost(
    start: Any, start_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    port = unused(socket.SOCK_DGRAM)
    app = start(f"127.0.0.1:{port}")
    for _ in range(3):
        for number in range(1000):
            app.histogram.record(number)
        assert not app.reader.force_flush()
    assert app.exporter.dropped == 3000
    server = start_server(port=port)
    app.counter.add(1)
    assert app.reader.force_flush()
    assert server.lines() == ["c:1|c"]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "is reached again; 3000 measurements were lost meanwhile" in caplog.text


def test_the_return_of_a_unix_server_counts_what_was_lost(
    start: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    path = str(tmp_path / "statsd")
    app = start(f"unix://{path}")
    app.exporter._transport._backlog._limit = 10
    for number in range(30):
        app.histogram.record(number)
    assert not app.reader.force_flush()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        assert app.exporter.force_flush(), "it sends what waits"
        assert server.recv(1000) == "\n".join(f"h:{number}|ms" for number in range(20, 30)).encode()
    assert "is reached again; 20 measurements were lost meanwhile" in caplog.text


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A name server that does not answer before the test is over."""
    answers = threading.Event()

    def resolve(*_: Any, **__: Any) -> Any:
        answers.wait(60)
        raise OSError("no name server")

    monkeypatch.setattr("socket.getaddrinfo", resolve)
    monkeypatch.setattr("opentelemetry.exporter.statsd._transport.LOOKUP_TIMEOUT", 0.05)
    monkeypatch.setattr("opentelemetry.exporter.statsd._link_transport.SEND_BUDGET", 0.05)
    monkeypatch.setattr("opentelemetry.exporter.statsd._link_transport.LAST_BUDGET", 0.05)
    yield answers
    answers.set()


@pytest.mark.parametrize("scheme", ["udp", "tcp"])
def test_a_name_server_that_hangs_delays_nothing(start: Any, hanging: threading.Event, scheme: str) -> None:
    app = start(f"{scheme}://statsd.invalid")
    for number in range(50_000):
        app.histogram.record(number)
    assert not app.reader.force_flush()
    app.provider.shutdown()
    assert app.reader._sender.join(20), "it does not wait for the answer"
    assert app.exporter.dropped == 50_000
    assert not hanging.is_set()
    lookups = [thread for thread in threading.enumerate() if thread.name == "StatsD look-up of a host"]
    assert len(lookups) == 1, "an open question is not asked again"
    hanging.set()
    lookups[0].join(20)


def test_a_late_answer_of_a_name_server_is_taken(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opentelemetry.exporter.statsd._transport.LOOKUP_TIMEOUT", 0.05)
    answers = threading.Event()
    asked = 0

    def resolver(*_: Any, **__: Any) -> Any:
        nonlocal asked
        asked += 1
        answers.wait(60)
        return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.1", server.port))]

    transport = UdpTransport(Endpoint("statsd.example"), resolver=resolver)
    assert not transport.send([b"lost"])
    answers.set()
    while not transport.send([b"a"]):
        pass
    assert server.datagrams() == [b"a"]
    assert asked == 1
    transport.close()


def test_no_clock_is_that_of_the_wall() -> None:
    for file in SOURCES.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert "time.time(" not in text
        assert "time_ns(" not in text
        assert "datetime" not in text

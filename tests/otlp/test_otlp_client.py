"""Collectors that redirect, reject, trickle, never end or ask to wait (contract, section 4)."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

import c2cotel
from c2cotel.delivery.http import HttpSender
from tests.servers.local import HOST, wait_until
from tests.servers.otlp import OtlpReceiver

Talk = Callable[[socket.socket], None]


def _read_request(connection: socket.socket) -> None:
    """Read all of a request: what is left unread at the end would reset the connection instead of closing it."""
    with connection.makefile("rb") as stream:
        length = 0
        while (line := stream.readline().strip().lower()) != b"":
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        stream.read(length)


class RawServer:
    """Answers each connection with bytes as a function writes them."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._socket = socket.create_server((HOST, 0))
        self.url = f"http://{HOST}:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                _read_request(connection)
                self._talk(connection)
            except OSError:
                return


@pytest.fixture
def serve() -> Iterator[Callable[[Talk], RawServer]]:
    servers: list[RawServer] = []

    def start(talk: Talk) -> RawServer:
        servers.append(RawServer(talk))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def fails_with(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, url: str, reason: str) -> None:
    """Export one span, which fails for a reason that is told."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    telemetry = c2cotel.setup()
    with caplog.at_level(logging.INFO):
        trace.get_tracer("test").start_span("x").end()
        telemetry.flush(10)
    assert reason in caplog.text
    telemetry.close(timeout=0.5)


def test_a_redirect_is_no_success(
    serve: Callable[[Talk], RawServer], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answer = b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere/login\r\nContent-Length: 0\r\n\r\n"
    server = serve(lambda connection: connection.sendall(answer))
    fails_with(monkeypatch, caplog, server.url, "302 redirects to https://elsewhere/login, where nothing is sent")


def test_a_trickling_answer_ends_at_the_timeout(
    serve: Callable[[Talk], RawServer], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def trickle(connection: socket.socket) -> None:
        for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Slow: 1\r\n" * 100:
            connection.sendall(bytes((byte,)))
            time.sleep(0.1)

    fails_with(monkeypatch, caplog, serve(trickle).url, "Failed to export spans: TimeoutError")


def test_an_answer_without_end_is_read_to_a_bound(serve: Callable[[Talk], RawServer]) -> None:
    sent = 0

    def pour(connection: socket.socket) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while sent < 100_000_000:
            connection.sendall(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            sent += 65_536

    with closing(HttpSender(serve(pour).url, {})) as sender:
        assert len(sender.post(b"batch", timeout=10).body) == 65_536
    assert sent < 50_000_000


def test_a_connection_that_was_closed_meanwhile_is_opened_anew(serve: Callable[[Talk], RawServer]) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    with closing(HttpSender(serve(lambda connection: connection.sendall(answer)).url, {})) as sender:
        assert [sender.post(b"batch", timeout=10).status for _ in range(3)] == [200, 200, 200]


def test_an_answer_that_ends_with_its_connection_is_read(serve: Callable[[Talk], RawServer]) -> None:
    server = serve(lambda connection: connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nall of it"))
    with closing(HttpSender(server.url, {})) as sender:
        assert sender.post(b"batch", timeout=10).body == b"all of it"


def test_what_a_collector_rejects_of_a_batch_is_told_once_a_reason(
    serve: Callable[[Talk], RawServer], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = 1
    response.partial_success.error_message = "too old"
    body = response.SerializeToString()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: %d\r\n\r\n" % len(body)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", serve(lambda c: c.sendall(head + body)).url)
    telemetry = c2cotel.setup()
    for _ in range(2):
        trace.get_tracer("test").start_span("x").end()
        assert telemetry.flush(10)
    assert caplog.text.count("The collector rejected 1 spans of a batch: too old") == 1


def test_no_span_is_lost_while_a_collector_asks_to_wait(
    otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    otlp.status = 429
    c2cotel.setup()
    for number in range(300):
        trace.get_tracer("test").start_span(str(number)).end()
    wait_until(lambda: otlp.requests["/v1/traces"] >= 3, "it was tried several times")
    otlp.status = 200
    wait_until(lambda: len(otlp.spans) >= 300, "all spans arrive")
    assert sorted(int(received.item.name) for received in otlp.spans) == list(range(300))


def test_how_much_was_lost_is_told_when_a_collector_is_back(
    otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    otlp.status = 400
    telemetry = c2cotel.setup()
    with caplog.at_level(logging.INFO):
        for status in (400, 200):
            otlp.status = status
            trace.get_tracer("test").start_span("x").end()
            telemetry.flush(10)
    assert "otlp export of traces works again; 1 spans were lost meanwhile" in caplog.text

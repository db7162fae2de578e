"""A collector that takes OTLP over HTTP, as protobuf and as JSON."""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.servers.local import HOST

SATURATION = {
    "http.server.active_requests",
    "process.memory.usage",
    "process.cpu.time",
    "c2c.gc.duration",
    "c2c.server.threads",
    "c2c.server.backlog",
    "db.client.connection.max",
    "db.client.connection.wait_time",
}


@dataclass(frozen=True)
class Received:
    """A span or a metric with the resource that it came with."""

    resource: dict[str, Any]
    scope: str
    item: Any

    @property
    def instance(self) -> str:
        """The resource's `service.instance.id`."""
        return str(self.resource["service.instance.id"])


def plain(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    """Attributes as a dictionary."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in attributes}


class OtlpReceiver:
    """A collector that takes OTLP over HTTP, as protobuf and as JSON.

    Args:
        port: 0 for any free one.
        host: address that it listens on.

    Attributes:
        url: for `OTEL_EXPORTER_OTLP_ENDPOINT`.
        status: what it answers; only what it answers with 200 counts as received.
        delay: seconds until it answers.
        requests: how many came, by path.
        types: their content types.
    """

    def __init__(self, port: int = 0, host: str = HOST) -> None:
        self._host = host
        self.status = 200
        self.delay = 0.0
        self.requests: Counter[str] = Counter()
        self.types: set[str] = set()
        self.port = port
        self._traces: list[ExportTraceServiceRequest] = []
        self._metrics: list[ExportMetricsServiceRequest] = []
        self._logs: list[ExportLogsServiceRequest] = []
        self._closing = threading.Event()
        self._server: _OtlpServer | None = None
        self.listen()
        self.url = f"http://{host}:{self.port}"

    def listen(self) -> None:
        """Take connections, again after `refuse`."""
        server = _OtlpServer((self._host, self.port), _OtlpHandler)
        server.receiver = self
        self.port = server.server_port
        threading.Thread(target=server.serve_forever, args=(0.02,), name="OTLP receiver", daemon=True).start()
        self._server = server

    def refuse(self) -> None:
        """Break every connection and take none any more."""
        if self._server is not None:
            server, self._server = self._server, None
            server.shutdown()
            server.server_close()
            server.disconnect()

    def close(self) -> None:
        """End, without waiting for delayed answers."""
        self._closing.set()
        self.refuse()

    @property
    def spans(self) -> list[Received]:
        """Every span received, `item` is a `Span`."""
        return [
            Received(plain(block.resource.attributes), scope.scope.name, span)
            for request in list(self._traces)
            for block in request.resource_spans
            for scope in block.scope_spans
            for span in scope.spans
        ]

    @property
    def metrics(self) -> list[Received]:
        """Every metric received but `saturation`, once for each export; `item` is a `Metric`."""
        return [each for each in self._all_metrics() if cast("Metric", each.item).name not in SATURATION]

    @property
    def saturation(self) -> dict[str, Metric]:
        """The latest of each metric that says how busy a process is, whatever it does."""
        named = ((cast("Metric", each.item).name, cast("Metric", each.item)) for each in self._all_metrics())
        return {name: metric for name, metric in named if name in SATURATION}

    @property
    def instances(self) -> set[str]:
        """The processes that have sent metrics."""
        return {each.instance for each in self._all_metrics()}

    def _all_metrics(self) -> list[Received]:
        return [
            Received(plain(block.resource.attributes), scope.scope.name, metric)
            for request in list(self._metrics)
            for block in request.resource_metrics
            for scope in block.scope_metrics
            for metric in scope.metrics
        ]

    @property
    def logs(self) -> list[Received]:
        """Every log record received; `item` is a `LogRecord`."""
        return [
            Received(plain(block.resource.attributes), scope.scope.name, record)
            for request in list(self._logs)
            for block in request.resource_logs
            for scope in block.scope_logs
            for record in scope.log_records
        ]

    def span_names(self) -> Counter[str]:
        """How many spans came of each name."""
        return Counter(cast("Span", received.item).name for received in self.spans)

    def metric_names(self) -> set[str]:
        """The names of all metrics that came."""
        return {cast("Metric", received.item).name for received in self.metrics}

    def take(self, path: str, body: bytes, content_type: str) -> int:
        """One request; returns the status to answer."""
        self.requests[path] += 1
        self.types.add(content_type)
        if self.delay:
            self._closing.wait(self.delay)
        if self.status == http.client.OK:
            if path == "/v1/traces":
                self._traces.append(_decoded(ExportTraceServiceRequest(), body, content_type))
            elif path == "/v1/logs":
                self._logs.append(_decoded(ExportLogsServiceRequest(), body, content_type))
            elif path == "/v1/metrics":
                self._metrics.append(_decoded(ExportMetricsServiceRequest(), body, content_type))
            else:
                return 404
        return self.status


def _decoded(message: Any, body: bytes, content_type: str) -> Any:
    """A request; strict, so that a field that OTLP does not have is an error."""
    if content_type == "application/json":
        return ParseDict(json.loads(body, object_hook=_with_ids), message)
    message.ParseFromString(body)
    return message


def _with_ids(fields: dict[str, Any]) -> dict[str, Any]:
    """OTLP writes ids as hexadecimal digits, where protobuf's own JSON has Base64."""
    for name in ("traceId", "spanId", "parentSpanId"):
        if fields.get(name):
            fields[name] = base64.b64encode(bytes.fromhex(fields[name])).decode()
    return fields


class _OtlpServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 100
    receiver: OtlpReceiver

    def __init__(self, *arguments: Any) -> None:
        self._connections: set[socket.socket] = set()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self._connections.discard(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # a client that is gone is what some tests are about
            super().handle_error(request, client_address)

    def disconnect(self) -> None:
        """Break every connection; its thread then ends."""
        for connection in list(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


class _OtlpHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _OtlpServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        self.send_response(self.server.receiver.take(self.path, body, self.headers["Content-Type"]))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the base class names it so
        """Stay quiet."""

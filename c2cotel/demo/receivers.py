"""The other end of both wires: a statsd port, and an OTLP collector over HTTP. Both listen on loopback only."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from c2cotel.demo.events import Datagram, Metrics, Put, Span, Spans
from c2cotel.tap.lines import decode

if TYPE_CHECKING:
    from typing_extensions import Self

LOOPBACK = "127.0.0.1"

_LARGEST_DATAGRAM = 65535
# Asked of the system, which may grant less.
_RECEIVE_BUFFER = 1024 * 1024
_SECONDS_TO_STOP = 0.2


class StatsdReceiver:
    """Listens for statsd lines on a free UDP port.

    Args:
        put: gets a `Datagram` for each that arrives.

    Attributes:
        address: ``host:port``, for `STATSD_ADDRESS`.
    """

    def __init__(self, put: Put) -> None:
        self._put = put
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self._socket.bind((LOOPBACK, 0))
        self._socket.settimeout(_SECONDS_TO_STOP)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._receive, name="statsd receiver", daemon=True)
        self.address = f"{LOOPBACK}:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._socket.close()

    def _receive(self) -> None:
        while not self._stopped.is_set():
            try:
                datagram = self._socket.recv(_LARGEST_DATAGRAM)
            except TimeoutError:
                continue
            self._put(Datagram(decode(datagram)))


class OtlpReceiver:
    """A collector for OTLP over HTTP with protobuf bodies, on a free port.

    https://opentelemetry.io/docs/specs/otlp/#otlphttp

    Args:
        put: gets `Spans` and `Metrics`.

    Attributes:
        endpoint: base URL, for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    """

    def __init__(self, put: Put) -> None:
        class Handler(_OtlpHandler):
            paths = {  # noqa: RUF012  # written once, here
                "/v1/traces": lambda body: put(Spans(list(_spans(body)))),
                "/v1/metrics": lambda body: put(Metrics(list(_metric_names(body)))),
                "/v1/logs": lambda _: None,
            }

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_SECONDS_TO_STOP,), name="OTLP receiver", daemon=True
        )
        self.endpoint = f"http://{LOOPBACK}:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _OtlpHandler(BaseHTTPRequestHandler):
    paths: dict[str, Callable[[bytes], None]]

    def do_POST(self) -> None:  # the name http.server looks for
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        take = self.paths.get(self.path)
        if take is None:
            self.send_error(404)
            return
        try:
            take(body)
        except DecodeError:
            self.send_error(400)
            return
        # An empty protobuf message: everything was accepted.
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class calls it so
        """Says nothing: the demo tells what came."""


def _spans(body: bytes) -> Iterator[Span]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = str(_attributes(resource.resource.attributes).get("service.name", "without a name"))
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    name=span.name,
                    milliseconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e6,
                    attributes=_attributes(span.attributes),
                    failed=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
                    exceptions=tuple(
                        str(_attributes(event.attributes).get("exception.type", "an exception"))
                        for event in span.events
                        if event.name == "exception"
                    ),
                    service=service,
                )


def _metric_names(body: bytes) -> Iterator[str]:
    for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                yield metric.name


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    return None if kind is None else getattr(value, kind)

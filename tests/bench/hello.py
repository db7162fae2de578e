"""One variant of a bare Pyramid hello in a process of its own, run on command.

``python -m tests.bench.hello VARIANT`` prints ``ready``; each line ``N`` on its standard input runs N requests and
prints the CPU seconds of the whole process for them, background threads and the final flush included, and what the
process holds in memory (MiB).
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request

Flush = Callable[[], object]


def _view(request: Request) -> dict[str, str]:
    return {"hello": (request.matchdict or {})["name"]}


def _nothing(_: Configurator) -> Flush:
    return lambda: None


def _one_udp_send(config: Configurator) -> Flush:
    """What most teams write by hand: a timer around the request and one datagram for it."""
    host, port = os.environ["BENCH_STATSD"].rsplit(":", 1)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((host, int(port)))
    sock.setblocking(False)
    config.registry["bench.send"] = sock.send
    config.add_tween("tests.bench.hello.udp_tween")
    return lambda: None


def udp_tween(handler: Callable[[Request], Any], registry: Any) -> Callable[[Request], Any]:
    """The hand-written tween."""
    send = registry["bench.send"]

    def tween(request: Request) -> Any:
        start = time.perf_counter()
        response = handler(request)
        milliseconds = max(1, round((time.perf_counter() - start) * 1000))
        route = request.matched_route
        name = route.name if route else "_not_found"
        send(f"route.{request.method}.{name}.{response.status_int}:{milliseconds}|ms".encode())
        return response

    return tween


def otel(config: Configurator, *, traces: bool) -> Flush:
    from opentelemetry import metrics, trace
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.pyramid import PyramidInstrumentor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    meters = MeterProvider(metric_readers=[PeriodicExportingMetricReader(OTLPMetricExporter())])
    metrics.set_meter_provider(meters)
    spans = None
    if traces:
        spans = TracerProvider()
        spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), max_queue_size=100_000))
        trace.set_tracer_provider(spans)
    instrumentor: Any = PyramidInstrumentor()
    instrumentor.instrument_config(config)
    return lambda: (meters.force_flush(), spans and spans.force_flush())


def _otel_metrics(config: Configurator) -> Flush:
    return otel(config, traces=False)


def _otel_traces(config: Configurator) -> Flush:
    return otel(config, traces=True)


def _c2cotel(config: Configurator) -> Flush:
    import c2cotel

    os.environ["STATSD_ADDRESS"] = os.environ["BENCH_STATSD"]
    return c2cotel.setup(config).flush


def _c2cotel_otlp(config: Configurator) -> Flush:
    import c2cotel

    return c2cotel.setup(config).flush


def _c2cotel_sdk(config: Configurator) -> Flush:
    os.environ["C2C_TRACER"] = "sdk"
    return _c2cotel_otlp(config)


def _c2cotel_statsd(config: Configurator) -> Flush:
    del os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"]
    return _c2cotel(config)


def _recorder(config: Configurator) -> Flush:
    os.environ["OTEL_TRACES_EXPORTER"] = os.environ["OTEL_METRICS_EXPORTER"] = "none"
    del os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"]
    return _otlp_recorder(config)


def _otlp_recorder(config: Configurator) -> Flush:
    logging.getLogger("c2cotel_views").setLevel(logging.ERROR)  # nobody looks at the pages here
    os.environ["C2C_FLIGHT_RECORDER"] = "1"
    os.environ["C2C_STATE_DIR"] = tempfile.mkdtemp(dir=os.environ.get("BENCH_FOLDER"))
    return _c2cotel_otlp(config)


def _kept(config: Configurator) -> Flush:
    os.environ["C2C_SLOW"] = "0"
    return _recorder(config)


RECORDER_VARIANTS = {
    "bare": _nothing,
    "c2cotel recorder alone": _recorder,
    "c2cotel recorder, each request kept": _kept,
    "c2cotel traces + metrics": _c2cotel_otlp,
    "c2cotel traces + metrics + recorder": _otlp_recorder,
}

VARIANTS: dict[str, Callable[[Configurator], Flush]] = {
    "bare": _nothing,
    "one UDP send": _one_udp_send,
    "OpenTelemetry metrics": _otel_metrics,
    "OpenTelemetry traces + metrics": _otel_traces,
    "c2cotel statsd": _c2cotel_statsd,
    "c2cotel statsd + OTLP + traces": _c2cotel,
    "c2cotel traces + metrics": _c2cotel_otlp,
    "c2cotel, C2C_TRACER=sdk": _c2cotel_sdk,
}


def _say_hello(config: Configurator) -> None:
    config.add_view(_view, route_name="hello", renderer="json")


def application(
    variant: Callable[[Configurator], Flush], add_view: Callable[[Configurator], None] = _say_hello
) -> tuple[Any, Flush]:
    """The WSGI application of a variant, and what makes it send everything it has."""
    config = Configurator(settings={})
    config.add_route("hello", "/hello/{name}")
    flush = variant(config)
    add_view(config)
    return config.make_wsgi_app(), flush


def run(app: Any, requests: int) -> None:
    """Call the application as a WSGI server does."""
    for _ in range(requests):
        environ = {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": "/hello/world",
            "QUERY_STRING": "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "8080",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_HOST": "localhost:8080",
            "HTTP_USER_AGENT": "bench",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
        for _chunk in app(environ, lambda *_: None):
            pass


def serve(variant: Callable[[Configurator], Flush], add_view: Callable[[Configurator], None] = _say_hello) -> None:
    """Serve commands until the standard input ends."""
    import psutil

    app, flush = application(variant, add_view)
    process = psutil.Process()
    run(app, 200)
    flush()
    print("ready", flush=True)
    for line in sys.stdin:
        before = time.process_time()
        run(app, int(line))
        flush()
        print(time.process_time() - before, process.memory_info().rss / 2**20, flush=True)


if __name__ == "__main__":
    serve({**VARIANTS, **RECORDER_VARIANTS}[sys.argv[1]])

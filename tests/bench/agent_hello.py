"""A Pyramid hello with one agent, run on command; a script: it runs where nothing of this repository is installed.

``python agent_hello.py NAME PORT`` prints ``ready``; each line ``N`` on its standard input runs N requests and prints
the CPU seconds of the whole process for them, background threads and a flush at the end included.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from io import BytesIO
from typing import Any

Flush = Callable[[], object]
Wrap = Callable[[Any], Any]


class Setup:
    """What an agent adds to the application.

    Args:
        url: Of the receiver.

    Attributes:
        configure: Called with the configurator.
        wrap: Put around the application.
        flush: Sends what waits.
        kept: What must live as long as the application.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.configure: Callable[[Any], object] = lambda _: None
        self.wrap: Wrap = lambda app: app
        self.flush: Flush = lambda: None
        self.kept: Any = None


def bare(_: Setup) -> None:
    pass


def c2cotel(setup: Setup, **more: str) -> None:
    os.environ.update({"OTEL_EXPORTER_OTLP_ENDPOINT": setup.url, "OTEL_LOGS_EXPORTER": "none", **more})
    os.environ["OTEL_BSP_MAX_QUEUE_SIZE"] = "100000"
    import c2cotel as library

    def configure(config: Any) -> None:
        setup.flush = library.setup(config).flush

    setup.configure = configure


def c2cotel_keep(setup: Setup) -> None:
    c2cotel(setup, C2C_TRACES_KEEP="error,slow,1%")


def c2cotel_statsd(setup: Setup) -> None:
    import socket

    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listening.bind(("127.0.0.1", 0))
    setup.kept = listening
    address = f"127.0.0.1:{listening.getsockname()[1]}"
    c2cotel(setup, STATSD_ADDRESS=address, OTEL_TRACES_EXPORTER="none", OTEL_METRICS_EXPORTER="none")


def otel(setup: Setup) -> None:
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = setup.url
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "http"
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
    spans = TracerProvider()
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), max_queue_size=100_000))
    trace.set_tracer_provider(spans)
    instrumentor: Any = PyramidInstrumentor()
    setup.configure = instrumentor.instrument_config
    setup.flush = lambda: (meters.force_flush(), spans.force_flush())


def elastic(setup: Setup) -> None:
    """By a tween: it has no integration of its own for Pyramid."""
    elasticapm = import_module("elasticapm")
    client = elasticapm.Client(service_name="hello", server_url=setup.url, api_request_time="1s")

    def tween(handler: Callable[[Any], Any], _: Any) -> Callable[[Any], Any]:
        def traced(request: Any) -> Any:
            client.begin_transaction("request")
            response = handler(request)
            elasticapm.set_context({"method": request.method, "url": {"full": request.url}}, "request")
            elasticapm.set_context({"status_code": response.status_int}, "response")
            client.end_transaction(f"{request.method} {request.matched_route.pattern}", "HTTP 2xx")
            return response

        return traced

    sys.modules["agent_hello"] = sys.modules[__name__]
    globals()["elastic_tween"] = tween
    setup.configure = lambda config: config.add_tween("agent_hello.elastic_tween")
    setup.flush = client._transport.flush


def ddtrace(setup: Setup) -> None:
    os.environ.update(
        {
            "DD_TRACE_AGENT_URL": setup.url,
            "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
            "DD_REMOTE_CONFIGURATION_ENABLED": "false",
        }
    )
    setup.configure = import_module("ddtrace.contrib.pyramid").trace_pyramid
    setup.flush = import_module("ddtrace.trace").tracer.flush


def sentry(setup: Setup) -> None:
    import sentry_sdk
    from sentry_sdk.integrations.pyramid import PyramidIntegration

    dsn = setup.url.replace("//", "//key@") + "/1"
    sentry_sdk.init(dsn, traces_sample_rate=1.0, integrations=[PyramidIntegration(transaction_style="route_pattern")])
    setup.flush = lambda: sentry_sdk.flush(10)


def newrelic(setup: Setup) -> None:
    """In its developer mode, which makes everything and sends nothing: its collector speaks TLS only."""
    os.environ.update(
        {"NEW_RELIC_LICENSE_KEY": "0" * 40, "NEW_RELIC_DEVELOPER_MODE": "true", "NEW_RELIC_LOG": "stderr"}
    )
    os.environ["NEW_RELIC_APP_NAME"] = "hello"
    agent = import_module("newrelic.agent")
    agent.initialize()
    application = agent.register_application(timeout=10)
    setup.wrap = agent.WSGIApplicationWrapper
    setup.kept = application


def logfire(setup: Setup) -> None:
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "http"
    library = import_module("logfire")
    from opentelemetry.instrumentation.pyramid import PyramidInstrumentor

    library.configure(
        token="token",  # of nothing
        console=False,
        service_name="hello",
        advanced=library.AdvancedOptions(base_url=setup.url),
    )
    instrumentor: Any = PyramidInstrumentor()
    setup.configure = instrumentor.instrument_config
    setup.flush = library.force_flush


def hello(request: Any) -> dict[str, str]:
    """The view."""
    return {"hello": request.matchdict["name"]}


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
        body = app(environ, lambda *_: lambda _: None)
        for _chunk in body:
            pass
        if hasattr(body, "close"):
            body.close()


def main(name: str, port: str) -> None:
    """Serve commands until the standard input ends."""
    setup = Setup(f"http://127.0.0.1:{port}")
    globals()[name](setup)
    from pyramid.config import Configurator  # some agents must come first

    config = Configurator(settings={})
    config.add_route("hello", "/hello/{name}")
    setup.configure(config)
    config.add_view(hello, route_name="hello", renderer="json")
    app = setup.wrap(config.make_wsgi_app())
    run(app, 300)
    setup.flush()
    print("ready", flush=True)
    for line in sys.stdin:
        before = time.process_time()
        run(app, int(line))
        setup.flush()
        print(time.process_time() - before, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""OTLP, providers and exporters by the standard variables (contract, section 4)."""

from __future__ import annotations

import logging
import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, cast

import pytest
from opentelemetry import metrics, trace
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request

import c2cotel
from c2cotel import SettingsError, stats
from c2cotel.otel import sdk_private
from c2cotel.runtime import exporters
from c2cotel.testing import ScriptedClock
from tests.apps.application import Application, start_response, view
from tests.servers.otlp import OtlpReceiver, Received, plain
from tests.servers.udp import UdpListener

TRACE = "0123456789abcdef0123456789abcdef"
TRACEPARENT = f"00-{TRACE}-1111111111111111-01"


@pytest.fixture
def collector(otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> OtlpReceiver:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    return otlp


def hello(request: Request) -> dict[str, Any]:
    with stats.timer_context(["work", "part"], {"kind": "a"}):
        pass
    return {"id": request.c2c_request_id}


def spans_by_name(collector: OtlpReceiver) -> dict[str, Span]:
    return {cast("Span", received.item).name: received.item for received in collector.spans}


def metrics_by_name(collector: OtlpReceiver) -> dict[str, Received]:
    return {received.item.name: received for received in collector.metrics}


def test_a_request_is_a_server_span_with_children_for_rendering_and_timers(collector: OtlpReceiver) -> None:
    app = Application(configure=view(hello, "/hello/{name}", renderer="json"))
    answer = app.http.get("/hello/x?secret=s3cr3t&a=1", headers={"traceparent": TRACEPARENT, "User-Agent": "test"})
    app.finish()
    spans = spans_by_name(collector)
    server = spans["GET /hello/{name}"]
    assert set(spans) == {"GET /hello/{name}", "render json", "work.part"}
    assert {span.trace_id.hex() for span in spans.values()} == {TRACE}
    assert server.parent_span_id.hex() == "1" * 16
    assert server.kind == Span.SPAN_KIND_SERVER
    assert {spans[name].parent_span_id for name in ("render json", "work.part")} == {server.span_id}
    assert plain(server.attributes) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/hello/{name}",
        "network.protocol.version": "1.0",
        "server.address": "localhost",
        "server.port": 80,
        "url.path": "/hello/x",
        "url.query": "secret=REDACTED&a=1",
        "url.scheme": "http",
        "user_agent.original": "test",
    }
    assert plain(spans["work.part"].attributes) == {"kind": "a"}
    assert answer.json["id"] == "01234567-89ab-cdef-0123-456789abcdef"
    assert f'traceparent;desc="00-{TRACE}-{server.span_id.hex()}-01"' in answer.headers["Server-Timing"]


def test_the_new_request_id_is_the_trace_id_and_a_given_one_is_on_the_span(collector: OtlpReceiver) -> None:
    app = Application(configure=view(hello, renderer="json"))
    new = app.http.get("/hello").json["id"]
    app.http.get("/hello", headers={"X-Request-ID": "given"})
    app.finish()
    first, second = (received.item for received in collector.spans if received.item.name == "GET /hello")
    assert first.trace_id.hex() == new.replace("-", "")
    assert "c2c.request_id" not in plain(first.attributes)
    assert plain(second.attributes)["c2c.request_id"] == "given"


def test_an_answered_exception_is_recorded_without_its_secrets(
    collector: OtlpReceiver,
) -> None:
    def broken(request: Request) -> None:
        raise ValueError("cannot reach postgresql://u:s3cr3t@host/db")

    def answer(error: Exception, request: Request) -> dict[str, str]:
        request.response.status_int = int(request.GET["status"])
        return {}

    def configure(config: Configurator) -> None:
        view(broken, "/broken")(config)
        config.add_view(answer, context=ValueError, renderer="json")

    app = Application(configure=configure)
    app.http.get("/broken?status=400", status=400)
    app.http.get("/broken?status=503", status=503)
    app.finish()
    mild, hard = (received.item for received in collector.spans if received.item.name == "GET /broken")
    for span in (mild, hard):
        (event,) = span.events
        found = plain(event.attributes)
        assert found["exception.type"] == "ValueError"
        assert found["exception.message"] == "cannot reach postgresql://u:REDACTED@host/db"
        assert "s3cr3t" not in str(span)
    assert mild.status.code == Status.STATUS_CODE_UNSET
    assert "error.type" not in plain(mild.attributes)
    assert hard.status.code == Status.STATUS_CODE_ERROR
    assert plain(hard.attributes)["error.type"] == "ValueError"


def test_an_unanswered_exception_is_a_500_and_an_http_error_is_none(collector: OtlpReceiver) -> None:
    def broken(request: Request) -> None:
        raise HTTPNotFound if request.params else RuntimeError("boom")

    app = Application({"c2c.disable_exception_handling": "1"}, view(broken, "/broken"))
    with pytest.raises(RuntimeError):
        app.http.get("/broken")
    app.http.get("/broken?x=1", status=404)
    app.finish()
    failed, missing = (received.item for received in collector.spans)
    assert plain(failed.attributes)["http.response.status_code"] == 500
    assert (failed.status.code, failed.events[0].name) == (Status.STATUS_CODE_ERROR, "exception")
    assert (missing.status.code, len(missing.events)) == (Status.STATUS_CODE_UNSET, 0)


def test_an_exception_in_a_timer_context_is_on_its_span(collector: OtlpReceiver) -> None:
    def hello(request: Request) -> dict[str, str]:
        with pytest.raises(ValueError, match="x"), stats.timer_context(["part"]):
            raise ValueError("x")
        return {}

    app = Application(configure=view(hello, renderer="json"))
    app.http.get("/hello")
    app.finish()
    span = spans_by_name(collector)["part"]
    assert (span.status.code, span.events[0].name) == (Status.STATUS_CODE_ERROR, "exception")
    assert "part" not in collector.metric_names()


def test_measurements_have_their_standard_names_units_and_attributes(collector: OtlpReceiver) -> None:
    clock = ScriptedClock()

    def slow(request: Request) -> dict[str, str]:
        clock.advance(0.3)
        stats.set_gauge(["depth"], 7, {"queue": "a"})
        stats.increment_counter(["seen"], 2)
        return {}

    app = Application(configure=view(slow, "/slow/{x}", renderer="json"), clock=clock)
    for _ in range(3):
        app.http.get("/slow/1")
    app.finish()
    found = metrics_by_name(collector)
    assert set(found) == {"http.server.request.duration", "c2c.render.duration", "depth", "seen"}
    request = found["http.server.request.duration"].item
    (point,) = request.histogram.data_points
    assert (request.unit, point.count, point.min, point.max) == ("s", 3, pytest.approx(0.3), pytest.approx(0.3))
    assert point.sum == pytest.approx(0.9)
    assert point.bucket_counts[list(point.explicit_bounds).index(0.5)] == 3
    assert plain(point.attributes) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.route": "/slow/{x}",
        "pyramid.route.name": "slow",
        "url.scheme": "http",
    }
    assert found["depth"].item.gauge.data_points[0].as_int == 7
    assert plain(found["depth"].item.gauge.data_points[0].attributes) == {"queue": "a"}
    seen = found["seen"].item.sum
    assert (seen.data_points[0].as_int, seen.is_monotonic) == (6, True)


def test_a_counter_that_has_gone_down_is_not_called_monotonic(collector: OtlpReceiver) -> None:
    telemetry = c2cotel.setup()
    stats.increment_counter(["seen"], -2)
    telemetry.close()
    assert metrics_by_name(collector)["seen"].item.sum.is_monotonic is False


def test_delta_temporality_sends_each_measurement_once(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
    telemetry = c2cotel.setup()
    for _ in range(2):
        with stats.timer_context(["t"]):
            stats.increment_counter(["c"], 3)
        telemetry.flush()
    telemetry.close()
    found = [received.item for received in collector.metrics]
    assert [m.sum.data_points[0].as_int for m in found if m.name == "c"] == [3, 3]
    assert [m.histogram.data_points[0].count for m in found if m.name == "t"] == [1, 1]


def test_foreign_counters_and_ours_travel_under_one_resource(collector: OtlpReceiver) -> None:
    telemetry = c2cotel.setup()
    metrics.get_meter("somebody.else").create_counter("foreign").add(3)
    stats.increment_counter(["ours"])
    telemetry.close()
    assert collector.requests["/v1/metrics"] == 1
    found = metrics_by_name(collector)
    assert set(found) == {"foreign", "ours"}
    assert found["foreign"].item.sum.data_points[0].as_int == 3
    assert (found["foreign"].scope, found["ours"].scope) == ("somebody.else", "c2cotel")
    assert found["foreign"].resource == found["ours"].resource


def test_statsd_and_otlp_work_together_and_foreign_instruments_reach_both(
    collector: OtlpReceiver, udp_listener: UdpListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATSD_ADDRESS", udp_listener.address)
    app = Application(configure=view(hello, renderer="json"))
    metrics.get_meter("somebody.else").create_histogram("foreign.wait", "s").record(0.25)
    app.http.get("/hello")
    app.finish()
    udp_listener.settle(0.1)
    assert set(udp_listener.counts()) == {"foreign.wait", "route.GET.hello.200", "render.GET.hello.200", "work.part"}
    assert "foreign.wait:250|ms" in udp_listener.lines()
    assert collector.metric_names() == {
        "foreign.wait",
        "http.server.request.duration",
        "c2c.render.duration",
        "work.part",
    }


def test_a_list_of_exporters_turns_each_on(
    otlp: OtlpReceiver, udp_listener: UdpListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "otlp,statsd")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", f"{otlp.url}/v1/metrics")
    monkeypatch.setenv("OTEL_EXPORTER_STATSD_ENDPOINT", udp_listener.address)
    telemetry = c2cotel.setup()
    stats.increment_counter(["c"])
    telemetry.close()
    udp_listener.settle(0.1)
    assert udp_listener.lines() == ["c:1|c"]
    assert otlp.metric_names() == {"c"}
    assert telemetry.tracer is None


def test_a_signals_own_endpoint_turns_on_that_signal_only(otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{otlp.url}/v1/traces")
    app = Application(configure=view(hello, renderer="json"))
    app.http.get("/hello")
    app.finish()
    assert dict(otlp.requests) == {"/v1/traces": 1}


def test_none_turns_a_signal_off(collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    app = Application(configure=view(hello, renderer="json"))
    app.http.get("/hello")
    app.finish()
    assert set(collector.requests) == {"/v1/metrics"}


def test_with_nothing_set_nothing_runs_and_the_callers_trace_is_passed_on() -> None:
    found = []

    def hello(request: Request) -> dict[str, str]:
        found.append(trace.get_current_span().get_span_context())
        return {}

    app = Application(configure=view(hello, renderer="json"))
    app.http.get("/hello", headers={"traceparent": TRACEPARENT})
    app.http.get("/hello")
    assert f"{found[0].trace_id:032x}" == TRACE
    assert not found[1].is_valid
    assert (app.telemetry.tracer, app.telemetry.measures) == (None, False)


def test_an_unsampled_trace_makes_no_spans_but_is_measured(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    app = Application(configure=view(hello, renderer="json"))
    app.http.get("/hello")
    app.finish()
    assert collector.spans == []
    assert "work.part" in collector.metric_names()


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/xml"}, "OTEL_EXPORTER_OTLP_PROTOCOL='http/xml': expected one of"),
        ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "x"}, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL='x': expected one of"),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "pip install 'opentelemetry-exporter-zipkin'"),
        ({"OTEL_TRACES_EXPORTER": "zipkn"}, "the exporter 'zipkn' is not installed: expected one of the installed"),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "many"}, "OTEL_BSP_MAX_QUEUE_SIZE='many': expected a whole number"),
    ],
)
def test_an_exporter_that_is_not_there_is_an_error_that_says_what_to_do(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    for name, held in variables.items():
        monkeypatch.setenv(name, held)
    with pytest.raises(SettingsError) as caught:
        c2cotel.setup()
    assert message in str(caught.value)
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


@pytest.mark.parametrize(
    ("protocol", "package"),
    [
        ("grpc", "opentelemetry-exporter-otlp-proto-grpc"),
        ("http/json", "opentelemetry-exporter-otlp-json-http"),
    ],
)
def test_a_protocol_without_its_package_is_an_error_that_names_it(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch, protocol: str, package: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    monkeypatch.setattr(exporters, "entry_points", lambda **_: [])
    with pytest.raises(SettingsError) as caught:
        c2cotel.setup()
    assert f"pip install '{package}'" in str(caught.value)


def test_without_the_extra_otlp_is_an_error_that_names_it() -> None:
    code = (
        "import sys; sys.modules['opentelemetry.exporter.otlp.proto.http.trace_exporter'] = None\n"
        "import c2cotel\n"
        "try: c2cotel.setup()\n"
        "except c2cotel.SettingsError as error: print(error)\n"
    )
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)
    assert "pip install 'c2cotel[otlp]'" in done.stdout, done


@pytest.fixture
def installed() -> Iterator[tuple[TracerProvider, InMemorySpanExporter, MeterProvider, InMemoryMetricReader]]:
    """Providers that somebody installed before us, as `opentelemetry-instrument` does."""
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider(resource=Resource({"service.name": "theirs"}), shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    meters = MeterProvider([reader], resource=Resource({"service.name": "theirs"}), shutdown_on_exit=False)
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(meters)
    yield tracers, exporter, meters, reader
    sdk_private.forget_global_providers(tracers, meters)


def test_providers_that_are_there_are_joined_and_not_replaced(
    installed: tuple[TracerProvider, InMemorySpanExporter, MeterProvider, InMemoryMetricReader],
    collector: OtlpReceiver,
    udp_listener: UdpListener,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tracers, exporter, meters, reader = installed
    monkeypatch.setenv("STATSD_ADDRESS", udp_listener.address)
    app = Application(configure=view(hello, renderer="json"))
    meters.get_meter("x").create_counter("foreign").add(1)
    app.http.get("/hello")
    app.finish()
    udp_listener.settle(0.1)
    assert (trace.get_tracer_provider(), metrics.get_meter_provider()) == (tracers, meters)
    assert {span.name for span in exporter.get_finished_spans()} == {"GET /hello", "render json", "work.part"}
    assert "/v1/traces" not in collector.requests  # theirs exports as they wish
    assert "foreign" not in collector.metric_names()  # theirs has a reader of its own
    assert "work.part" in collector.metric_names()
    assert {received.resource["service.name"] for received in collector.metrics} == {"theirs"}
    assert "foreign" in udp_listener.counts()  # statsd had none
    assert reader.get_metrics_data() is not None  # and theirs goes on


def test_the_resource_names_service_version_and_instance(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.version=1.2.3,deployment.environment.name=test")
    app = Application(configure=view(hello, renderer="json"))
    app.http.get("/hello")
    app.finish()
    resource = collector.spans[0].resource
    assert resource["service.name"] == "tests"  # the application's package
    assert resource["service.version"] == "1.2.3"
    assert resource["deployment.environment.name"] == "test"
    assert resource["service.instance.id"] == collector.metrics[0].resource["service.instance.id"]


def test_the_operators_service_name_wins(collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "the-operators")
    app = Application(configure=view(hello, renderer="json"))
    app.http.get("/hello")
    app.finish()
    assert {received.resource["service.name"] for received in collector.spans} == {"the-operators"}


def test_the_exporters_own_traffic_is_neither_timed_nor_traced(
    collector: OtlpReceiver, udp_listener: UdpListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    from opentelemetry.instrumentation.requests import RequestsInstrumentor

    monkeypatch.setenv("STATSD_ADDRESS", udp_listener.address)
    telemetry = c2cotel.setup()
    instrumentor = RequestsInstrumentor()
    instrumentor.instrument()
    try:
        with trace.get_tracer("test").start_as_current_span("mine"):
            stats.increment_counter(["mine"])
        telemetry.flush()
        telemetry.flush()
    finally:
        instrumentor.uninstrument()
        telemetry.close()
    udp_listener.settle(0.1)
    assert collector.span_names() == {"mine": 1}
    assert udp_listener.lines() == ["mine:1|c"]
    assert collector.metric_names() == {"mine"}


def test_setup_after_close_starts_anew(collector: OtlpReceiver) -> None:
    for _ in range(2):
        app = Application(configure=view(hello, renderer="json"))
        app.http.get("/hello")
        app.finish()
        assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    assert collector.span_names()["GET /hello"] == 2


def test_spans_beyond_the_queue_are_dropped_and_told_once(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    collector.delay = 0.5
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "10")
    telemetry = c2cotel.setup()
    tracer = trace.get_tracer("test")
    with caplog.at_level(logging.WARNING):
        for _ in range(100):
            tracer.start_span("x").end()
    telemetry.close(timeout=5)
    assert caplog.text.count("more are dropped") == 1
    assert 10 <= len(collector.spans) < 100


def test_the_flush_interval_is_that_of_the_settings(udp_listener: UdpListener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATSD_ADDRESS", udp_listener.address)
    monkeypatch.setenv("STATSD_FLUSH_INTERVAL", "0.05")
    c2cotel.setup()
    stats.increment_counter(["c"])
    udp_listener.wait_for("c", timeout=30)
    assert udp_listener.lines() == ["c:1|c"]


def test_with_traces_alone_the_queue_of_measurements_does_not_grow(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    telemetry = c2cotel.setup()
    for _ in range(20_000):
        stats.increment_counter(["c"])
    telemetry.flush()
    assert telemetry.recorder._queue == []


@pytest.mark.parametrize("host", ["localhost:\xb2", "localhost:123456789", ":", "[::1]:80", "x" * 5000])
def test_no_host_header_breaks_a_request(collector: OtlpReceiver, host: str) -> None:
    app = Application(configure=view(hello, renderer="json"))
    environ = Request.blank("/hello").environ | {"HTTP_HOST": host}
    assert b"".join(app.wsgi(environ, start_response)).startswith(b'{\n  "id": ')
    app.finish()
    assert "GET /hello" in collector.span_names()


def test_one_value_that_otlp_has_no_place_for_does_not_stop_the_others(collector: OtlpReceiver) -> None:
    telemetry = c2cotel.setup()
    stats.set_gauge(["huge"], 2**63)
    stats.increment_counter(["enormous"], 10**400)
    stats.increment_counter(["caf\udce9"], tags={"t\udce9": "v\udce9"})
    with trace.get_tracer("test").start_as_current_span("parent"), stats.timer_context(["caf\udce9"], {"t": "\udce9"}):
        stats.increment_counter(["good"])
    telemetry.close()
    assert collector.metric_names() == {"huge", "enormous", "caf?", "good"}
    assert collector.span_names() == {"parent": 1, "caf?": 1}


def test_a_span_that_cannot_be_encoded_costs_itself_only(
    collector: OtlpReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry = c2cotel.setup()
    tracer = trace.get_tracer("test")
    for name, start in (("one", 1), ("before time", -1), ("two", 1), ("after it", 1 << 64), ("caf\udce9", 1)):
        tracer.start_span(name, start_time=start).end()
    telemetry.close()
    assert collector.span_names() == {"one": 1, "two": 1, "caf?": 1}
    assert caplog.text.count("cannot be encoded") == 1


def test_secrets_in_attributes_of_any_span_are_hidden(collector: OtlpReceiver) -> None:
    telemetry = c2cotel.setup()
    attributes: dict[str, str | int] = {
        "db.query.text": "ALTER ROLE x PASSWORD = 'hunter2'",
        "where": "http://u:hunter2@h/",
        "n": 1,
    }
    trace.get_tracer("test").start_span("x", attributes=attributes).end()
    telemetry.close()
    assert "hunter2" not in str(collector.spans)
    assert plain(collector.spans[0].item.attributes)["n"] == 1


def test_setup_on_the_same_configurator_after_close_works_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def hello(request: Request) -> dict[str, str]:
        return {"id": request.c2c_request_id}

    with Configurator(settings={}) as config:
        c2cotel.setup(config).close()
        c2cotel.setup(config)
        view(hello, renderer="json")(config)
    environ = Request.blank("/hello", headers={"X-Request-ID": "7"}).environ
    assert b"".join(config.make_wsgi_app()(environ, start_response)) == b'{\n  "id": "7"\n}'


def test_a_child_of_multiprocessing_sends_what_it_measured(
    udp_listener: UdpListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATSD_ADDRESS", udp_listener.address)
    c2cotel.setup()
    child = multiprocessing.get_context("fork").Process(target=stats.increment_counter, args=(["in_child"],))
    child.start()
    child.join(20)
    udp_listener.wait_for("in_child")
    assert udp_listener.lines() == ["in_child:1|c"]

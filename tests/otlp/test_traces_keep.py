"""Which traces leave: decided when their local root ends (contract, section 14)."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, cast

import psutil
import pytest
from opentelemetry import context, propagate, trace
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Sent
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
from opentelemetry.sdk.trace._sampling_experimental import composable_traceid_ratio_based, composite_sampler
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, TraceState
from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.response import Response

import c2cotel
from c2cotel import SettingsError
from c2cotel.config.parsers import Slow
from c2cotel.config.traces_keep import TracesKeep
from c2cotel.otel.sdk_private import forget_global_providers
from c2cotel.tracing import Span as OurSpan
from c2cotel.tracing import TracerProvider
from tests.apps.application import Application, view
from tests.servers.local import wait_until
from tests.servers.otlp import OtlpReceiver

KEEPS_NOTHING = "0%"


@pytest.fixture
def collector(otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> OtlpReceiver:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{otlp.url}/v1/traces")
    monkeypatch.setenv("C2C_TRACES_KEEP", "error,slow,parent")
    return otlp


@pytest.fixture
def memory() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def provider(memory: InMemorySpanExporter, slow: Slow = Slow(1.0), **rules: Any) -> TracerProvider:  # noqa: B008
    made = TracerProvider(shutdown_on_exit=False, rules=TracesKeep(**rules), slow=slow)
    made.add_span_processor(SimpleSpanProcessor(memory))
    return made


def sent(collector: OtlpReceiver) -> list[Sent]:
    return [cast("Sent", received.item) for received in collector.spans]


def names(memory: InMemorySpanExporter) -> list[str]:
    return [span.name for span in memory.get_finished_spans()]


def hello(_: Request) -> Response:
    return Response("x")


def fail(_: Request) -> Response:
    with trace.get_tracer("app").start_as_current_span("deeper"):
        raise ValueError("no stock")


def traceparent(*, sampled: bool, trace_id: int = 0xABC) -> str:
    return f"00-{trace_id:032x}-00000000000000aa-{sampled:02x}"


@pytest.mark.parametrize(
    "text", ["error", "slow", "parent", "5%", "error,slow,5%,parent", " Error , 0.1 % ", "0%", "100%"]
)
def test_each_reason_may_stand_alone_or_with_others(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    assert collector.url
    monkeypatch.setenv("C2C_TRACES_KEEP", text)
    c2cotel.setup()


@pytest.mark.parametrize("text", ["errors", "5", "5%,6%", "101%", "-1%", "nan%", ",", "error slow", "%"])
def test_a_value_that_cannot_be_used_is_told_with_what_can(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("C2C_TRACES_KEEP", text)
    with pytest.raises(SettingsError, match=r"C2C_TRACES_KEEP=.*expected any of error, slow, parent and a percentage"):
        c2cotel.setup()


def test_the_tracer_of_the_sdk_cannot_keep_traces(collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    assert collector.url
    monkeypatch.setenv("C2C_TRACER", "sdk")
    with pytest.raises(SettingsError, match=r"C2C_TRACER=sdk.*before anybody knows"):
        c2cotel.setup()


def test_a_provider_of_the_application_decides_itself(
    collector: OtlpReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    assert collector.url
    installed = SdkTracerProvider(shutdown_on_exit=False)
    trace.set_tracer_provider(installed)
    c2cotel.setup()
    forget_global_providers(installed, None)
    assert "C2C_TRACES_KEEP has no effect" in caplog.text


def test_a_failed_request_leaves_with_all_its_spans(collector: OtlpReceiver) -> None:
    app = Application(configure=view(fail))
    app.http.get("/hello", status=500)
    assert app.telemetry.flush()
    by_name = {span.name: span for span in sent(collector)}
    assert set(by_name) == {"GET /hello", "deeper"}
    root = by_name["GET /hello"]
    assert by_name["deeper"].parent_span_id == root.span_id
    assert root.trace_state == "", "nobody can tell how many traces a failed one stands for"


def test_a_quick_request_that_works_stays_here(collector: OtlpReceiver) -> None:
    app = Application(configure=view(hello))
    for _ in range(50):
        app.http.get("/hello")
    assert app.telemetry.flush()
    assert sent(collector) == []


def test_an_exception_with_an_answer_below_500_is_no_failure(collector: OtlpReceiver) -> None:
    def missing(_: Request) -> Response:
        raise HTTPNotFound

    app = Application(configure=view(missing))
    app.http.get("/hello", status=404)
    assert app.telemetry.flush()
    assert sent(collector) == []


def test_what_is_slow_depends_on_the_route(collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    def report(_: Request) -> Response:
        time.sleep(0.02)
        return Response("x")

    monkeypatch.setenv("C2C_SLOW", "10ms,report:30s")
    patient = Application(configure=view(report))
    patient.http.get("/hello")
    assert patient.telemetry.flush()
    assert sent(collector) == []
    patient.telemetry.close()
    monkeypatch.setenv("C2C_SLOW", "30s,report:10ms")
    strict = Application(configure=view(report))
    strict.http.get("/hello")
    assert strict.telemetry.flush()
    assert collector.span_names() == {"GET /hello": 1}


def test_what_the_caller_sampled_leaves_by_parent_alone(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = Application(configure=view(hello))
    app.http.get("/hello", headers={"traceparent": traceparent(sampled=True)})
    app.http.get("/hello", headers={"traceparent": traceparent(sampled=False)})
    assert app.telemetry.flush()
    assert collector.span_names() == {"GET /hello": 1}
    app.telemetry.close()
    monkeypatch.setenv("C2C_TRACES_KEEP", "error")
    alone = Application(configure=view(hello))
    alone.http.get("/hello", headers={"traceparent": traceparent(sampled=True)})
    assert alone.telemetry.flush()
    assert collector.span_names() == {"GET /hello": 1}


def test_a_streamed_body_belongs_to_the_decision(collector: OtlpReceiver) -> None:
    def parts() -> Any:
        yield b"one"
        raise ValueError("halfway")

    def streams(_: Request) -> Response:
        return Response(app_iter=parts())

    app = Application(configure=view(streams))
    with pytest.raises(ValueError, match="halfway"):
        app.http.get("/hello")
    assert app.telemetry.flush()
    assert collector.span_names() == {"GET /hello": 1}


def test_spans_that_end_after_the_decision_follow_it(memory: InMemorySpanExporter) -> None:
    tracer = provider(memory, error=True).get_tracer("test")
    for outcome, late_ones in ((StatusCode.ERROR, ["root", "late", "later"]), (StatusCode.OK, [])):
        memory.clear()
        root = tracer.start_span("root")
        within = trace.set_span_in_context(root)
        late = tracer.start_span("late", within)
        root.set_status(outcome)
        root.end()
        late.end()
        tracer.start_span("later", trace.set_span_in_context(late)).end()
        assert names(memory) == late_ones
        assert all(span.context.trace_flags.sampled for span in memory.get_finished_spans())


def test_roots_of_background_threads_are_decided_too(memory: InMemorySpanExporter) -> None:
    tracer = provider(memory, error=True).get_tracer("test")

    def job(n: int) -> None:
        with tracer.start_as_current_span(f"job {n}"), tracer.start_as_current_span("step"):
            if n % 2:
                raise ValueError(n)

    threads = [threading.Thread(target=_quietly, args=(job, n)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(names(memory)) == sorted([f"job {n}" for n in range(1, 8, 2)] + ["step"] * 4)


def _quietly(job: Callable[[int], None], n: int) -> None:
    try:
        job(n)
    except ValueError:
        return


def test_threads_of_a_request_lose_no_span_at_its_end(memory: InMemorySpanExporter) -> None:
    """Each span ends before, at, or after the decision."""
    tracer = provider(memory, error=True).get_tracer("test")
    for _ in range(30):
        memory.clear()
        with tracer.start_as_current_span("root") as root:
            go = threading.Event()

            def work(go: threading.Event = go) -> None:
                go.wait(5)
                for _ in range(50):
                    tracer.start_span("leaf").end()

            threads = [threading.Thread(target=copy_context().run, args=(work,)) for _ in range(3)]
            for thread in threads:
                thread.start()
            go.set()
            root.set_status(StatusCode.ERROR)
        for thread in threads:
            thread.join()
        ids = [span.context.span_id for span in memory.get_finished_spans()]
        assert len(ids) == len(set(ids)) == 151


def test_a_failed_span_of_a_server_below_the_root_counts(memory: InMemorySpanExporter) -> None:
    tracer = provider(memory, error=True).get_tracer("test")
    for kind in (SpanKind.SERVER, SpanKind.CLIENT):
        with tracer.start_as_current_span("root"), tracer.start_as_current_span(kind.name, kind=kind) as span:
            span.set_status(StatusCode.ERROR)
    assert names(memory) == ["SERVER", "root"]


def test_an_exception_counts_whatever_the_status_says(memory: InMemorySpanExporter) -> None:
    tracer = provider(memory, error=True).get_tracer("test")
    with (
        pytest.raises(ValueError, match="x"),
        tracer.start_as_current_span("root", set_status_on_exception=False),
    ):
        raise ValueError("x")
    assert names(memory) == ["root"]


def test_of_10_000_spans_the_latest_leave_and_hang_together(
    memory: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    made = provider(memory, error=True)
    tracer = made.get_tracer("test")
    exported = 0
    for _ in range(2):
        memory.clear()
        with tracer.start_as_current_span("root") as root:
            for _ in range(100):
                with tracer.start_as_current_span("branch"):
                    for _ in range(99):
                        tracer.start_span("leaf").end()
            root.set_status(StatusCode.ERROR)
        spans = memory.get_finished_spans()
        assert 900 <= len(spans) <= 1064
        exported += len(spans)
        ids = {span.context.span_id for span in spans}
        assert all(span.parent is None or span.parent.span_id in ids for span in spans)
    assert made.keep is not None
    assert made.keep.cut + exported == 2 * 10_001
    assert caplog.text.count("too many spans wait") == 1


def test_a_sampled_trace_of_10_000_spans_leaves_whole(memory: InMemorySpanExporter) -> None:
    tracer = provider(memory, share=1.0).get_tracer("test")
    with tracer.start_as_current_span("root"):
        for _ in range(9_999):
            tracer.start_span("leaf").end()
    assert len(memory.get_finished_spans()) == 10_000


def test_roots_that_never_end_are_bounded(memory: InMemorySpanExporter, caplog: pytest.LogCaptureFixture) -> None:
    made = provider(memory, error=True)
    tracer = made.get_tracer("test")
    assert made.keep is not None
    for _ in range(3000):
        within = trace.set_span_in_context(tracer.start_span("endless"))
        for _ in range(70):
            tracer.start_span("leaf", within).end()
        assert made.keep.waiting <= 30_000
    assert caplog.text.count("too many spans wait") == 1
    with tracer.start_as_current_span("root") as root:
        tracer.start_span("leaf").end()
        root.set_status(StatusCode.ERROR)
    assert names(memory) == ["leaf", "root"]


def test_memory_is_flat_over_many_traces(memory: InMemorySpanExporter) -> None:
    tracer = provider(memory, error=True).get_tracer("test")

    def run(number: int) -> None:
        for _ in range(number):
            with tracer.start_as_current_span("root", attributes={"text": "x" * 200}):
                tracer.start_span("leaf").end()

    run(5_000)
    before = psutil.Process().memory_info().rss
    run(30_000)
    assert psutil.Process().memory_info().rss - before < 5 * 2**20
    assert names(memory) == []


class Enriching(SpanProcessor):
    def __init__(self) -> None:
        self.ended: list[str] = []

    def on_start(self, span: Span, parent_context: context.Context | None = None) -> None:
        del parent_context
        span.set_attribute("tenant", 7)

    def on_end(self, span: ReadableSpan) -> None:
        self.ended.append(span.name)


def test_processors_see_the_end_of_what_is_kept_alone(memory: InMemorySpanExporter) -> None:
    """They are told of each start: it is there that they add attributes, before anybody knows how a trace ends."""
    made, processor = provider(memory, error=True), Enriching()
    made.add_span_processor(processor)
    tracer = made.get_tracer("test")
    for name in ("good", "bad"):
        with tracer.start_as_current_span(name) as root:
            tracer.start_span(f"below {name}").end()
            if name == "bad":
                root.set_status(StatusCode.ERROR)
    assert processor.ended == ["below bad", "bad"] == names(memory)
    assert all(dict(span.attributes or {}) == {"tenant": 7} for span in memory.get_finished_spans())


def test_the_percentage_chooses_what_the_sdks_sampler_chooses(memory: InMemorySpanExporter) -> None:
    theirs_memory = InMemorySpanExporter()
    for share in (0.0, 0.001, 0.05, 1 / 3, 1.0):
        theirs = SdkTracerProvider(composite_sampler(composable_traceid_ratio_based(share)), shutdown_on_exit=False)
        theirs.add_span_processor(SimpleSpanProcessor(theirs_memory))
        tracers = provider(memory, share=share).get_tracer("test"), theirs.get_tracer("test")
        for n in range(300):
            trace_id = (n * 0x9E3779B97F4A7C15F39CC0605CEDC835 | 1) % 2**128
            carrier = {"traceparent": f"00-{trace_id:032x}-00000000000000aa-00"}
            for tracer in tracers:
                tracer.start_span(str(n), propagate.extract(carrier)).end()
        ours, official = memory.get_finished_spans(), theirs_memory.get_finished_spans()
        assert {span.name: span.context.trace_state.get("ot") for span in ours} == {
            span.name: span.context.trace_state.get("ot") for span in official
        }
        assert len(ours) == pytest.approx(300 * share, abs=45)
        memory.clear()
        theirs_memory.clear()


def test_a_random_value_of_the_callers_counts_instead_of_the_id(memory: InMemorySpanExporter) -> None:
    tracer = provider(memory, share=0.5).get_tracer("test")
    for value in ("00000000000000", "80000000000000", "7fffffffffffff", "ffffffffffffff"):
        carrier = {"traceparent": traceparent(sampled=False), "tracestate": f"a=b,ot=rv:{value}"}
        tracer.start_span(value, propagate.extract(carrier)).end()
    states = {span.name: span.context.trace_state.to_header() for span in memory.get_finished_spans()}
    assert states == {value: f"ot=th:8;rv:{value},a=b" for value in ("80000000000000", "ffffffffffffff")}


@pytest.mark.parametrize(
    ("caller", "keeps_parent", "expected"),
    [
        ("ot=th:8;x:1", True, "th:8;x:1"),  # the caller chooses more than we do
        ("ot=th:f8", True, "th:f"),  # less
        ("a=b", True, None),  # nobody knows how many
        ("ot=th:8;x:1", False, "th:f;x:1"),
        ("ot=th:zz", False, "th:f"),
    ],
)
def test_tracestate_says_the_probability(
    memory: InMemorySpanExporter, caller: str, keeps_parent: bool, expected: str | None
) -> None:
    tracer = provider(memory, parent=keeps_parent, share=1 / 16).get_tracer("test")
    carrier = {"traceparent": traceparent(sampled=True, trace_id=0xABCFFFFFFFFFFFFFF), "tracestate": caller}
    tracer.start_span("x", propagate.extract(carrier)).end()
    (span,) = memory.get_finished_spans()
    assert span.context.trace_state.get("ot") == expected


def test_what_others_are_sent_is_what_is_certain(collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    sent_on: list[dict[str, str]] = []

    def call(_: Request) -> Response:
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        sent_on.append(carrier)
        raise ValueError("later")

    app = Application(configure=view(call))
    app.http.get("/hello", status=500)
    app.telemetry.close()
    monkeypatch.setenv("C2C_TRACES_KEEP", "100%")
    app = Application(configure=view(call))
    app.http.get("/hello", status=500)
    assert [carrier["traceparent"][-1] in "13" for carrier in sent_on] == [False, True]
    assert [carrier.get("tracestate") for carrier in sent_on] == [None, "ot=th:0"]
    assert collector.span_names() == {"GET /hello": 1}


def test_with_the_flight_recorder_both_have_the_whole_trace(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("C2C_FLIGHT_RECORDER", "1")
    app = Application(configure=view(fail))
    app.http.get("/hello", status=500)
    assert app.telemetry.flush()
    assert collector.span_names() == {"GET /hello": 1, "deeper": 1}
    flight = app.telemetry.flight
    assert flight is not None
    assert flight.store is not None
    (entry,), _ = flight.store.find()
    (record,) = flight.store.get(entry["id"])
    assert [span["name"] for span in record.spans] == ["GET /hello", "deeper"]


@pytest.mark.parametrize("recorder", ["0", "1"])
def test_a_forked_child_exports_nothing_of_its_parents(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch, recorder: str
) -> None:
    monkeypatch.setenv("C2C_FLIGHT_RECORDER", recorder)
    tracer = trace.get_tracer("app")

    def forks(_: Request) -> Response:
        tracer.start_span("before").end()
        child = os.fork()
        if not child:
            try:
                inherited = trace.get_current_span()
                tracer.start_span("below the parent's").end()
                failed = tracer.start_span("of the child")
                failed.set_status(StatusCode.ERROR)
                tracer.start_span("deeper in the child", trace.set_span_in_context(failed)).end()
                failed.end()
                inherited.set_status(StatusCode.ERROR)
                inherited.end()
                app.telemetry.flush(5)
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        raise ValueError("in the parent")

    app = Application(configure=view(forks))
    app.http.get("/hello", status=500)
    assert app.telemetry.flush()
    assert collector.span_names() == {"of the child": 1, "deeper in the child": 1, "before": 1, "GET /hello": 1}


def test_log_records_of_unclaimed_roots_are_not_gathered(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert collector.url
    monkeypatch.setenv("C2C_FLIGHT_RECORDER", "1")
    c2cotel.setup()
    with trace.get_tracer("app").start_as_current_span("job") as span:
        logging.getLogger("app").warning("x")
    assert isinstance(span, OurSpan)
    assert span.local is not None
    assert span.local.logs == []


def test_a_trace_state_is_sent_as_the_official_encoder_does(collector: OtlpReceiver) -> None:
    telemetry = c2cotel.setup()
    state = TraceState([("ot", "th:0"), ("a", "b")])
    caller = trace.SpanContext(1, 2, True, trace.TraceFlags(1), state)
    within = trace.set_span_in_context(trace.NonRecordingSpan(caller))
    trace.get_tracer("app").start_span("x", within).end()
    assert telemetry.flush()
    (span,) = sent(collector)
    assert span.trace_state == "ot=th:0,a=b"
    wait_until(lambda: collector.span_names() == {"x": 1}, "the span")

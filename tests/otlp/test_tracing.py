"""The tracer of a running application: nothing lost, nothing twice, nothing without bounds (contract, section 4)."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from typing import Any, cast

import pytest
from opentelemetry import trace
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Sent
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, StatusCode

import c2cotel
from c2cotel import SettingsError
from c2cotel.delivery.batches import BatchChannel
from c2cotel.tracing import TracerProvider
from tests.servers.otlp import OtlpReceiver, plain

THREADS = 8


@pytest.fixture
def collector(otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> OtlpReceiver:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{otlp.url}/v1/traces")
    return otlp


@pytest.fixture
def memory() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(memory: InMemorySpanExporter) -> trace.Tracer:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    return provider.get_tracer("test")


def sent(collector: OtlpReceiver) -> list[Sent]:
    return [cast("Sent", received.item) for received in collector.spans]


def in_threads(work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def channel_of(telemetry: Any) -> BatchChannel[Any]:
    (channel,) = (outlet for outlet in telemetry._pipeline.outlets if isinstance(outlet, BatchChannel))
    return channel


def test_200_000_nested_spans_of_8_threads_each_arrive_once(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "300000")
    trees = 200_000 // THREADS // 5
    telemetry = c2cotel.setup()
    tracer = trace.get_tracer("test")

    def plant(thread: int) -> None:
        for n in range(trees):
            with tracer.start_as_current_span("root", attributes={"thread": thread, "n": n}):
                with tracer.start_as_current_span("left"), tracer.start_as_current_span("leaf"):
                    pass
                with tracer.start_as_current_span("right"):
                    tracer.start_span("twig").end()

    in_threads(plant)
    assert telemetry.flush(60)
    spans = sent(collector)
    assert len(spans) == len({span.span_id for span in spans}) == 200_000
    names = {span.span_id: span.name for span in spans}
    traces = {span.span_id: span.trace_id for span in spans}
    above = Counter((span.name, names.get(span.parent_span_id)) for span in spans)
    pairs = [("root", None), ("left", "root"), ("leaf", "left"), ("right", "root"), ("twig", "right")]
    assert above == dict.fromkeys(pairs, 40_000)
    assert all(traces[span.parent_span_id] == span.trace_id for span in spans if span.parent_span_id)
    assert len(set(traces.values())) == 40_000
    roots = {tuple(plain(span.attributes).values()) for span in spans if span.name == "root"}
    assert roots == {(thread, n) for thread in range(THREADS) for n in range(trees)}


def test_a_slow_collector_fills_a_bounded_queue_and_drops_are_counted(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "200")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "50")
    collector.delay = 0.3
    telemetry = c2cotel.setup()
    tracer = trace.get_tracer("test")
    channel = channel_of(telemetry)
    longest = []

    def work(_: int) -> None:
        for _ in range(5000):
            tracer.start_span("x").end()
            longest.append(len(channel._queue))

    in_threads(work)
    collector.delay = 0
    assert telemetry.flush(30)
    assert max(longest) <= 200 + THREADS
    assert channel.dropped > 0
    assert len(collector.spans) + channel.dropped == THREADS * 5000
    assert caplog.text.count("more are dropped") == 1


def test_without_a_collector_spans_cost_no_memory_and_the_log_says_so_once(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "100")
    collector.refuse()
    telemetry = c2cotel.setup()
    tracer = trace.get_tracer("test")
    for _ in range(10_000):
        tracer.start_span("x").end()
    assert len(channel_of(telemetry)._queue) <= 100
    telemetry.close(timeout=1)
    assert caplog.text.count("more are dropped") == 1
    assert channel_of(telemetry)._queue == []


def test_a_flush_of_the_provider_sends_what_has_ended(collector: OtlpReceiver) -> None:
    c2cotel.setup()
    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    provider.get_tracer("test").start_span("x").end()
    assert provider.force_flush(10_000)
    assert collector.span_names() == {"x": 1}
    assert not provider.force_flush(0)


@pytest.mark.parametrize("said", ["sdk", "c2c"])
def test_the_setting_says_whose_tracer_is_used_and_both_send_the_same(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setenv("C2C_TRACER", said)
    telemetry = c2cotel.setup()
    provider = trace.get_tracer_provider()
    assert isinstance(provider, SdkTracerProvider)
    assert isinstance(provider, TracerProvider) == (said == "c2c")

    @trace.get_tracer("test").start_as_current_span("x", attributes={"a": 1})
    def work() -> None:
        trace.get_current_span().add_event("e", {"said": "password=hunter2"})
        raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        work()
    telemetry.close()
    (found,) = sent(collector)
    assert plain(found.attributes) == {"a": 1}
    assert [event.name for event in found.events] == ["e", "exception"]
    assert plain(found.events[0].attributes) == {"said": "password=REDACTED"}
    assert (found.status.code, found.status.message) == (2, "ValueError: boom")


def test_another_tracer_than_those_is_an_error(collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_TRACER", "fast")
    with pytest.raises(SettingsError, match="C2C_TRACER='fast'"):
        c2cotel.setup()


def test_processors_and_exporters_of_others_get_the_spans_too(
    collector: OtlpReceiver, memory: InMemorySpanExporter
) -> None:
    telemetry = c2cotel.setup()
    early = trace.get_tracer("early")
    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    provider.add_span_processor(BatchSpanProcessor(memory))
    early.start_span("one").end()
    provider.get_tracer("late").start_span("two").end()
    provider.force_flush()
    provider.shutdown()
    telemetry.close()
    assert [span.name for span in memory.get_finished_spans()] == ["one", "two"]
    assert collector.span_names() == {"one": 1, "two": 1}


def test_limits_and_sampler_come_from_the_standard_variables(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "2")
    monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    telemetry = c2cotel.setup()
    tracer = trace.get_tracer("test")
    for _ in range(1000):
        with tracer.start_as_current_span("x", attributes={"a": "12345", "b": 1, "c": True}):
            tracer.start_span("child").end()
    telemetry.close()
    names = collector.span_names()
    assert names["x"] == names["child"]
    assert 350 < names["x"] < 650
    span = next(span for span in sent(collector) if span.name == "x")
    assert (plain(span.attributes), span.dropped_attributes_count) == ({"b": 1, "c": True}, 1)


def test_spans_that_are_not_sampled_are_one_trace_with_ids_of_their_own() -> None:
    from opentelemetry.sdk.trace.sampling import DEFAULT_OFF

    tracer = TracerProvider(sampler=DEFAULT_OFF, shutdown_on_exit=False).get_tracer("test")
    with tracer.start_as_current_span("a") as a, tracer.start_as_current_span("b") as b:
        first, second = a.get_span_context(), b.get_span_context()
    assert (a.is_recording(), b.is_recording()) == (False, False)
    assert first.trace_id == second.trace_id
    assert first.span_id != second.span_id
    assert not first.trace_flags.sampled


def test_a_span_that_many_threads_end_ends_once(memory: InMemorySpanExporter, tracer: trace.Tracer) -> None:
    for _ in range(200):
        span = tracer.start_span("x")
        barrier = threading.Barrier(THREADS)

        def end(_: int, barrier: threading.Barrier = barrier, span: trace.Span = span) -> None:
            barrier.wait()
            span.end()

        in_threads(end)
    assert len(memory.get_finished_spans()) == 200


class Pause:
    """What a coroutine that waits gives its event loop."""

    def __await__(self) -> Generator[None, None, None]:
        yield


def result_of(context: Context, task: Coroutine[Any, Any, int]) -> int:
    """Let a coroutine run to its end."""
    with pytest.raises(StopIteration) as ended:
        context.run(task.send, None)
    return int(ended.value.value)


def test_each_call_of_a_decorated_function_is_a_span(memory: InMemorySpanExporter, tracer: trace.Tracer) -> None:
    @tracer.start_as_current_span("work")
    def work(depth: int) -> int:
        """Works."""
        return work(depth - 1) + 1 if depth else 0

    @tracer.start_as_current_span("wait")
    async def wait() -> int:
        await Pause()
        return trace.get_current_span().get_span_context().span_id

    assert (work(2), work.__doc__, work.__name__) == (2, "Works.", "work")
    # As tasks of an event loop: at the same time, each in a context of its own.
    tasks = [(copy_context(), wait()) for _ in range(3)]
    for context, task in tasks:
        context.run(task.send, None)
    time.sleep(0.02)
    ids = [result_of(context, task) for context, task in tasks]
    inner, middle, outer, *waited = memory.get_finished_spans()
    assert (inner.parent, middle.parent, outer.parent) == (middle.context, outer.context, None)
    assert {cast("SpanContext", span.context).span_id for span in waited} == set(ids)
    assert all(cast("int", span.end_time) - cast("int", span.start_time) >= 10_000_000 for span in waited)


def test_a_block_that_is_never_entered_starts_no_span(memory: InMemorySpanExporter, tracer: trace.Tracer) -> None:
    block = tracer.start_as_current_span("x")
    assert not trace.get_current_span().is_recording()
    with block:
        pass
    assert len(memory.get_finished_spans()) == 1


def test_attributes_set_again_are_the_newest(memory: InMemorySpanExporter) -> None:
    provider = TracerProvider(shutdown_on_exit=False, span_limits=SpanLimits(max_span_attributes=3))
    provider.add_span_processor(SimpleSpanProcessor(memory))
    span = provider.get_tracer("test").start_span("x", attributes={"a": 1, "b": 1})
    span.set_attributes({"a": 2})
    span.set_attributes({"c": 3, "d": 4})
    span.end()
    (found,) = memory.get_finished_spans()
    assert list((found.attributes or {}).items()) == [("a", 2), ("c", 3), ("d", 4)]
    assert found.dropped_attributes == 1


def test_a_live_span_shows_what_it_has(tracer: trace.Tracer) -> None:
    span: Any = tracer.start_span("x", attributes={"a": [1]})
    span.set_attribute("b", "2")
    span.add_event("e")
    span.set_status(StatusCode.ERROR, "why")
    assert dict(span.attributes) == {"a": (1,), "b": "2"}
    assert [event.name for event in span.events] == ["e"]
    assert (span.instrumentation_scope.name, span.end_time) == ("test", None)
    assert '"name": "x"' in span.to_json()
    assert repr(span).startswith('Span(name="x", context=SpanContext(')


def test_one_tracer_serves_all_who_ask_for_the_same_scope() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    tracer = provider.get_tracer("a", "1")
    assert provider.get_tracer("a", "1") is tracer
    assert provider.get_tracer("a", "2") is not tracer
    assert provider.get_tracer("a", "1", attributes={"x": 1}) is provider.get_tracer("a", "1", attributes={"x": 1})


def test_a_disabled_sdk_gives_tracers_that_do_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    provider = TracerProvider(shutdown_on_exit=False)
    assert not provider.get_tracer("a").start_span("x").is_recording()


def test_what_is_said_to_an_ended_span_is_a_warning_of_the_sdks(
    tracer: trace.Tracer, caplog: pytest.LogCaptureFixture
) -> None:
    span = tracer.start_span("x")
    span.end()
    with caplog.at_level(logging.WARNING, "opentelemetry.sdk.trace"):
        span.set_attribute("a", 1)
        span.end()
    assert caplog.messages == ["Setting attribute on ended span.", "Calling end() on an ended span."]

"""Fails loudly when a private name of OpenTelemetry's SDK that `c2cotel.otel.sdk_private` touches has moved."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry import metrics, trace
from opentelemetry.instrumentation.utils import is_http_instrumentation_enabled, is_instrumentation_enabled
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, ConsoleMetricExporter, Metric
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from c2cotel import tracing
from c2cotel.metrics.aggregates import temporality_by_kind
from c2cotel.metrics.instruments import Kind
from c2cotel.otel import sdk_private

DELTA = AggregationTemporality.DELTA


@pytest.fixture
def provider() -> Iterator[MeterProvider]:
    provider = MeterProvider(resource=Resource({"service.name": "x"}), shutdown_on_exit=False)
    yield provider
    provider.shutdown()


def test_contribs_instrumentations_see_that_they_are_suppressed() -> None:
    assert is_instrumentation_enabled()
    with sdk_private.suppressed():
        assert sdk_private.is_suppressed()
        assert not is_instrumentation_enabled()
        assert not is_http_instrumentation_enabled()
    assert not sdk_private.is_suppressed()


def test_a_joined_reader_gathers_as_its_exporter_wants(provider: MeterProvider) -> None:
    reader = sdk_private.JoinedReader(ConsoleMetricExporter(preferred_temporality={Counter: DELTA}))
    provider.add_metric_reader(reader)
    assert reader.gather(1) is None
    counter = provider.get_meter("m").create_counter("c")
    for _ in range(2):
        counter.add(3)
        data = reader.gather(1)
        assert data is not None
        assert data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points[0].value == 3  # type: ignore[union-attr]


def test_the_temporality_an_exporter_asks_for() -> None:
    preferred = sdk_private.preferred_temporality(ConsoleMetricExporter(preferred_temporality={Histogram: DELTA}))
    assert temporality_by_kind(preferred) == {Kind.TIMER: DELTA, Kind.COUNTER: AggregationTemporality.CUMULATIVE}


def test_the_resource_of_a_provider(provider: MeterProvider) -> None:
    assert sdk_private.resource_of(provider).attributes["service.name"] == "x"


def test_our_points_go_into_the_sdks_own_block(provider: MeterProvider) -> None:
    reader = sdk_private.JoinedReader(ConsoleMetricExporter())
    provider.add_metric_reader(reader)
    provider.get_meter("m").create_counter("c").add(1)
    ours = [Metric("ours", None, None, data=None)]  # type: ignore[arg-type]
    data = sdk_private.join_metrics(reader.gather(1), ours, Resource({}), InstrumentationScope("us"))
    (block,) = data.resource_metrics
    assert [scope.scope.name for scope in block.scope_metrics] == ["m", "us"]
    assert sdk_private.join_metrics(None, [], Resource({}), InstrumentationScope("us")) is None


def test_a_span_is_current_under_the_key_that_is_known_here() -> None:
    span = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=False))
    assert trace.set_span_in_context(span)[sdk_private.SPAN_KEY] is span


def test_a_span_context_made_of_its_parts_is_one_that_was_checked() -> None:
    checked = trace.SpanContext(1, 2, False, trace.TraceFlags(1), trace.TraceState())
    made = sdk_private.new_span_context(tuple(checked))
    assert (made, type(made)) == (checked, trace.SpanContext)
    assert tuple(checked) == (1, 2, False, trace.TraceFlags(1), trace.TraceState(), True)


def test_a_processor_is_told_that_a_span_is_ending() -> None:
    ending = []

    class Processor(SpanProcessor):
        def _on_ending(self, span: Span) -> None:
            ending.append(span)

    provider = tracing.TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Processor())
    span = provider.get_tracer("x").start_span("x")
    span.end()
    assert ending == [span]


def test_our_span_answers_every_public_question_of_the_sdks_itself() -> None:
    """A method that the SDK's span has learnt would look for attributes that ours has not."""
    inherited = {"name", "context", "kind", "parent", "start_time", "end_time", "status", "resource"}
    inherited |= {"instrumentation_info"}
    public = {name for cls in (Span, ReadableSpan) for name in vars(cls) if not name.startswith("_")}
    assert public - set(vars(tracing.Span)) == inherited


def test_global_providers_can_be_forgotten_but_only_our_own() -> None:
    tracers, meters = TracerProvider(shutdown_on_exit=False), MeterProvider(shutdown_on_exit=False)
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(meters)
    sdk_private.forget_global_providers(TracerProvider(shutdown_on_exit=False), None)
    assert trace.get_tracer_provider() is tracers
    sdk_private.forget_global_providers(tracers, meters)
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    again = MeterProvider(shutdown_on_exit=False)
    metrics.set_meter_provider(again)
    assert metrics.get_meter_provider() is again
    sdk_private.forget_global_providers(None, again)

"""Our OTLP encoder against the official one: whatever the span, the official classes decode the same from both."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from c2cotel import redaction
from c2cotel.tracing import LateSpanProcessor, Span, TracerProvider
from c2cotel.tracing.otlp import SpanEncoder
from c2cotel.tracing.redact import hide_secrets
from tests.apps.span_programs import PROGRAM, SAMPLERS, Run, quiet

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
VALUE = st.one_of(
    TEXT,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.lists(TEXT, max_size=3).map(tuple),
    st.lists(st.integers(-5, 5), max_size=3).map(tuple),
)
ATTRIBUTES = st.dictionaries(TEXT.filter(bool), VALUE, max_size=6)
TIME = st.integers(0, 2**64 - 1)
CONTEXT = st.builds(
    SpanContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.booleans(),
    st.sampled_from([TraceFlags(0), TraceFlags(1), TraceFlags(3)]),
    st.sampled_from([TraceState(), TraceState([("a", "b")])]),
)
STATUS = st.sampled_from(
    [Status(), Status(StatusCode.OK), Status(StatusCode.ERROR), Status(StatusCode.ERROR, "what was wrong")]
)
RESOURCES = [Resource({"service.name": "a"}), Resource({"service.name": "b", "n": 1}, "https://schema")]
SCOPES = [InstrumentationScope("x"), InstrumentationScope("y", "1.0", "https://schema", {"a": 1})]
SPAN = st.builds(
    ReadableSpan,
    name=TEXT,
    context=CONTEXT,
    parent=st.none() | CONTEXT,
    resource=st.sampled_from(RESOURCES),
    attributes=ATTRIBUTES,
    events=st.lists(st.builds(Event, TEXT, ATTRIBUTES, TIME), max_size=2),
    links=st.lists(st.builds(Link, CONTEXT, ATTRIBUTES), max_size=2),
    kind=st.sampled_from(list(SpanKind)),
    status=STATUS,
    start_time=TIME,
    end_time=TIME,
    instrumentation_scope=st.sampled_from(SCOPES),
)


def flat(request: ExportTraceServiceRequest) -> list[tuple[Any, ...]]:
    """Every span with what stands around it, in one order for both."""
    found = [
        (str(block.resource), block.schema_url, str(scope.scope), scope.schema_url, span)
        for block in request.resource_spans
        for scope in block.scope_spans
        for span in scope.spans
    ]
    return sorted(found, key=lambda row: (row[:4], row[4].SerializeToString(deterministic=True)))


@given(st.lists(SPAN, max_size=5))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # a loaded machine is slow
def test_the_official_classes_decode_the_same_from_both(spans: list[ReadableSpan]) -> None:
    encoder = SpanEncoder()
    for _ in range(2):  # the second time everything is remembered
        ours = ExportTraceServiceRequest.FromString(encoder.encode(spans))
        assert flat(ours) == flat(encode_spans(list(map(hide_secrets, spans))))


@given(PROGRAM, st.sampled_from(list(SAMPLERS)))
@settings(deadline=None)
def test_our_spans_are_encoded_as_their_readable_form_without_secrets(program: list[Any], sampler: str) -> None:
    taken: list[Span] = []

    class Late(LateSpanProcessor):
        def take(self, span: Span) -> None:
            taken.append(span)

    provider = TracerProvider(SAMPLERS[sampler], RESOURCES[0], shutdown_on_exit=False)
    provider.add_span_processor(Late())
    with quiet():
        Run(provider, program)
        encoder = SpanEncoder()
        for _ in range(2):
            for span in taken:
                try:
                    official = encode_spans([hide_secrets(span.readable())])
                except (ValueError, TypeError, OverflowError, UnicodeError):
                    continue
                ours = ExportTraceServiceRequest.FromString(encoder.encode([span]))
                assert flat(ours) == flat(official)


def test_a_text_that_is_no_utf_8_costs_its_attribute_alone() -> None:
    taken: list[Any] = []

    class Late(LateSpanProcessor):
        def take(self, span: Span) -> None:
            taken.append(span)

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Late())
    held = {"bad": "\udce9", "good": "x"}
    provider.get_tracer("x").start_span("span", attributes=held).end()
    provider.get_tracer("x").start_span("na\udce9me", attributes={"good": "x"}).end()
    context = SpanContext(1, 2, is_remote=False)
    taken.append(ReadableSpan("s", context, attributes=held, start_time=1, end_time=2, instrumentation_scope=SCOPES[0]))
    spans = [row[-1] for row in flat(ExportTraceServiceRequest.FromString(SpanEncoder().encode(taken)))]
    assert sorted(span.name for span in spans) == ["na?me", "s", "span"]
    assert all([pair.key for pair in span.attributes] == ["good"] for span in spans)


def test_an_integer_of_more_than_64_bits_costs_its_attribute_alone() -> None:
    tracer = TracerProvider().get_tracer("x")
    span = tracer.start_span("big", attributes={"big": 1 << 70, "small": 2})
    span.end()
    request = ExportTraceServiceRequest.FromString(SpanEncoder().encode([span]))  # type: ignore[list-item]
    (found,) = request.resource_spans[0].scope_spans[0].spans
    assert [pair.key for pair in found.attributes] == ["small"]


def test_a_secret_is_hidden_wherever_it_stands_in_a_span() -> None:
    tracer = TracerProvider().get_tracer("x")
    spans = [tracer.start_span(f"span {n} of http://user:hunter2@host/") for n in range(3)]
    spans[1].set_attribute("http.request.header.referer", ["http://host/?secret=hunter2"])
    spans[1].set_attribute("body", b"password=hunter2")
    spans[2].add_event("http://user:hunter2@host/", {"asked": ("token=hunter2",)})
    spans[2].add_link(spans[0].get_span_context(), {"url": "http://user:hunter2@host/"})
    for span in spans:
        span.end()
    encoded = SpanEncoder().encode(spans)  # type: ignore[arg-type]
    assert b"hunter2" not in encoded
    assert encoded.count(b"REDACTED") == 8  # three names, and each of the five above


def test_hiding_secrets_keeps_the_number_of_what_did_not_fit_in() -> None:
    tracer = TracerProvider(
        span_limits=SpanLimits(
            max_span_attributes=1, max_events=1, max_links=1, max_event_attributes=1, max_link_attributes=1
        )
    ).get_tracer("x")
    span = tracer.start_span("full", attributes={"a": 1, "b": 2})
    for _ in range(3):
        span.add_event("event", {"a": 1, "b": 2})
        span.add_link(span.get_span_context(), {"a": 1, "b": 2})
    span.end()
    assert isinstance(span, Span)
    hidden = hide_secrets(span.readable())
    assert (hidden.dropped_attributes, hidden.dropped_events, hidden.dropped_links) == (1, 2, 2)
    assert (hidden.events[0].dropped_attributes, hidden.links[0].dropped_attributes) == (1, 1)


def test_a_pattern_that_is_hidden_later_hides_what_was_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Span] = []

    class Late(LateSpanProcessor):
        def take(self, span: Span) -> None:
            taken.append(span)

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Late())
    tracer = provider.get_tracer("x")
    encoder = SpanEncoder()
    for _ in range(2):
        tracer.start_span("x", attributes={"card": "no: 1234-5678", "url": "http://u:hunter2@h/"}).end()
        assert b"hunter2" not in encoder.encode(taken)
    assert b"1234-5678" in encoder.encode(taken)
    redaction.hide(r"\d{4}-\d{4}")
    assert b"1234-5678" not in encoder.encode(taken)


def test_a_pattern_hides_texts_that_no_rule_of_ours_would_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    redaction.hide(r"\d{4}-\d{4}")
    span = TracerProvider().get_tracer("x").start_span("pay 1234-5678", attributes={"card": "1234-5678"})
    span.end()
    assert isinstance(span, Span)
    assert b"1234-5678" not in SpanEncoder().encode([span])
    assert "1234-5678" not in hide_secrets(span.readable()).to_json()


def test_equal_values_of_different_types_are_kept_apart() -> None:
    context = SpanContext(1, 2, is_remote=False)
    spans = [
        ReadableSpan("s", context, attributes={"a": value}, start_time=1, end_time=2, instrumentation_scope=SCOPES[0])
        for value in (1, True, 1.0, 0, False, 0.0, "1")
    ]
    ours = ExportTraceServiceRequest.FromString(SpanEncoder().encode(spans))
    assert flat(ours) == flat(encode_spans(spans))


def test_what_is_remembered_stays_bounded() -> None:
    encoder = SpanEncoder()
    context = SpanContext(1, 2, is_remote=False)
    for n in range(11_000):
        span = ReadableSpan("s", context, resource=RESOURCES[0], attributes={"a": n}, start_time=1, end_time=2)
        encoder.encode([span])
    assert len(encoder._pairs) <= 10_000

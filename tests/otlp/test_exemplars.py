"""Exemplars of our histograms, and their kind of buckets (contract, section 14)."""

from __future__ import annotations

import time
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar, ExponentialHistogramDataPoint, Metric
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.trace import StatusCode
from pyramid.request import Request
from pyramid.response import Response

import c2cotel
from c2cotel import stats
from c2cotel.metrics.exponential import ExponentialState
from c2cotel.metrics.instruments import TABLE, Kind
from tests.apps.application import Application, view
from tests.servers.otlp import OtlpReceiver

ROUTE = "http.server.request.duration"
TIMER = next(row for row in TABLE if row.kind is Kind.TIMER)


@pytest.fixture
def collector(otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> OtlpReceiver:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "none")
    return otlp


def points(collector: OtlpReceiver, name: str) -> list[Any]:
    metrics = [cast("Metric", each.item) for each in collector.metrics]
    return [
        point
        for metric in metrics
        if metric.name == name
        for point in getattr(metric, str(metric.WhichOneof("data"))).data_points
    ]


def exemplars(collector: OtlpReceiver, name: str) -> list[Exemplar]:
    return [exemplar for point in points(collector, name) for exemplar in point.exemplars]


def answer(request: Request) -> Response:
    if "fail" in request.params:
        raise ValueError("on purpose")
    if "slow" in request.params:
        time.sleep(0.03)
    return Response("x")


def test_a_histogram_points_at_the_span_of_a_request(collector: OtlpReceiver) -> None:
    before = time.time_ns()
    app = Application(configure=view(answer))
    app.http.get("/hello")
    app.finish()
    (exemplar,) = exemplars(collector, ROUTE)
    (span,) = [each.item for each in collector.spans]
    assert (exemplar.trace_id, exemplar.span_id) == (span.trace_id, span.span_id)
    assert before <= exemplar.time_unix_nano <= time.time_ns()
    (point,) = points(collector, ROUTE)
    assert exemplar.as_double == pytest.approx(point.sum)


def test_the_histogram_of_renderings_points_at_the_request(collector: OtlpReceiver) -> None:
    app = Application(configure=view(lambda _: {}, renderer="json"))
    app.http.get("/hello")
    app.finish()
    (exemplar,) = exemplars(collector, "c2c.render.duration")
    (span,) = [each.item for each in collector.spans if each.item.name == "GET /hello"]
    assert (exemplar.trace_id, exemplar.span_id) == (span.trace_id, span.span_id)


def test_exemplars_point_at_kept_traces_alone(collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_TRACES_KEEP", "error,slow")
    monkeypatch.setenv("C2C_SLOW", "20ms")
    app = Application(configure=view(answer))
    for n in range(60):
        app.http.get("/hello", params={10: {"fail": 1}, 20: {"slow": 1}}.get(n, {}), expect_errors=True)
    app.finish()
    sent = {each.item.trace_id for each in collector.spans}
    assert len(sent) >= 2
    pointed = {exemplar.trace_id for exemplar in exemplars(collector, ROUTE)}
    assert pointed <= sent
    assert len(pointed) >= 2


def test_a_timer_waits_for_the_end_of_its_trace(collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_TRACES_KEEP", "error")
    telemetry = c2cotel.setup()
    with trace.get_tracer("app").start_as_current_span("job") as span:
        with stats.timer_context(["step"]):
            pass
        telemetry.recorder.drain()
        span.set_status(StatusCode.ERROR)
    telemetry.close()
    (exemplar,) = exemplars(collector, "step")
    assert exemplar.trace_id == span.get_span_context().trace_id.to_bytes(16, "big")


def test_values_outside_of_traces_become_exemplars_if_asked(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wanted, number in (("trace_based", 0), ("always_off", 0), ("always_on", 1)):
        monkeypatch.setenv("OTEL_METRICS_EXEMPLAR_FILTER", wanted)
        telemetry = c2cotel.setup()
        with stats.timer_context([wanted]):
            pass
        telemetry.close()
        assert [exemplar.trace_id for exemplar in exemplars(collector, wanted)] == [b""] * number


@pytest.mark.parametrize("off", ["OTEL_METRICS_EXEMPLAR_FILTER=always_off", "OTEL_TRACES_EXPORTER=none"])
def test_nothing_looks_at_the_context_where_no_exemplar_is(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch, off: str
) -> None:
    assert collector.url
    monkeypatch.setenv(*off.split("="))
    looks: list[int] = []
    monkeypatch.setattr("c2cotel.runtime.pipeline.recording_span", lambda: looks.append(1))
    app = Application(configure=view(answer))
    app.http.get("/hello")
    app.finish()
    assert looks == []
    assert exemplars(collector, ROUTE) == []


def test_exemplars_are_bounded_and_of_their_interval(collector: OtlpReceiver) -> None:
    telemetry = c2cotel.setup()
    with trace.get_tracer("app").start_as_current_span("job"):
        for n in range(1000):
            telemetry.recorder.series(TIMER, {"a": "b"}).record(n / 1000)
    telemetry.flush()
    telemetry.close()
    first, *later = [list(point.exemplars) for point in points(collector, TIMER.name)]
    assert 1 < len(first) <= len(TIMER.bounds) + 1
    assert all(exemplars == [] for exemplars in later)


def test_histograms_are_exponential_if_the_variable_says_so(
    collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram")
    app = Application(configure=view(answer))
    for _ in range(20):
        app.http.get("/hello")
    app.finish()
    (point,) = points(collector, ROUTE)
    assert isinstance(point, ExponentialHistogramDataPoint)
    assert point.count == sum(point.positive.bucket_counts) == 20
    base = 2 ** (2**-point.scale)
    assert base**point.positive.offset < point.min
    assert point.max <= base ** (point.positive.offset + len(point.positive.bucket_counts)) * (1 + 1e-9)
    assert point.exemplars


VALUES = st.lists(
    st.one_of(
        st.floats(1e-9, 1e9),
        st.floats(-1e3, -1e-6),
        st.sampled_from([0.0, 0.5, 1.0, 2.0, 4.0, 1e-300, 1e300, 0.001, 0.25]),
    ),
    min_size=2,
    max_size=60,
)


@given(VALUES)
@settings(deadline=None)
def test_exponential_buckets_are_those_of_the_sdk(values: list[float]) -> None:
    reader = InMemoryMetricReader()
    views = [View(instrument_name="*", aggregation=ExponentialBucketHistogramAggregation())]
    provider = MeterProvider([reader], views=views, shutdown_on_exit=False)
    positive = [abs(value) for value in values]  # the SDK's histograms refuse others
    official = provider.get_meter("test").create_histogram("x")
    state = ExponentialState(TIMER, 0)
    for value in positive:
        official.record(value)
    state.fold(positive)
    data: Any = reader.get_metrics_data()
    theirs = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points[0]
    ours = state.point({}, 0, [])
    assert (ours.count, ours.zero_count, ours.min, ours.max) == (
        theirs.count,
        theirs.zero_count,
        theirs.min,
        theirs.max,
    )
    if any(positive):
        assert ours.scale == theirs.scale
        assert filled(ours.positive) == filled(theirs.positive)


def filled(buckets: Any) -> dict[int, int]:
    return {buckets.offset + n: count for n, count in enumerate(buckets.bucket_counts) if count}


def test_negative_values_have_buckets_of_their_own() -> None:
    state = ExponentialState(TIMER, 0)
    state.fold([-1.5, 1.5, 0.0, -3.0])
    point = state.point({}, 0, [])
    assert point.zero_count == 1
    assert sum(point.positive.bucket_counts) == 1
    assert sum(point.negative.bucket_counts) == 2

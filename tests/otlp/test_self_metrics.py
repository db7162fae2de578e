"""Metrics of the export itself, under the names of OpenTelemetry's SDKs."""

from __future__ import annotations

import logging
from typing import Any, cast

import pytest
from opentelemetry import trace
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

import c2cotel
from tests.servers.otlp import OtlpReceiver, plain


@pytest.fixture
def collector(otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> OtlpReceiver:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    monkeypatch.setenv("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", "true")
    return otlp


def latest(collector: OtlpReceiver) -> dict[tuple[str, str, str], Any]:
    """The last value by name, component and error."""
    values: dict[tuple[str, str, str], Any] = {}
    scopes: dict[tuple[str, str, str], str] = {}
    for received in collector.metrics:
        metric = cast("Metric", received.item)
        if metric.name.startswith("otel.sdk.") and metric.WhichOneof("data") != "histogram":
            for point in getattr(metric, str(metric.WhichOneof("data"))).data_points:
                attributes = plain(point.attributes)
                key = metric.name, attributes["otel.component.name"], attributes.get("error.type", "")
                assert scopes.setdefault(key, received.scope) == received.scope, "counted by two"
                values[key] = point.as_int
    return values


def test_what_is_exported_and_dropped_is_counted(collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "100")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    collector.status = 400
    telemetry = c2cotel.setup()
    tracer = trace.get_tracer("app")
    tracer.start_span("refused").end()
    assert telemetry.flush(20)
    collector.status = 200
    for _ in range(3):
        tracer.start_span("taken").end()
    logging.getLogger("app").error("taken")
    assert telemetry.flush(20)
    telemetry.flush(20)
    values = latest(collector)
    processor, exporter = "batching_span_processor/0", "otlp_http_span_exporter/0"
    assert values["otel.sdk.processor.span.queue.size", processor, ""] == 0
    assert values["otel.sdk.processor.span.queue.capacity", processor, ""] == 100
    assert values["otel.sdk.processor.span.processed", processor, ""] == 4
    assert values["otel.sdk.processor.span.processed", processor, "queue_full"] == 0
    assert values["otel.sdk.exporter.span.exported", exporter, ""] == 3
    assert values["otel.sdk.exporter.span.exported", exporter, "_OTHER"] == 1


def test_spans_that_wait_for_their_trace_are_a_queue(collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_TRACES_KEEP", "error")
    telemetry = c2cotel.setup()
    with trace.get_tracer("app").start_as_current_span("root"):
        for _ in range(7):
            trace.get_tracer("app").start_span("leaf").end()
        assert telemetry.flush(20)
    values = latest(collector)
    assert values["otel.sdk.processor.span.queue.size", "c2c_traces_keep/0", ""] == 7
    assert values["otel.sdk.processor.span.processed", "c2c_traces_keep/0", "queue_full"] == 0


def test_without_the_variable_there_are_none(collector: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED")
    telemetry = c2cotel.setup()
    assert telemetry.flush(20)
    assert latest(collector) == {}

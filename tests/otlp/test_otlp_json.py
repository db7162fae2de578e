"""OTLP as JSON (`OTEL_EXPORTER_OTLP_PROTOCOL=http/json`): the same as protobuf, and as well guarded.

Against our own strict receiver: rotel takes JSON, but passes on none of its histograms' points.
"""

from __future__ import annotations

import logging
from typing import Any

import pytest
from opentelemetry import trace
from pyramid.request import Request

import c2cotel
from c2cotel import stats
from tests.apps.application import Application, view
from tests.servers.local import wait_until
from tests.servers.otlp import OtlpReceiver, plain

log = logging.getLogger("app")


@pytest.fixture(params=["none", "gzip"])
def collector(request: pytest.FixtureRequest, otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> OtlpReceiver:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", request.param)
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "otlp")
    return otlp


def hello(_: Request) -> Any:
    with stats.timer_context(["work", "part"]):
        trace.get_current_span().set_attribute("text", "ünïcode\n☂")
        log.warning("for %s", "Ada")
    raise ValueError("password=hunter2")


def test_all_three_signals_arrive(collector: OtlpReceiver) -> None:
    app = Application(configure=view(hello))
    answer = app.http.get("/hello", status=500)
    app.finish()
    assert collector.types == {"application/json"}
    spans = {received.item.name: received.item for received in collector.spans}
    server, part = spans["GET /hello"], spans["work.part"]
    assert part.parent_span_id == server.span_id
    assert server.trace_id.hex() in str(answer.headers["Server-Timing"])
    assert plain(part.attributes)["text"] == "ünïcode\n☂"
    assert {"http.server.request.duration", "work.part"} <= collector.metric_names()
    points = [
        point
        for received in collector.metrics
        if received.item.name == "http.server.request.duration"
        for point in received.item.histogram.data_points
    ]
    assert [(point.count, sum(point.bucket_counts)) for point in points] == [(1, 1)]
    (line,) = [each.item for each in collector.logs if each.scope == "app"]
    assert (line.body.string_value, line.span_id) == ("for Ada", part.span_id)
    everything = str([*collector.spans, *collector.logs])
    assert "REDACTED" in everything
    assert "hunter2" not in everything


def test_a_span_that_cannot_be_encoded_costs_itself_alone(
    collector: OtlpReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry = c2cotel.setup()
    tracer: Any = trace.get_tracer("test")
    for n in range(3):
        tracer.start_span(f"good {n}").end()
        tracer.start_span(f"odd {n}", kind="server").end()
    telemetry.flush(5)
    tracer.start_span("later").end()
    telemetry.flush(5)
    assert collector.span_names() == {"good 0": 1, "good 1": 1, "good 2": 1, "later": 1}
    assert "spans cannot be encoded and are left out" in caplog.text


def test_an_outage_is_told_once_and_nothing_that_fits_is_lost(
    collector: OtlpReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    telemetry = c2cotel.setup()
    collector.refuse()
    for n in range(3):
        trace.get_tracer("test").start_span(f"span {n}").end()
        telemetry.flush(1)
    collector.listen()
    wait_until(lambda: telemetry.flush(1) and len(collector.spans) == 3, "what was kept")
    told = [message.partition(":")[0] for message in caplog.messages if "export of traces" in message]
    assert told == ["otlp export of traces fails", "otlp export of traces works again"]

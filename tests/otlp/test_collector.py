"""What a collector of other authors makes of our OTLP: what comes out equals what went in."""

from __future__ import annotations

import logging
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from pyramid.request import Request
from pyramid.response import Response

from c2cotel import stats
from tests.apps.application import Application, view
from tests.servers.local import wait_until
from tests.servers.otlp import OtlpReceiver, Received, plain
from tests.servers.receivers import DatadogTestAgent, Rotel

pytestmark = pytest.mark.server
HARD = ("ünïcode ☂ \U0001f600", "https://example.org/a?b=c&d=é", "tab\tnewline\n", "x" * 3000, "", "0", " ")
log = logging.getLogger("hard")


@pytest.fixture(params=["gzip", "none"])
def rotel(request: pytest.FixtureRequest, tmp_path: Path, otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> Any:
    server = Rotel(tmp_path, otlp)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", request.param)
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prüfung")
    yield server
    server.close()


def hard(_: Request) -> Response:
    span = trace.get_current_span()
    for n, text in enumerate(HARD):
        span.set_attribute(f"text{n}", text)
        log.warning("line %d %s", n, text, extra={"text": text})
        with stats.timer_context(["part", "one"], tags={"text": text[:100]}):
            pass
        stats.set_gauge(["level"], -0.5 - n, tags={"n": str(n)})
        stats.increment_counter(["count"], 0.25)
    span.set_attribute("numbers", [1, -2, 2**62])
    span.set_attribute("flags", [True, False])
    span.set_attribute("ratio", -0.125)
    span.add_event("sold", {"price": 9.99, "currency": "€"})
    raise ValueError("out of stock")


def spans(received: list[Received]) -> dict[str, Any]:
    return {each.item.name: each for each in received}


def test_a_collector_passes_on_what_it_was_sent(rotel: Rotel, otlp: OtlpReceiver) -> None:
    app = Application(configure=view(hard))
    answer = app.http.get("/hello?q=1", status=500)
    app.finish()
    wait_until(lambda: otlp.spans and otlp.metric_names() >= {"part.one", "level", "count"} and otlp.logs, "all three")
    by_name = spans(otlp.spans)
    server = by_name["GET /hello"]
    assert server.resource["service.name"] == "shop"
    assert server.resource["deployment.environment.name"] == "prüfung"
    assert server.item.trace_id.hex() == answer.headers["X-Request-ID"].replace("-", "")
    attributes = plain(server.item.attributes)
    for n, text in enumerate(HARD):
        assert attributes[f"text{n}"] == text
    assert [value.int_value for value in attributes["numbers"].values] == [1, -2, 2**62]
    assert [value.bool_value for value in attributes["flags"].values] == [True, False]
    assert attributes["ratio"] == -0.125
    assert attributes["http.response.status_code"] == 500
    events = {event.name: plain(event.attributes) for event in server.item.events}
    assert events["sold"] == {"price": 9.99, "currency": "€"}
    assert events["exception"]["exception.message"] == "out of stock"
    assert server.item.status.code == 2
    children = [each.item for each in otlp.spans if each.item.name == "part.one"]
    assert len(children) == len(HARD)
    assert {child.parent_span_id for child in children} == {server.item.span_id}
    metrics = {each.item.name: each.item for each in otlp.metrics}
    assert sum(point.count for point in metrics["part.one"].histogram.data_points) == len(HARD)
    assert sorted(point.as_double for point in metrics["level"].gauge.data_points) == sorted(
        -0.5 - n for n in range(len(HARD))
    )
    assert [point.as_double for point in metrics["count"].sum.data_points] == [0.25 * len(HARD)]
    lines = [each.item for each in otlp.logs if each.scope == "hard"]
    assert sorted(line.body.string_value for line in lines) == sorted(f"line {n} {text}" for n, text in enumerate(HARD))
    assert {line.trace_id for line in lines} == {server.item.trace_id}
    assert {line.severity_text for line in lines} == {"WARN"}


def test_a_burst_arrives_whole(rotel: Rotel, otlp: OtlpReceiver) -> None:
    def quick(_: Request) -> Response:
        return Response("x")

    app = Application(configure=view(quick))
    for _ in range(1000):
        app.http.get("/hello")
    app.finish()
    wait_until(lambda: sum(otlp.span_names().values()) >= 1000, "1,000 spans", 20)
    assert otlp.span_names() == {"GET /hello": 1000}
    assert len({each.item.span_id for each in otlp.spans}) == 1000


def test_datadog_takes_all_three_signals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(DatadogTestAgent(tmp_path)) as agent:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", agent.url)
        monkeypatch.setenv("OTEL_LOGS_EXPORTER", "otlp")
        app = Application(configure=view(hard))
        app.http.get("/hello?q=1", status=500)
        app.finish()
        spans = {each["name"]: each for each in agent.items("traces", "resource_spans", "scope_spans", "spans")}
        metrics = {each["name"] for each in agent.items("metrics", "resource_metrics", "scope_metrics", "metrics")}
        lines = [each["body"] for each in agent.items("logs", "resource_logs", "scope_logs", "log_records")]
    texts = {pair["key"]: pair["value"].get("string_value", "") for pair in spans["GET /hello"]["attributes"]}
    assert [texts[f"text{n}"] for n in range(len(HARD))] == list(HARD)
    assert spans["part.one"]["parent_span_id"] == spans["GET /hello"]["span_id"]
    assert {"http.server.request.duration", "part.one", "level", "count"} <= metrics
    expected = {f"line {n} {text}" for n, text in enumerate(HARD)}
    assert expected <= {line.get("string_value") for line in lines}

"""OTLP over gRPC, with the exporter of its package, to a collector of other authors (contract, section 8)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.servers.client import Load
from tests.servers.gunicorn import Gunicorn
from tests.servers.local import HOST, free_tcp_port, wait_until
from tests.servers.otlp import OtlpReceiver, plain
from tests.servers.receivers import Rotel

pytestmark = pytest.mark.server
APPLICATION = "tests.apps.measured:numbered()"
REQUESTS = 200
ENV = {
    "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    "OTEL_LOGS_EXPORTER": "otlp",
    "OTEL_METRIC_EXPORT_INTERVAL": "200",
    "OTEL_SERVICE_NAME": "shop",
}


def lines(otlp: OtlpReceiver) -> list[Any]:
    return [each.item for each in otlp.logs if each.item.body.string_value == "answering"]


@pytest.mark.parametrize("preload", [False, True], ids=["", "preload"])
def test_each_span_count_and_line_of_two_workers_arrives_once(
    gunicorn: Callable[..., Gunicorn], otlp: OtlpReceiver, tmp_path: Path, preload: bool
) -> None:
    collector = Rotel(tmp_path, otlp)
    try:
        server = gunicorn(APPLICATION, preload=preload, env={**ENV, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.grpc_url})
        server.wait_ready()
        load = Load(lambda number: f"{server.url}/n/{number}", range(REQUESTS)).start().join()
        server.terminate()
        assert len(load.answers) == REQUESTS
        expected = {f"GET /n/{number}": 1 for number in range(REQUESTS)}
        wait_until(lambda: otlp.span_names().items() >= expected.items(), server.output()[-3000:])
        wait_until(lambda: len(lines(otlp)) >= REQUESTS, "the lines")
    finally:
        collector.close()
    spans = [each for each in otlp.spans if each.item.name.startswith("GET /n/")]
    answered = Counter(int(answer.body) for answer in load.answers.values())
    assert Counter(int(plain(each.item.attributes)["test.pid"]) for each in spans) == answered
    assert {each.resource["service.name"] for each in spans} == {"shop"}
    assert len({each.instance for each in spans}) == len(answered) == 2
    assert Counter(line.trace_id for line in lines(otlp)) == Counter(each.item.trace_id for each in spans)
    counted = {
        plain(point.attributes)["http.route"]: point.count
        for each in otlp.metrics
        if each.item.name == "http.server.request.duration"
        for point in each.item.histogram.data_points
    }
    assert {route: count for route, count in counted.items() if route.startswith("/n/")} == {
        f"/n/{number}": 1 for number in range(REQUESTS)
    }


def test_a_collector_that_is_away_is_told_once_and_delays_no_end(gunicorn: Callable[..., Gunicorn]) -> None:
    url = f"http://{HOST}:{free_tcp_port()}"
    server = gunicorn(APPLICATION, env={**ENV, "OTEL_EXPORTER_OTLP_ENDPOINT": url}, workers=1)
    server.wait_ready()
    Load(lambda number: f"{server.url}/n/{number}", range(50)).start().join()

    def told() -> list[dict[str, Any]]:
        return [event for event in server.events() if "export of" in event["msg"]]

    wait_until(lambda: len(told()) == 3, "each signal", 30)
    assert server.terminate() < 10
    assert len({event["msg"] for event in told()}) == len(told()) == 3, told()
    assert not any("no reason given" in event["msg"] for event in told()), told()
    assert [event for event in server.events() if event["logger_name"].startswith("opentelemetry")] == []

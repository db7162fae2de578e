"""`/metrics`: the sum over all processes of the host, for Prometheus (contract, section 17)."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pyramid.request import Request
from pyramid.response import Response

from c2cotel import stats
from tests.apps.application import Application, view
from tests.servers.client import Load, get
from tests.servers.gunicorn import Gunicorn
from tests.servers.local import wait_until
from tests.servers.otlp import OtlpReceiver

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parsed(text: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    """The sum of the samples of a name that have these labels."""
    return sum(
        number for (each, its), number in samples.items() if each == name and labels.items() <= dict(its).items()
    )


@pytest.fixture
def scraped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_BASE_PATH", "/c2c")
    monkeypatch.setenv("C2C_METRICS_VIEW_ENABLED", "1")


def hello(_: Request) -> Response:
    with stats.timer_context(["part", "one"], tags={"kind": "a"}):
        pass
    stats.set_gauge(["level"], 2.5)
    stats.increment_counter(["sold"], 3)
    return Response("x")


@pytest.mark.usefixtures("scraped")
def test_names_units_and_values_are_prometheus() -> None:
    app = Application(configure=view(hello))
    for _ in range(3):
        app.http.get("/hello")
    answer = app.http.get("/c2c/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    samples = parsed(answer.text)
    name = "http_server_request_duration_seconds"
    assert value(samples, f"{name}_count", http_route="/hello", http_response_status_code="200") == 3
    assert value(samples, f"{name}_bucket", http_route="/hello", le="+Inf") == 3
    assert value(samples, "part_one_seconds_count", kind="a") == 3
    assert value(samples, "level") == 2.5
    assert value(samples, "sold_total") == 9
    assert value(samples, "process_memory_usage_bytes") > 2**20
    assert value(samples, "process_cpu_time_seconds_total") > 0


@pytest.mark.usefixtures("scraped")
def test_openmetrics_is_given_to_who_asks_for_it() -> None:
    app = Application(configure=view(hello))
    app.http.get("/hello")
    answer = app.http.get("/c2c/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


@pytest.mark.usefixtures("scraped")
def test_odd_names_and_labels_fit() -> None:
    def odd(_: Request) -> Response:
        stats.increment_counter(["1", "ünï", "a b"], tags={"a.b": 'x\ny"z\\', "a_b": "2", "1": "é"})
        stats.set_gauge(["same"], 1)
        stats.increment_counter(["same"])
        return Response("x")

    app = Application(configure=view(odd))
    app.http.get("/hello")
    samples = parsed(app.http.get("/c2c/metrics").text)
    assert value(samples, "_1_n_a_b_total", a_b='x\ny"z\\;2', _1="é") == 1
    assert value(samples, "same_total") == 1


def test_it_is_off_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C2C_BASE_PATH", "/c2c")
    app = Application(configure=view(hello))
    app.http.get("/c2c/metrics", status=404)
    assert app.telemetry.shared_metrics is None


@pytest.fixture
def serve(gunicorn: Callable[..., Gunicorn], tmp_path: Path) -> Callable[..., Gunicorn]:
    def start(**options: Any) -> Gunicorn:
        env = {
            "C2C_BASE_PATH": "/c2c",
            "C2C_METRICS_VIEW_ENABLED": "1",
            "C2C_STATE_DIR": str(tmp_path / "state"),
        }
        server = gunicorn("tests.apps.recorded:application()", env=env, **options)
        server.wait_ready("/hello")
        return server

    return start


def scrape(server: Gunicorn) -> Samples:
    answer = get(f"{server.url}/c2c/metrics")
    assert answer is not None
    return parsed(answer.body.decode())


def count(server: Gunicorn) -> float:
    return value(scrape(server), "http_server_request_duration_seconds_count", http_route="/hello")


@pytest.mark.server
def test_the_sum_is_that_of_the_clients_over_all_workers(serve: Callable[..., Gunicorn]) -> None:
    server = serve(workers=4)
    before = count(server)
    Load(lambda _: f"{server.url}/hello", range(400)).start().join()
    assert count(server) == before + 400


@pytest.mark.server
def test_no_counter_falls_over_recycling_and_kills(serve: Callable[..., Gunicorn]) -> None:
    server = serve(workers=3, max_requests=40)
    load = Load(lambda _: f"{server.url}/hello", range(400)).start()
    counts = []
    for n in range(12):
        counts.append(count(server))
        if n == 5:
            os.kill(min(server.children()), signal.SIGKILL)
        time.sleep(0.1)
    load.join()
    counts.append(count(server))
    assert counts == sorted(counts)
    assert counts[-1] >= len(load.answers) - 100


@pytest.mark.server
def test_recycled_workers_count_to_the_last(serve: Callable[..., Gunicorn]) -> None:
    server = serve(workers=2, max_requests=30)
    before = count(server)
    load = Load(lambda _: f"{server.url}/hello", range(300)).start().join()
    wait_until(lambda: count(server) >= before + len(load.answers), "all requests")
    assert count(server) == before + len(load.answers)


@pytest.mark.usefixtures("scraped")
def test_exemplars_point_at_exported_traces(otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    app = Application(configure=view(hello))
    answer = app.http.get("/hello")
    shared = app.telemetry.shared_metrics
    assert shared is not None
    shared.publish()  # what was seen stays for the scrapes to come
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    text = app.http.get("/c2c/metrics", headers=accept).text
    trace_id = answer.headers["X-Request-ID"].replace("-", "")
    (line,) = [
        line
        for line in text.splitlines()
        if trace_id in line and line.startswith("http_server_request_duration_seconds_bucket")
    ]
    assert f'trace_id="{trace_id}"' in line.partition(" # ")[2]
    assert "# {" not in app.http.get("/c2c/metrics").text

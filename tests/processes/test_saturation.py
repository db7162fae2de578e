"""How busy a worker is, as OpenTelemetry's receivers see it (contract, section 15)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from tests.servers.client import get
from tests.servers.gunicorn import Gunicorn
from tests.servers.local import wait_until
from tests.servers.otlp import OtlpReceiver, plain

APPLICATION = "tests.apps.recorded:application()"

Start = Callable[..., Gunicorn]


@pytest.fixture
def start(gunicorn: Start, otlp: OtlpReceiver) -> Start:
    def make(**options: Any) -> Gunicorn:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": otlp.url, "OTEL_METRIC_EXPORT_INTERVAL": "200"}
        server = gunicorn(APPLICATION, env=env, workers=1, **options)
        server.wait_ready("/hello")
        return server

    return make


def values(metric: Metric | None) -> dict[str, float]:
    """The value of each point, by the text of its attributes."""
    if metric is None:
        return {}
    points = metric.gauge.data_points or metric.sum.data_points
    return {",".join(map(str, plain(point.attributes).values())): point.as_double or point.as_int for point in points}


def busy(server: Gunicorn, n: int) -> list[threading.Thread]:
    threads = [threading.Thread(target=get, args=(f"{server.url}/slow?n={i}&seconds=3",)) for i in range(n)]
    for thread in threads:
        thread.start()
    return threads


@pytest.mark.parametrize("preload", [False, True], ids=["", "preload"])
def test_threads_and_requests_of_a_worker(start: Start, otlp: OtlpReceiver, preload: bool) -> None:
    server = start(threads=4, preload=preload)
    threads = busy(server, 3)
    wait_until(lambda: values(otlp.saturation.get("c2c.server.threads")) == {"busy": 3, "idle": 1}, "3 busy threads")
    assert values(otlp.saturation["http.server.active_requests"]) == {"": 3}
    for thread in threads:
        thread.join()
    wait_until(lambda: values(otlp.saturation["http.server.active_requests"]) == {"": 0}, "an idle worker")


def test_connections_that_nobody_accepts_are_the_backlog(start: Start, otlp: OtlpReceiver) -> None:
    server = start(threads=1, worker_class="sync")
    threads = busy(server, 4)
    wait_until(lambda: values(otlp.saturation.get("c2c.server.backlog")) == {"": 3}, "3 waiting connections")
    for thread in threads:
        thread.join()


def test_memory_and_cpu_time_are_those_of_the_worker(start: Start, otlp: OtlpReceiver) -> None:
    server = start()
    wait_until(lambda: "process.cpu.time" in otlp.saturation, "the gauges")
    assert values(otlp.saturation["process.memory.usage"])[""] > 10 * 2**20
    assert values(otlp.saturation["process.cpu.time"])["user"] > 0.05
    assert otlp.saturation["process.cpu.time"].sum.is_monotonic
    assert get(f"{server.url}/hello") is not None


def test_statsd_gets_none_of_it(gunicorn: Start, udp_listener: Any) -> None:
    server = gunicorn(APPLICATION, env={"STATSD_ADDRESS": udp_listener.address}, workers=1)
    server.wait_ready("/hello")
    server.terminate()
    udp_listener.settle()
    assert {name.partition(".")[0] for name in udp_listener.counts()} <= {"route", "render"}

"""The exporters' own requests are never measured, or each export would cause the next."""

from __future__ import annotations

import time

import pytest
import requests

from tests.apps.faults import call, hello
from tests.servers.otlp import OtlpReceiver
from tests.servers.udp import UdpListener


def test_exports_leave_no_span_no_timer_and_no_line(
    udp_listener: UdpListener, otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exporters send by `requests`, and so does the application, whose one request is measured."""
    monkeypatch.setenv("STATSD_ADDRESS", udp_listener.address)
    monkeypatch.setenv("STATSD_FLUSH_INTERVAL", "0.02")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "20")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    app = hello()
    for _ in range(20):
        call(app)
        time.sleep(0.03)
    assert requests.get(f"{otlp.url}/of-the-application", timeout=5).ok
    time.sleep(0.3)
    assert otlp.requests["/v1/traces"] > 5
    assert otlp.requests["/v1/metrics"] > 5
    assert otlp.span_names() == {"GET /hello": 20, "render json": 20, "GET": 1}
    assert udp_listener.counts() == {
        "route.GET.hello.200": 20,
        "render.GET.hello.200": 20,
        f"requests.http.127_0_0_1.{otlp.port}.GET.200": 1,
    }
    counted = {point.count for received in otlp.metrics for point in received.item.histogram.data_points}
    assert max(counted) == 20
    assert "http.client.request.duration" in otlp.metric_names()

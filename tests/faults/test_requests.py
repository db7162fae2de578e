"""What a server of ours that does not work costs a request: nothing that could be measured here."""

from __future__ import annotations

import time

import pytest

import c2cotel
from tests.apps.faults import call, hello

REQUESTS = 200


def _seconds_for_requests() -> float:
    app = hello()
    call(app)
    start = time.monotonic()
    call(app, times=REQUESTS)
    return time.monotonic() - start


def test_requests_are_answered_as_fast_as_without_telemetry(
    fault: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    without = _seconds_for_requests()
    c2cotel.setup().close()
    busy = {"STATSD_FLUSH_INTERVAL": "0.02", "OTEL_BSP_SCHEDULE_DELAY": "20", "OTEL_METRIC_EXPORT_INTERVAL": "20"}
    for name, value in {**fault, **busy, "OTEL_EXPORTER_OTLP_TIMEOUT": "0.2"}.items():
        monkeypatch.setenv(name, value)
    assert _seconds_for_requests() < 5 * without + 1

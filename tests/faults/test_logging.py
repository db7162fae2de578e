"""An outage is one line in the log, its end another, however long it takes and whoever fails."""

from __future__ import annotations

import logging
import time
from collections import Counter
from contextlib import closing

import pytest

import c2cotel
from tests.apps.faults import call, hello
from tests.servers.otlp import OtlpReceiver
from tests.servers.udp import UdpListener

INTERVALS = {
    "STATSD_FLUSH_INTERVAL": "0.02",
    "OTEL_METRIC_EXPORT_INTERVAL": "20",
    "OTEL_BSP_SCHEDULE_DELAY": "20",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "0.05",
}
CHANNELS = ["otlp export of metrics", "otlp export of traces"]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


@pytest.fixture
def set_env(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in INTERVALS.items():
        monkeypatch.setenv(name, value)


def _serve(app: object, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        call(app)
        time.sleep(0.01)


def _messages(log: pytest.LogCaptureFixture, *levels: int) -> list[str]:
    return [record.getMessage() for record in list(log.records) if record.levelno in levels]


@pytest.mark.usefixtures("set_env")
def test_servers_that_never_work_are_told_once_each(
    fault: dict[str, str], monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    for name, value in fault.items():
        monkeypatch.setenv(name, value)
    app = hello()
    deadline = time.monotonic() + 15
    while len(_messages(log, logging.WARNING)) < 2 and time.monotonic() < deadline:  # a name server may take its time
        _serve(app, 0.1)
    _serve(app, 1)
    c2cotel.setup().close()
    told = _messages(log, logging.WARNING, logging.ERROR, logging.CRITICAL)
    kinds = Counter(message.split(" ")[0] for message in told)
    assert kinds.pop("StatsD", 1) == 1, told
    assert kinds == {"otlp": 2}, told
    assert sorted(message.partition(" fails: ")[0] for message in told if message.startswith("otlp")) == CHANNELS
    assert _messages(log, logging.INFO) == []


@pytest.mark.usefixtures("set_env")
@pytest.mark.parametrize("way", ["dead", "refusing", "slow"])
def test_a_collector_that_fails_and_comes_back_is_told_twice(
    way: str, otlp: OtlpReceiver, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.url)
    app = hello()
    _serve(app, 0.3)
    assert _messages(log, logging.WARNING, logging.ERROR, logging.INFO) == []
    for times in (1, 2) if way == "dead" else (1,):
        if way == "dead":
            otlp.refuse()
        otlp.status, otlp.delay = (503 if way == "refusing" else 200), (0.5 if way == "slow" else 0)
        _serve(app, 0.8)
        told = _messages(log, logging.WARNING, logging.ERROR)
        assert Counter(message.partition(" fails: ")[0] for message in told) == dict.fromkeys(CHANNELS, times), told
        if way == "dead":
            otlp.listen()
        otlp.status, otlp.delay = 200, 0
        before = len(otlp.spans)
        _serve(app, 0.8)
        assert len(otlp.spans) > before
        assert sorted(_messages(log, logging.INFO)) == sorted(f"{name} works again" for name in CHANNELS * times)


@pytest.mark.usefixtures("set_env")
def test_a_statsd_server_that_dies_and_comes_back_is_told_twice(
    monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    with closing(UdpListener()) as listener:
        monkeypatch.setenv("STATSD_ADDRESS", listener.address)
        app = hello()
        _serve(app, 0.3)
        assert listener.counts("route.")
    for times in (1, 2):
        _serve(app, 0.7)
        assert len(_messages(log, logging.WARNING, logging.ERROR)) == times
        with closing(UdpListener(listener.port)) as again:
            _serve(app, 0.3)
            call(app, times=50)
            again.wait_for("route.", 50)
        assert len(_messages(log, logging.INFO)) == times

"""The reader: its own pace, series that fill, failures, forks, the end."""

import logging
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from opentelemetry.exporter.statsd import (
    StatsdEnvironmentMetricReader,
    StatsdMetricExporter,
    StatsdMetricReader,
)
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider

NEVER = 3600.0


class Read:
    """A provider with the reader."""

    def __init__(self, endpoint: str, interval: float, **options: Any) -> None:
        self.exporter = StatsdMetricExporter(endpoint, **options)
        self.reader = StatsdMetricReader(self.exporter, interval=interval)
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.meter = self.provider.get_meter("test")


@pytest.fixture
def read(server: Any) -> Iterator[Callable[..., Read]]:
    made: list[Read] = []

    def make(interval: float = NEVER, **options: Any) -> Read:
        made.append(Read(server.endpoint, interval, **options))
        return made[-1]

    yield make
    for each in made:
        each.reader.shutdown()


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_it_sends_at_each_interval_by_itself(read: Any, server: Any) -> None:
    counter = read(interval=0.02).meter.create_counter("c")
    for number in (1, 2):
        counter.add(number)
        assert server.lines(wait=20) == [f"c:{number}|c"]


def test_a_series_that_fills_is_sent_before_its_time(read: Any, server: Any) -> None:
    app = read()
    app.reader._exporter._raw.limit = 1000
    histogram = app.meter.create_histogram("h", unit="ms")
    got: list[str] = []
    for number in range(20):
        for _ in range(501):
            histogram.record(number)
        wait_for(lambda: app.reader._requests.empty() and not app.reader._outbox.unsent())
        got += server.lines(wait=0.2)
    assert got, "long before the hour of the interval"
    app.reader.force_flush()
    got += server.lines()
    assert len(got) == 20 * 501
    assert app.reader._exporter.dropped == 0


def test_a_flush_waits_for_all_that_was_measured_before_it(read: Any, server: Any) -> None:
    app = read()
    app.meter.create_counter("c").add(1)
    assert app.reader.force_flush()
    assert server.lines() == ["c:1|c"]


def test_whoever_collects_the_thread_sends(read: Any, server: Any) -> None:
    app = read()
    app.meter.create_counter("c").add(1)
    app.reader.collect()
    assert server.lines(wait=20) == ["c:1|c"]


def interruption(error: BaseException) -> Callable[[CallbackOptions], Iterator[Observation]]:
    def callback(_: CallbackOptions) -> Iterator[Observation]:
        yield Observation(1)
        raise error

    return callback


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_an_interrupt_in_a_callback_ends_no_thread(
    read: Any, server: Any, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    app = read()
    app.meter.create_observable_counter("bad", callbacks=[interruption(error)])
    counter = app.meter.create_counter("c")
    for _ in range(3):
        counter.add(1)
        assert app.reader.force_flush()
        assert "c:1|c" in server.lines()
    assert caplog.text.count(f"{type(error).__name__}") == 1
    assert caplog.text.count("(logged once)") == 1


class Deadly(logging.Filter):
    """What no guard of a thread survives: logging the error raises as well."""

    def filter(self, record: logging.LogRecord) -> bool:
        raise SystemExit


@pytest.mark.parametrize("killed", ["collector", "sender"])
def test_a_thread_that_died_is_started_again(
    server: Any, killed: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = Read(server.endpoint, NEVER)
    counter = app.meter.create_counter("c")
    worker = getattr(app.reader, f"_{killed}")
    thread = worker._thread
    logger, deadly = logging.getLogger("opentelemetry.exporter.statsd"), Deadly()
    with monkeypatch.context() as patch:
        if killed == "collector":
            patch.setattr(app.reader, "_collect", lambda *_, **__: sys.exit())
        else:
            patch.setattr(app.exporter, "export", lambda *_, **__: sys.exit())
        logger.addFilter(deadly)
        try:
            counter.add(1)
            app.reader.force_flush(timeout_millis=1)
            thread.join(20)
        finally:
            logger.removeFilter(deadly)
        assert not thread.is_alive()
    counter.add(1)
    assert app.reader.force_flush()
    assert server.lines()[-1].startswith("c:")
    assert caplog.text.count("died and is started again (logged once)") == 1
    app.reader.shutdown()


def test_a_collection_that_fails_is_logged_once(
    read: Any, server: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = read()
    app.meter.create_counter("c").add(1)
    with monkeypatch.context() as patch:
        patch.setattr(app.reader, "_collect", lambda *_, **__: 1 / 0)
        assert app.reader.force_flush()
        assert app.reader.force_flush()
    assert caplog.text.count("ZeroDivisionError: ") == 1
    assert app.reader.force_flush()
    assert server.lines() == ["c:1|c"]


def test_a_signal_handler_may_record_while_series_fill(read: Any) -> None:
    app = read()
    app.reader._exporter._raw.limit = 20
    histogram = app.meter.create_histogram("h", unit="ms")
    before = signal.signal(signal.SIGUSR1, lambda *_: histogram.record(1))
    try:
        for _ in range(300):
            signal.raise_signal(signal.SIGUSR1)
            histogram.record(2)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert app.reader.force_flush()


def test_it_sends_what_is_left_at_its_end_once(read: Any, server: Any) -> None:
    app = read()
    app.meter.create_counter("c").add(1)
    app.provider.shutdown()
    app.reader.shutdown()
    app.meter.create_counter("c").add(1)
    assert not app.reader.force_flush()
    assert server.lines() == ["c:1|c"]
    assert app.reader._sender.join(0)


def test_a_name_server_that_does_not_answer_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opentelemetry.exporter.statsd._reader.SHUTDOWN_PATIENCE", 0.05)
    answered = threading.Event()
    asked: list[str] = []

    def resolver(*_: Any, **__: Any) -> Any:
        asked.append(threading.current_thread().name)
        assert answered.wait(20)
        raise OSError("no name server")

    monkeypatch.setattr("socket.getaddrinfo", resolver)
    app = Read("tcp://statsd.invalid", NEVER)
    app.meter.create_counter("c").add(1)
    app.provider.shutdown()
    assert not app.reader._sender.join(0), "nobody waits for it"
    answered.set()
    assert app.reader._sender.join(20)
    assert app.reader._exporter.dropped == 1


def in_child(work: Callable[[], object]) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


def ended_well(child: int) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return status == 0
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def test_what_was_measured_before_forks_is_sent_once_and_by_the_parent(read: Any, server: Any) -> None:
    app = read()
    counter, histogram = app.meter.create_counter("c"), app.meter.create_histogram("h", unit="ms")
    counter.add(100)
    histogram.record(5)

    def work(number: int) -> None:
        counter.add(number)
        assert app.reader.force_flush()

    assert all(ended_well(in_child(partial(work, number))) for number in (1, 2, 3))
    app.reader.force_flush()
    lines = server.lines()
    assert sorted(lines) == ["c:100|c", "c:1|c", "c:2|c", "c:3|c", "h:5|ms"]


def test_what_was_observed_before_forks_is_sent_once_and_by_the_parent(read: Any, server: Any) -> None:
    app = read()
    observed = 100
    app.meter.create_observable_counter("c", callbacks=[lambda _: [Observation(observed)]])

    def work(number: int) -> None:
        nonlocal observed
        observed += number
        assert app.reader.force_flush()

    assert all(ended_well(in_child(partial(work, number))) for number in (1, 2, 3))
    app.reader.force_flush()
    assert sorted(server.lines()) == ["c:100|c", "c:1|c", "c:2|c", "c:3|c"]


def test_a_child_forked_in_the_middle_of_a_collection_sends(read: Any, server: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("opentelemetry.exporter.statsd._reader.FORK_PATIENCE", 0.05)
    app = read()
    inside, go_on = threading.Event(), threading.Event()
    parent = os.getpid()

    def slow(_: CallbackOptions) -> Iterator[Observation]:
        if os.getpid() == parent:
            inside.set()
            go_on.wait(20)
        yield Observation(1)

    app.meter.create_observable_gauge("g", callbacks=[slow])
    counter = app.meter.create_counter("c")
    flush = threading.Thread(target=app.reader.force_flush)
    flush.start()
    inside.wait(20)

    def work() -> None:
        counter.add(7)
        assert not app.reader._sender.join(0)

    child = in_child(work)
    go_on.set()
    flush.join()
    assert ended_well(child)
    assert server.lines() == ["g:1|g"]


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "a second"])
def test_an_interval_that_cannot_be_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", value)
    with pytest.raises(ValueError, match=f"OTEL_METRIC_EXPORT_INTERVAL='{value}': expected milliseconds"):
        StatsdEnvironmentMetricReader()
    with pytest.raises(ValueError, match="expected seconds above 0"):
        StatsdMetricReader(StatsdMetricExporter(), interval=0)


@pytest.mark.parametrize("interval", [math.inf, 1e300])
def test_a_reader_whose_interval_never_ends_sends_at_the_end(read: Any, server: Any, interval: float) -> None:
    app = read(interval=interval)
    app.meter.create_counter("c").add(1)
    app.provider.shutdown()
    assert server.lines() == ["c:1|c"]


def test_the_environment_makes_the_reader(monkeypatch: pytest.MonkeyPatch, server: Any) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_STATSD_ENDPOINT", server.endpoint)
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "20")
    reader = StatsdEnvironmentMetricReader(prefix="p")
    provider = MeterProvider([reader], shutdown_on_exit=False)
    provider.get_meter("m").create_counter("c").add(1)
    assert server.lines(wait=20) == ["p.c:1|c"]
    provider.shutdown()


def test_a_closed_server_is_logged_once(read: Any, server: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "opentelemetry.exporter.statsd")
    app = read()
    server.close()
    counter = app.meter.create_counter("c")
    for _ in range(5):
        counter.add(1)
        app.reader.force_flush()
    assert [record.levelname for record in caplog.records] == ["WARNING"]


AT_EXIT = """
import os, sys
from opentelemetry import metrics
from opentelemetry.sdk._configuration import _OTelSDKConfigurator

_OTelSDKConfigurator().configure()
counter = metrics.get_meter("m").create_counter("c")
counter.add(1)
child = os.fork()
counter.add(10 if child else 100)
if child:
    os.waitpid(child, 0)
sys.exit(0)
"""


def run_to_its_end(endpoint: str) -> float:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    chosen = {"OTEL_METRICS_EXPORTER": "statsd", "OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    env = {**clean, **chosen, "OTEL_EXPORTER_STATSD_ENDPOINT": endpoint, "OTEL_METRIC_EXPORT_INTERVAL": "3600000"}
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", AT_EXIT], env=env, check=True, timeout=60)
    return time.monotonic() - start


def test_processes_that_end_and_were_forked_send_each_its_own_once(server: Any) -> None:
    run_to_its_end(server.endpoint)
    lines = server.lines()
    assert "c:100|c" in lines, "of the child"
    assert sorted(lines) in (["c:100|c", "c:10|c", "c:1|c"], ["c:100|c", "c:11|c"])


@pytest.mark.parametrize("endpoint", ["127.0.0.1:9", "tcp://127.0.0.1:9", "unix:///nowhere/statsd", "no.such.invalid"])
def test_a_server_that_is_away_does_not_keep_a_process_from_its_end(endpoint: str) -> None:
    assert run_to_its_end(endpoint) < 20

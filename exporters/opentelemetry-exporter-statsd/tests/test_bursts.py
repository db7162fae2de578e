"""Bursts: more measurements in a moment than a series keeps."""

import gc
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from opentelemetry.exporter.statsd import RawSampleAggregation, StatsdMetricExporter, StatsdMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider

COUNTS_LINES = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_000_000)
    server.bind(("127.0.0.1", 0))
    print(server.getsockname()[1], flush=True)
    lines = 0
    while (datagram := server.recv(65_536)) != b"end":
        lines += datagram.count(b"|ms")
    print(lines)
"""


class Counting:
    """A process that counts the lines it gets over UDP, as fast as a server does."""

    def __init__(self) -> None:
        self._process = subprocess.Popen([sys.executable, "-c", COUNTS_LINES], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def end(self) -> int:
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender:
            sender.sendto(b"end", ("127.0.0.1", self.port))
        return int(self._process.communicate(timeout=60)[0])


@pytest.fixture
def counting() -> Iterator[Counting]:
    made = Counting()
    yield made
    made._process.kill()
    made._process.communicate()


class Burst:
    """A provider that sends to a port, and threads that record as fast as they can."""

    def __init__(self, port: int) -> None:
        self.exporter = StatsdMetricExporter(f"127.0.0.1:{port}")
        self.reader = StatsdMetricReader(self.exporter)
        self.meter = MeterProvider([self.reader], shutdown_on_exit=False).get_meter("m")
        self.histogram = self.meter.create_histogram("h", unit="ms")

    def record(self, count: int, *, threads: int, series: int) -> None:
        attributes = [{"series": number} for number in range(series)]

        def work() -> None:
            for number in range(count // threads):
                self.histogram.record(number, attributes[number % series])

        running = [threading.Thread(target=work) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()

    def flush(self) -> None:
        assert self.reader.force_flush(60_000)
        self.reader.shutdown()


@pytest.mark.parametrize(
    ("count", "threads", "series"), [(100_000, 1, 1), (100_000, 8, 1), (1_000_000, 1, 10), (1_000_000, 8, 10)]
)
def test_a_burst_loses_nothing(counting: Counting, count: int, threads: int, series: int) -> None:
    burst = Burst(counting.port)
    burst.record(count, threads=threads, series=series)
    burst.flush()
    assert burst.exporter.dropped == 0
    assert counting.end() == count


class Stuck:
    """A transport that takes nothing until it may."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()
        self.lines = 0

    def send(self, datagrams: Any) -> bool:
        self.may_go_on.wait(60)
        self.lines += sum(datagram.count(b"\n") + 1 for datagram in datagrams)
        return True

    def close(self) -> None:
        """Nothing to close."""


def test_a_stuck_network_costs_bounded_memory(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("opentelemetry.exporter.statsd._outbox.ROOM", 1000)
    monkeypatch.setattr("opentelemetry.exporter.statsd._samples.PATIENCE", 0.05)
    transport = Stuck()
    exporter = StatsdMetricExporter(transport=transport)
    exporter._raw.limit = 100
    reader = StatsdMetricReader(exporter)
    histogram = MeterProvider([reader], shutdown_on_exit=False).get_meter("m").create_histogram("h", unit="ms")
    for number in range(100_000):
        histogram.record(number)
    assert reader._outbox._measurements <= 1000 + 100
    transport.may_go_on.set()
    assert reader.force_flush(60_000)
    assert transport.lines + exporter.dropped == 100_000
    assert exporter.dropped > 90_000
    assert caplog.text.count("were dropped (logged once)") == 1
    reader.shutdown()


def test_full_series_wait_for_one_patience_all_together() -> None:
    raw = RawSampleAggregation(limit=1)
    raw.on_filling = lambda: True
    start = time.monotonic()
    assert not raw.wait_for_room([1])
    for _ in range(100):
        assert not raw.wait_for_room([1]), "there was no collection in between"
    assert time.monotonic() - start < 50
    raw.room_was_made()
    assert raw.wait_for_room([])


def test_who_cannot_be_collected_in_time_does_not_wait() -> None:
    raw = RawSampleAggregation(limit=1)
    assert not raw.wait_for_room([1])
    assert raw._give_up_at is None


def test_after_the_end_nobody_waits_for_room(counting: Counting) -> None:
    burst = Burst(counting.port)
    burst.exporter._raw.limit = 10
    burst.flush()
    burst.record(100, threads=1, series=1)
    assert burst.exporter._raw._give_up_at is None


def test_signal_handlers_and_gc_callbacks_record_in_a_burst(counting: Counting) -> None:
    burst = Burst(counting.port)
    burst.exporter._raw.limit = 100
    burst.histogram.record(0)
    recorded = 1

    def more(*_: Any) -> None:
        nonlocal recorded
        recorded += 1
        burst.histogram.record(recorded)

    before, threshold = signal.signal(signal.SIGALRM, more), gc.get_threshold()
    gc.callbacks.append(more)
    gc.set_threshold(50)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        for _ in range(20_000):
            burst.histogram.record(1)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.callbacks.remove(more)
        gc.set_threshold(*threshold)
    burst.flush()
    assert counting.end() + burst.exporter.dropped == 20_000 + recorded


def test_a_callback_that_fills_a_series_does_not_wait_for_itself(counting: Counting) -> None:
    burst = Burst(counting.port)
    burst.exporter._raw.limit = 10

    def callback(_: CallbackOptions) -> Iterator[Observation]:
        for number in range(100):
            burst.histogram.record(number)
        yield Observation(1)

    burst.meter.create_observable_gauge("g", callbacks=[callback])
    burst.flush()
    assert counting.end() > 0
    assert burst.exporter.dropped >= 90

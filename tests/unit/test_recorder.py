"""The queue between call sites and readers."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from types import FrameType

import pytest

from c2cotel.metrics.instruments import KEY, ROUTE, ROUTE_NAME, USER_COUNTER, USER_TIMER
from c2cotel.metrics.recorder import Recorder, Series
from c2cotel.metrics.samples import SampleSink


class Keep:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.values: dict[Series, list[float]] = {}

    def fold(self, series: Series, values: Sequence[float]) -> None:
        self.values.setdefault(series, []).extend(values)

    def reset(self) -> None:
        self.values.clear()


@pytest.fixture
def keep() -> Keep:
    return Keep()


def recorder_with(keep: Keep, max_series: int = 2000) -> Recorder:
    recorder = Recorder(max_series)
    recorder.add(keep)
    return recorder


def test_equal_attributes_are_one_series_in_any_order(keep: Keep) -> None:
    recorder = recorder_with(keep)
    assert recorder.series(ROUTE, {"a": 1, "b": 2}) is recorder.series(ROUTE, {"b": 2, "a": 1})
    assert recorder.series(ROUTE, {"a": 1}) is not recorder.series(USER_TIMER, {"a": 1})


def test_each_value_reaches_the_sink_once_and_in_order(keep: Keep) -> None:
    recorder = recorder_with(keep)
    series = recorder.series(ROUTE, {"a": 1})
    for value in range(10):
        series.record(value)
    recorder.drain()
    recorder.drain()
    assert keep.values == {series: list(range(10))}


def test_threads_that_record_while_others_drain_lose_nothing(keep: Keep) -> None:
    recorder = recorder_with(keep)
    series = [recorder.series(ROUTE, {"a": n}) for n in range(8)]
    done = threading.Event()

    def record(mine: Series) -> None:
        for value in range(20_000):
            mine.record(value)

    def drain() -> None:
        while not done.is_set():
            recorder.drain()

    drainers = [threading.Thread(target=drain) for _ in range(2)]
    writers = [threading.Thread(target=record, args=(mine,)) for mine in series]
    for thread in (*drainers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in drainers:
        thread.join()
    recorder.drain()
    assert [keep.values[mine] for mine in series] == [list(range(20_000))] * 8


def test_a_signal_handler_may_record_while_the_same_thread_drains(keep: Keep) -> None:
    recorder = recorder_with(keep)
    series = recorder.series(ROUTE, {"a": 1})
    seen = 0

    def handler(_: int, __: FrameType | None) -> None:
        nonlocal seen
        seen += 1
        series.record(-1)

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        while seen < 100:
            series.record(1)
            recorder.drain()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    recorder.drain()
    assert keep.values[series].count(-1) == seen


def test_a_long_queue_asks_to_be_drained(keep: Keep) -> None:
    asked = []
    recorder = Recorder(wake=lambda: asked.append(1))
    series = recorder.series(ROUTE, {"a": 1})
    for _ in range(5_000):
        series.record(1)
    assert asked == []
    series.record(1)
    assert asked == [1]


def test_a_child_process_starts_from_nothing(keep: Keep) -> None:
    recorder = recorder_with(keep)
    series = recorder.series(ROUTE, {"a": 1})
    series.record(1)
    recorder.drain()
    series.record(2)
    recorder.reset_after_fork()
    recorder.drain()
    assert keep.values == {}


def test_a_sink_that_fails_is_told_once_and_stops_no_other(keep: Keep, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Keep):
        def fold(self, series: Series, values: Sequence[float]) -> None:
            raise RuntimeError("broken sink")

    recorder = Recorder()
    recorder.add(Broken())
    recorder.add(keep)
    series = recorder.series(ROUTE, {"a": 1})
    for _ in range(3):
        series.record(1)
        recorder.drain()
    assert keep.values == {series: [1, 1, 1]}
    assert caplog.text.count("logged once") == 1


def test_beyond_the_cap_all_share_one_series_and_none_is_remembered(
    keep: Keep, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = recorder_with(keep, max_series=2)
    own = [recorder.series(ROUTE, {ROUTE_NAME: str(n)}) for n in range(2)]
    rest = {recorder.series(ROUTE, {ROUTE_NAME: str(n)}) for n in range(2, 50)}
    assert [series.overflow for series in own] == [False, False]
    (overflow,) = rest
    assert overflow.overflow
    assert overflow.attributes[KEY] == ("route", "_overflow")
    assert caplog.text.count("STATSD_MAX_SERIES") == 1
    assert recorder.series(ROUTE, {ROUTE_NAME: "1"}) is own[1]
    assert not recorder.series(USER_COUNTER, {KEY: ("a",)}).overflow


def test_a_thread_of_a_forked_child_cannot_be_blocked_by_the_parents_lock(keep: Keep) -> None:
    recorder = recorder_with(keep)
    with recorder._lock:
        child = os.fork()
        if not child:
            recorder.reset_after_fork()
            recorder.drain()
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def test_samples_are_collected_once() -> None:
    recorder, sink = Recorder(), SampleSink()
    recorder.add(sink)
    recorder.series(USER_TIMER, {KEY: ("a",)}).record(0.5)
    recorder.drain()
    (metric,) = sink.collect()
    assert list(metric.data.data_points[0].samples) == [0.5]  # type: ignore[union-attr]
    assert sink.collect() == []

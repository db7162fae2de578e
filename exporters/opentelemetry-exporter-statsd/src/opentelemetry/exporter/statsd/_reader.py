"""The reader: collects every second, or when a series fills, and knows what a fork is."""

import logging
import os
import threading
import time
import weakref
from queue import Empty, SimpleQueue
from typing import Any

from opentelemetry import context
from opentelemetry.exporter.statsd._exporter import StatsdMetricExporter
from opentelemetry.exporter.statsd._outbox import Flush, Outbox
from opentelemetry.exporter.statsd._sdk import (
    SUPPRESS_INSTRUMENTATION,
    collect_synchronous,
    is_registered,
    preferences,
)
from opentelemetry.exporter.statsd._worker import Worker
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricReader, MetricsData

_logger = logging.getLogger("opentelemetry.exporter.statsd")

INTERVAL = 1.0
"""Seconds between two collections: StatsD servers compute rates over about 10 seconds."""
FORK_PATIENCE = 2.0
"""Seconds that a collection may hold off a fork."""
SHUTDOWN_PATIENCE = 5.0
"""Seconds that the end waits for the threads: a server may be slow."""
HASTE = 0.4
"""Seconds over which a batch is spread while more wait than is good: full series give up after one."""
LOOK_AROUND = 1.0
"""Seconds after which a thread that waits looks whether the other one is alive."""


class StatsdMetricReader(MetricReader):
    """A reader that collects every second and when a series is half full, and sends with a `StatsdMetricExporter`.

    What the SDK's `PeriodicExportingMetricReader` lacks for StatsD: a series that fills is collected before it
    overflows, also while the network is slow, because one thread collects and another one sends. No exception ends
    either, and a forked child sends only its own. What was measured before a fork, the parent sends.

    Args:
        exporter: Exporter that sends. The reader shuts it down.
        interval: Seconds between two collections, 1 by default.

    Raises:
        ValueError: An interval that is not above 0.
    """

    def __init__(self, exporter: StatsdMetricExporter, *, interval: float = INTERVAL) -> None:
        if not interval > 0:
            raise ValueError(f"interval {interval!r}: expected seconds above 0")
        super().__init__(**preferences(exporter))
        self._exporter = exporter
        self._interval = min(interval, threading.TIMEOUT_MAX)
        self._logged: set[tuple[type[BaseException], str]] = set()
        self._is_closed = False
        self._start(Outbox())
        exporter.when_filling(self._wake)
        _readers.add(self)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Send what was measured until now; returns whether it was sent in time, as far as that can be known.

        Args:
            timeout_millis: Milliseconds to wait at most.
        """
        if self._is_closed:
            return False
        self._ensure_alive()
        flush = Flush()
        self._requests.put(flush)
        return flush.wait(timeout_millis / 1000)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Send what is left and end; a second call does nothing.

        Args:
            timeout_millis: Milliseconds to wait at most, 5 seconds at most.
            **kwargs: Ignored.
        """
        if self._is_closed:
            return
        self._ensure_alive()
        self._is_closed = True
        _readers.discard(self)
        self._requests.put(None)
        deadline = time.monotonic() + min(SHUTDOWN_PATIENCE, timeout_millis / 1000)
        self._collector.join(deadline - time.monotonic())
        self._sender.join(deadline - time.monotonic())

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        self._outbox.put(metrics_data)  # whoever collects, the thread sends: nobody else waits for the network

    def _start(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._requests: SimpleQueue[Flush | None] = SimpleQueue()
        self._is_woken = False
        self._collecting = threading.Lock()
        self._forking_thread: int | None = None
        self._collector = Worker("StatsD collection of metrics", self._collect_forever)
        self._sender = Worker("StatsD export of metrics", self._send_forever)
        self._collector.start()
        self._sender.start()

    def _ensure_alive(self) -> None:
        self._collector.ensure_alive()
        self._sender.ensure_alive()

    def _wake(self) -> bool:
        if not self._is_woken:
            self._is_woken = True
            self._requests.put(None)  # no lock of Python's: a signal handler may be here
        return not (self._is_closed or self._collector.is_current() or self._sender.is_current())

    def _collect_forever(self) -> None:
        _suppress_instrumentation()
        is_closing = False
        while not is_closing:
            flushes = self._next_requests()
            while not (self._is_closed or self._outbox.wait_for_room(LOOK_AROUND)):
                self._sender.ensure_alive()
            # Both before the collection: what comes during it needs another one.
            is_closing = self._is_closed
            self._is_woken = False
            with self._collecting:
                self._collect_safely()
            for flush in flushes:
                self._outbox.put(flush)
            self._sender.ensure_alive()
        self._outbox.close()

    def _next_requests(self) -> list[Flush]:
        flushes: list[Flush] = []
        try:
            request = self._requests.get(timeout=0 if self._is_closed else self._interval)
            while True:
                if request is not None:
                    flushes.append(request)
                request = self._requests.get_nowait()
        except Empty:
            return flushes

    def _send_forever(self) -> None:
        _suppress_instrumentation()
        while (batch := self._outbox.take(LOOK_AROUND)) is not None:
            metrics_data, flushes = batch
            was_sent = False
            try:
                if metrics_data.resource_metrics:
                    seconds = HASTE if self._outbox.is_crowded else INTERVAL
                    was_sent = self._exporter.export(metrics_data, 1000 * seconds) is MetricExportResult.SUCCESS
                if flushes:
                    was_sent = self._exporter.force_flush() and (was_sent or not metrics_data.resource_metrics)
            except BaseException as error:  # noqa: BLE001  a stranger's transport; the next batch must go out
                self._log_once(error, "Metrics could not be sent and are lost")
            self._outbox.sent()
            for flush in flushes:
                flush.finish(was_sent=was_sent)
            self._collector.ensure_alive()
        self._exporter.shutdown()  # here, because it may wait for the network again

    def _collect_safely(self) -> None:
        try:
            if is_registered(self):
                self.collect()
        except BaseException as error:  # noqa: BLE001  a callback may raise anything, and the next interval must come
            self._log_once(error, "A callback failed: observable instruments are left out of this collection")
            self._collect_the_rest()

    def _collect_the_rest(self) -> None:
        try:
            metrics_data = collect_synchronous(self)
            if metrics_data is not None:
                self._outbox.put(metrics_data)
        except BaseException as error:  # noqa: BLE001  as above
            self._log_once(error, "A collection of metrics failed and is left out")

    def _log_once(self, error: BaseException, message: str) -> None:
        if (type(error), message) not in self._logged:
            self._logged.add((type(error), message))
            _logger.error("%s (logged once)", message, exc_info=error)

    def before_fork(self) -> None:
        """Take what a child would send once more; no collection is cut in two by a fork."""
        if self._collecting.acquire(timeout=FORK_PATIENCE):
            self._forking_thread = threading.get_ident()
            self._collect_safely()

    def after_fork_in_parent(self) -> None:
        """Let the thread go on."""
        if self._forking_thread == threading.get_ident():
            self._forking_thread = None
            self._collecting.release()

    def after_fork_in_child(self) -> None:
        """Begin anew: what was collected is the parent's to send, and its threads do not run here."""
        for metrics_data in self._outbox.unsent():
            self._exporter.leave_out(metrics_data)
        self._start(Outbox())


def _suppress_instrumentation() -> None:
    context.attach(context.set_value(SUPPRESS_INSTRUMENTATION, value=True))  # the thread is the reader's alone


_readers: "weakref.WeakSet[StatsdMetricReader]" = weakref.WeakSet()


def _each(what: str) -> None:
    for reader in list(_readers):
        getattr(reader, what)()


if hasattr(os, "register_at_fork"):  # a hook cannot be taken out again, so there is one for all readers
    os.register_at_fork(
        before=lambda: _each("before_fork"),
        after_in_parent=lambda: _each("after_fork_in_parent"),
        after_in_child=lambda: _each("after_fork_in_child"),
    )

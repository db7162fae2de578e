"""The reader: collects every second, or when a series fills, and knows what a fork is."""

import logging
import os
import threading
import weakref
from queue import Empty, SimpleQueue
from typing import Any

from opentelemetry import context
from opentelemetry.exporter.statsd._exporter import StatsdMetricExporter
from opentelemetry.sdk.metrics.export import MetricReader, MetricsData

_logger = logging.getLogger("opentelemetry.exporter.statsd")

INTERVAL = 1.0
"""Seconds between two collections: StatsD servers compute rates over about 10 seconds."""
FORK_PATIENCE = 2.0
"""Seconds that a collection may hold off a fork."""
SHUTDOWN_PATIENCE = 5.0
"""Seconds that the end waits for the thread: a look-up of a name may take many more."""
_SUPPRESS = "suppress_instrumentation"  # the key that OpenTelemetry's instrumentations look for


class StatsdMetricReader(MetricReader):
    """Collects every second and when a series is half full, and sends with a `StatsdMetricExporter`.

    What the SDK's `PeriodicExportingMetricReader` lacks for StatsD: a series that fills is sent before it overflows, no
    exception ends the thread, and a forked child sends only its own. What was measured before a fork, the parent sends.

    Args:
        exporter: Sends. The reader shuts it down.
        interval: Seconds between two collections.

    Raises:
        ValueError: An interval that is not above 0.
    """

    def __init__(self, exporter: StatsdMetricExporter, *, interval: float = INTERVAL) -> None:
        if not interval > 0:
            raise ValueError(f"interval {interval!r}: expected seconds above 0")
        super().__init__(
            preferred_temporality=exporter._preferred_temporality,  # noqa: SLF001  as the SDK's own reader does
            preferred_aggregation=exporter._preferred_aggregation,  # noqa: SLF001
        )
        self._exporter = exporter
        self._interval = min(interval, threading.TIMEOUT_MAX)
        self._told: set[type[BaseException]] = set()
        self._received: list[MetricsData] = []
        self._closed = False
        exporter.when_filling(self._wake)
        self._start()
        _readers.add(self)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Send what was measured until now; returns whether the thread came to it in time."""
        done = threading.Event()
        self._requests.put(done)
        return not self._closed and done.wait(timeout_millis / 1000)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Send what is left and end; a second call does nothing.

        Args:
            timeout_millis: Milliseconds to wait at most, 5 seconds at most.
            **kwargs: Ignored.
        """
        if self._closed:
            return
        self._closed = True
        _readers.discard(self)
        self._requests.put(None)
        self._thread.join(min(SHUTDOWN_PATIENCE, timeout_millis / 1000))

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        # Whoever collects, the thread sends: nobody else waits for the network.
        self._received.append(metrics_data)
        if threading.current_thread() is not self._thread:
            self._wake()

    def _start(self) -> None:
        self._requests: SimpleQueue[threading.Event | None] = SimpleQueue()
        self._woken = False
        self._collecting = threading.Lock()
        self._held_by: int | None = None
        self._thread = threading.Thread(target=self._loop, name="StatsD export of metrics", daemon=True)
        self._thread.start()

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            self._requests.put(None)  # no lock of Python's: a signal handler may be here

    def _loop(self) -> None:
        context.attach(context.set_value(_SUPPRESS, value=True))  # the thread is the reader's own
        closing = False
        while not closing:
            waiting = self._next_requests()
            # Both before the collection: what comes during it needs another one.
            closing = self._closed
            self._woken = False
            with self._collecting:
                self._collect_safely()
            while self._received:
                self._exporter.export(self._received[0])
                del self._received[0]  # not before: a child forked meanwhile has to know of it
            for done in waiting:
                done.set()
        self._exporter.shutdown()  # here, because it may look a name up again

    def _next_requests(self) -> list[threading.Event]:
        waiting: list[threading.Event] = []
        try:
            request = self._requests.get(timeout=self._interval)
            while True:
                if request is not None:
                    waiting.append(request)
                request = self._requests.get_nowait()
        except Empty:
            return waiting

    def _collect_safely(self) -> None:
        try:
            if self._collect is not None:  # else there is no provider yet
                self.collect()
        except Exception as error:  # a stranger's callback may raise anything, and the next interval must come
            if type(error) not in self._told:
                self._told.add(type(error))
                _logger.exception("A collection of metrics failed and was left out; told once")

    def before_fork(self) -> None:
        """Take what a child would send once more; no collection is cut in two by a fork."""
        if self._collecting.acquire(timeout=FORK_PATIENCE):
            self._held_by = threading.get_ident()
            self._collect_safely()

    def after_fork_in_parent(self) -> None:
        """Let the thread go on."""
        if self._held_by == threading.get_ident():
            self._held_by = None
            self._collecting.release()

    def after_fork_in_child(self) -> None:
        """Begin anew: what was collected is the parent's to send, and its thread does not run here."""
        for metrics_data in self._received:
            self._exporter.leave_out(metrics_data)
        self._received.clear()
        self._start()


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

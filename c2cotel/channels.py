"""Each way out of the process: one background worker, one exporter, and what they do when things go wrong."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Protocol

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import Metric, MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from c2cotel._version import VERSION
from c2cotel.background import Worker, forks
from c2cotel.recorder import Recorder
from c2cotel.sdk import JoinedReader, joined

_logger = logging.getLogger(__name__)

_SCOPE = InstrumentationScope("c2cotel", VERSION)


class Outlet(Protocol):
    """What `Telemetry` needs of a channel."""

    name: str
    worker: Worker

    @property
    def failing(self) -> bool:
        """Whether it is known, and was told, that nothing gets through."""

    def before_fork(self) -> None:
        """See `ForkAware`."""

    def after_fork(self) -> None:
        """See `ForkAware`."""

    def shutdown(self, timeout: float) -> None:
        """Release what the exporter holds, after the worker's last tick, or while it hangs in one.

        Args:
            timeout: seconds that this may take.
        """


class Drain:
    """Drains the queue for sinks that are read from elsewhere; nothing leaves here."""

    name = "drain of measurements"
    failing = False

    def __init__(self, recorder: Recorder, interval: float) -> None:
        self.worker = Worker(self.name, recorder.drain, interval)

    def before_fork(self) -> None:
        """Nothing to do."""

    def after_fork(self) -> None:
        self.worker.restart_after_fork()

    def shutdown(self, timeout: float) -> None:
        """Nothing to release."""


class Outage(logging.Filter):
    """Tells once that an exporter fails and once that it works again, however often the exporter says so itself.

    Args:
        what: the channel's name, for the log.
        noisy: module whose logger the exporter writes its own complaints to.
    """

    def __init__(self, what: str, noisy: str) -> None:
        super().__init__()
        self.down = False
        self._what = what
        self._reason = ""
        self._closed = False
        self._own_thread: int | None = None
        self._noisy = logging.getLogger(noisy)
        self._noisy.addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep the exporter's complaints about our exports for `told`; let everybody else's through."""
        if record.thread != self._own_thread:
            return True
        # The first one has the cause; the last one of several attempts only says that there will be no other.
        self._reason = self._reason or record.getMessage()
        return False

    def watch(self, export: Callable[[], bool]) -> bool:
        """Run one export, and tell when its outcome differs from the last one's; returns whether it worked."""
        self._own_thread = threading.get_ident()
        self._reason = ""
        try:
            works = export()
        except Exception as error:  # noqa: BLE001  # any exporter may be plugged in here
            works, self._reason = False, f"{type(error).__name__}: {error}"
        finally:
            self._own_thread = None
        if self._closed:
            self._noisy.removeFilter(self)
        elif works and self.down:
            _logger.info("%s works again", self._what)
        elif not works and not self.down:
            reason = self._reason or "no reason given"
            _logger.warning("%s fails: %s (told once until it works again)", self._what, reason)
        self.down = not works
        return works

    def close(self) -> None:
        """Leave the exporter's logger as it was, once the export that may be running ends."""
        self._closed = True
        if self._own_thread is None:
            self._noisy.removeFilter(self)


class Collects(Protocol):
    """A sink whose values can be had as metrics."""

    def collect(self) -> list[Metric]:
        """What is new, or all there is, as the sink's temporality has it."""


class MetricChannel:
    """Sends the recorder's measurements, and those of the SDK's own instruments, to one exporter.

    Args:
        name: for the thread and the log.
        recorder: drained at each tick.
        sink: what the recorder's values become for this exporter.
        make_exporter: called once now and once in each forked child, where connections must not be shared.
        interval: seconds between two exports.
        timeout: seconds that one export may take.
        provider: where other libraries' instruments are read; None: they have a reader of their own.
        resource: gives the resource when no instrument of the SDK brings it.
        tells_itself: whether the exporter already logs an outage once, as the statsd exporter does.
        fresh_in_child: whether the running totals of other libraries' instruments start anew in a forked child, or
            they would be reported again under its name. Only for a provider of our own: somebody else's thread may
            hold another one's locks at the fork.
    """

    def __init__(
        self,
        name: str,
        recorder: Recorder,
        sink: Collects,
        make_exporter: Callable[[], MetricExporter],
        *,
        interval: float,
        timeout: float,
        provider: MeterProvider | None,
        resource: Callable[[], Resource],
        tells_itself: bool = False,
        fresh_in_child: bool = False,
    ) -> None:
        self.name = name
        self._recorder = recorder
        self._sink = sink
        self._make_exporter = make_exporter
        self._exporter: MetricExporter | None = make_exporter()
        self._timeout = timeout
        self._provider = provider
        self._resource = resource
        self._gathered_before_fork: list[MetricsData] = []
        self._outage = None if tells_itself else Outage(name, type(self._exporter).__module__)
        self._fresh_in_child = fresh_in_child
        self._failed = False
        self._closed = False
        self._make_reader = partial(JoinedReader, self._exporter)
        self._reader = self._join()
        self.worker = Worker(name, self._tick, interval)

    @property
    def failing(self) -> bool:
        return self._failed

    def before_fork(self) -> None:
        if self._reader is not None and (data := self._reader.gather(self._timeout)) is not None:
            self._gathered_before_fork.append(data)

    def after_fork(self) -> None:
        self._gathered_before_fork.clear()
        self._exporter = None
        if self._fresh_in_child:
            self._leave()
            self._reader = self._join()
        self.worker.restart_after_fork()

    def shutdown(self, timeout: float) -> None:
        self._closed = True
        if not self.worker.running:  # else it may hang in somebody's callback, with locks of the SDK
            self._leave()
        if self._exporter is not None:
            self._exporter.shutdown(timeout_millis=timeout * 1000)
        if self._outage is not None:
            self._outage.close()

    def _join(self) -> JoinedReader | None:
        if self._provider is None:
            return None
        reader = self._make_reader()
        self._provider.add_metric_reader(reader)
        return reader

    def _leave(self) -> None:
        if self._provider is not None and self._reader is not None:
            self._provider.remove_metric_reader(self._reader)

    def _tick(self) -> None:
        self._recorder.drain()
        theirs = self._gather()
        while self._gathered_before_fork:
            self._export(self._gathered_before_fork.pop(0))
        data = joined(theirs, self._sink.collect(), self._resource(), _SCOPE)
        if data is not None:
            self._export(data)

    def _gather(self) -> MetricsData | None:
        if self._reader is None:
            return None
        with forks.held_off:
            return self._reader.gather(self._timeout)

    def _export(self, data: MetricsData) -> None:
        if self._exporter is None:
            self._exporter = self._make_exporter()
        exporter = self._exporter

        def export() -> bool:
            return exporter.export(data, timeout_millis=self._timeout * 1000) is MetricExportResult.SUCCESS

        if not self._closed:
            self._failed = not (export() if self._outage is None else self._outage.watch(export))

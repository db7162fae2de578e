"""How measurements leave the process: drained by a worker, joined with the SDK's own, sent to one exporter."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Protocol

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import Metric, MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from c2cotel._version import VERSION
from c2cotel.delivery.forks import forks
from c2cotel.delivery.once import Once
from c2cotel.delivery.outage import Outage, loggers_of
from c2cotel.delivery.worker import Worker
from c2cotel.metrics.recorder import Recorder
from c2cotel.metrics.repair import otlp_encoder, repaired
from c2cotel.otel.sdk_private import JoinedReader, join_metrics, renew_locks

_logger = logging.getLogger(__name__)

_MOST_GATHERED = 1000
"""Collections that wait because the process was forked; further ones push the oldest out."""

_SCOPE = InstrumentationScope("c2cotel", VERSION)


class Drain:
    """Drains the queue for sinks that are read from elsewhere; nothing leaves here.

    Args:
        recorder: Drained.
        interval: Seconds between two drains.
    """

    name = "drain of measurements"
    failing = False

    def __init__(self, recorder: Recorder, interval: float) -> None:
        self.worker = Worker(self.name, recorder.drain, interval)

    def start(self) -> None:
        self.worker.start()

    def before_fork(self) -> None:
        """Nothing to do."""

    def after_fork(self) -> None:
        self.worker.start()

    def shutdown(self, timeout: float) -> None:
        """Nothing to release."""


class Collects(Protocol):
    """A sink whose values can be had as metrics."""

    def collect(self) -> list[Metric]:
        """What is new, or all there is, depending on the sink's temporality."""


class MetricChannel:
    """Sends the recorder's measurements, and those of the SDK's own instruments, to one exporter.

    Args:
        name: Name for the thread and the log.
        recorder: Drained at each tick.
        sink: What the recorder's values become for this exporter.
        make_exporter: Makes the exporter: once now and once in each forked child, where connections must not be shared.
        interval: Seconds between two exports.
        timeout: Seconds that one export may take.
        provider: Where other libraries' instruments are read; None if they have a reader of their own.
        resource: Gives the resource when no instrument of the SDK brings it.
        logs_outages: Whether the exporter already logs an outage once, as the statsd exporter does.
        fresh_in_child: Whether the running totals of other libraries' instruments start anew in a forked child, or
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
        logs_outages: bool = False,
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
        self._gathered_before_fork: deque[MetricsData] = deque(maxlen=_MOST_GATHERED)
        self._outage = None if logs_outages else Outage(name, loggers_of(self._exporter))
        self._encoder = None if logs_outages else otlp_encoder()
        self._fresh_in_child = fresh_in_child
        self._failed = False
        self._complaints = Once()
        self._closed = False
        self._make_reader = partial(JoinedReader, self._exporter)
        self._reader: JoinedReader | None = None
        self.worker = Worker(name, self._tick, interval)

    def start(self) -> None:
        if self._outage is not None:
            self._outage.start()
        self._reader = self._join()
        self.worker.start()

    @property
    def failing(self) -> bool:
        return self._failed

    def before_fork(self) -> None:
        if self._fresh_in_child or self._reader is None:
            return  # the child has nothing that it could send a second time
        if (data := self._reader.gather(self._timeout)) is not None:
            self._gathered_before_fork.append(data)

    def after_fork(self) -> None:
        self._gathered_before_fork.clear()
        self._exporter = None
        if self._provider is not None:
            renew_locks(self._provider)
        if self._fresh_in_child:
            self._leave()
            self._reader = self._join()
        self.worker.start()

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
            self._export(self._gathered_before_fork.popleft())
        data = join_metrics(theirs, self._sink.collect(), self._resource(), _SCOPE)
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

        def send(metrics: MetricsData) -> bool:
            return exporter.export(metrics, timeout_millis=self._timeout * 1000) is MetricExportResult.SUCCESS

        def export() -> bool:
            trouble: Exception | None = None
            try:
                if send(data):
                    return True
            except Exception as error:  # noqa: BLE001  # any exporter may be plugged in here
                trouble = error
            if self._encoder is None or (better := repaired(data, self._encoder)) is None:
                if trouble is not None:
                    raise trouble
                return False
            metrics, left_out = better
            if self._complaints.first("encoding"):
                _logger.error("%s: %d metrics cannot be encoded and are left out (logged once)", self.name, left_out)
            return send(metrics)

        if not self._closed:
            self._failed = not (export() if self._outage is None else self._outage.watch(export))

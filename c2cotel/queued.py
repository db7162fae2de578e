"""Ways out for what is sent one by one, spans and log records: a bounded queue, exported in the background."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from threading import RLock
from typing import Any, Generic, TypeVar

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from c2cotel.background import Worker
from c2cotel.channels import Outage
from c2cotel.spans import hide_secrets
from c2cotel.tracing import LateSpanProcessor, Span

_logger = logging.getLogger(__name__)

T = TypeVar("T")


class QueuedChannel(Generic[T]):
    """Keeps items in a bounded queue and exports them in the background.

    The SDK's batch processors do the same, but wait up to 30 s for a dead collector when the process ends.

    Args:
        name: for the thread and the log.
        make_exporter: called once now and once in each forked child, where connections must not be shared.
        export: sends a batch with the exporter; returns whether it was taken.
        items: what is queued, for the log.
        interval: seconds between two exports.
        queue_size: items kept; more are dropped and counted.
        batch_size: items of one export.
        limit: the variable that sets `queue_size`.

    Attributes:
        dropped: how many did not fit in, exactly.
    """

    def __init__(
        self,
        name: str,
        make_exporter: Callable[[], Any],
        export: Callable[[Any, list[T]], bool],
        *,
        items: str,
        interval: float,
        queue_size: int,
        batch_size: int,
        limit: str,
    ) -> None:
        self.name = name
        self.dropped = 0
        self._counting = RLock()  # a signal handler may come in between
        self._make_exporter = make_exporter
        self._exporter: Any = make_exporter()
        self._export = export
        self._items = items
        self._queue: list[T] = []
        self._queue_size = queue_size
        self._batch_size = min(batch_size, queue_size)
        self._limit = limit
        self._outage = Outage(name, getattr(self._exporter, "complains_to", type(self._exporter).__module__))
        self.worker = Worker(name, self._tick, interval)

    def put(self, item: T) -> None:
        """Queue an item; takes no lock unless it is dropped."""
        waiting = len(self._queue)
        if waiting >= self._queue_size:
            self._drop(waiting)
            return
        self._queue.append(item)
        if waiting + 1 >= self._batch_size:
            self.worker.wake()

    def _drop(self, waiting: int) -> None:
        with self._counting:
            self.dropped += 1
            first = self.dropped == 1
        if first:
            _logger.warning(
                "%s: %d %s are waiting, more are dropped (%s sets the limit; told once)",
                self.name,
                waiting,
                self._items,
                self._limit,
            )

    @property
    def failing(self) -> bool:
        return self._outage.down

    def before_fork(self) -> None:
        """Nothing to do: the queue stays the parent's."""

    def after_fork(self) -> None:
        del self._queue[:]
        self.dropped = 0
        self._counting = RLock()
        self._exporter = None
        self.worker.restart_after_fork()

    def shutdown(self, timeout: float = 30.0) -> None:
        del self._queue[:]
        if self._exporter is not None:
            self._exporter.shutdown()
        self._outage.close()

    def _tick(self) -> None:
        left = len(self._queue)
        while left > 0:
            batch = self._queue[: min(left, self._batch_size)]
            if not batch:  # shut down meanwhile
                return
            del self._queue[: len(batch)]
            left -= len(batch)
            if self._exporter is None:
                self._exporter = self._make_exporter()
            self._outage.watch(partial(self._export, self._exporter, batch))


class QueuedSpans(LateSpanProcessor):
    """Hands ended spans to a channel, those of the SDK's own provider as well.

    Args:
        channel: takes them.
    """

    def __init__(self, channel: QueuedChannel[ReadableSpan]) -> None:
        self._channel = channel
        setattr(self, "take", channel.put)  # noqa: B010  # one call less for each span

    def take(self, span: Span) -> None:
        """Queue a sampled span as it is."""
        self._channel.put(span)

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a sampled span."""
        if span.context is not None and span.context.trace_flags.sampled:
            self._channel.put(span)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Export what is queued now."""
        return self._channel.worker.run(timeout_millis / 1000)

    def shutdown(self) -> None:
        """Nothing to do: the channel is closed by its pipeline."""


def export_spans(exporter: SpanExporter, batch: list[ReadableSpan]) -> bool:
    """Send spans, secrets hidden; returns whether they were taken."""
    reads_spans = getattr(exporter, "reads_spans", False)
    spans = [span if reads_spans and isinstance(span, Span) else _readable(span) for span in batch]
    return exporter.export(spans) is SpanExportResult.SUCCESS


def _readable(span: ReadableSpan) -> ReadableSpan:
    return hide_secrets(span.readable() if isinstance(span, Span) else span)

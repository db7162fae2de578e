"""One bounded queue, exported in batches in the background: how spans and log records leave the process."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from threading import RLock
from typing import Any, Generic, TypeVar

from c2cotel.delivery.outage import Outage, loggers_of
from c2cotel.delivery.worker import Worker

_logger = logging.getLogger(__name__)

Item = TypeVar("Item")


class BatchChannel(Generic[Item]):
    """Keeps items in a bounded queue and exports them in the background.

    The SDK's batch processors do the same, but wait up to 30 s for a dead collector when the process ends.

    Args:
        name: Name for the thread and the log.
        make_exporter: Makes the exporter: once now and once in each forked child, where connections must not be shared.
        export: Sends a batch with the exporter; returns whether it was taken.
        items: What is queued, in the plural, for the log.
        interval: Seconds between two exports.
        queue_size: Number of items that may wait; more are dropped and counted.
        batch_size: Number of items of one export.
        limit: Name of the variable that sets `queue_size`.
        keeps_failed: Whether a batch that the exporter has just failed to send is worth another try: it then waits
            for the next export, in front of the others, as long as there is room.

    Attributes:
        dropped: Number of items that did not fit in, exactly.
        exported: Number of items that an exporter took.
        failed: Number of items that were lost because it did not.
        items: What is queued, in the plural.
        capacity: Number of items that may wait.
    """

    def __init__(
        self,
        name: str,
        make_exporter: Callable[[], Any],
        export: Callable[[Any, list[Item]], bool],
        *,
        items: str,
        interval: float,
        queue_size: int,
        batch_size: int,
        limit: str,
        keeps_failed: Callable[[Any], bool] = lambda _: False,
    ) -> None:
        self.name = name
        self.dropped = self.exported = self.failed = 0
        self.items = items
        self.capacity = queue_size
        self._counting = RLock()  # a signal handler may come in between
        self._make_exporter = make_exporter
        self._exporter: Any = make_exporter()
        self._export = export
        self._queue: list[Item] = []
        self._batch_size = min(batch_size, queue_size)
        self._limit = limit
        self._keeps_failed = keeps_failed
        self._outage = Outage(name, loggers_of(self._exporter), items)
        self.worker = Worker(name, self._tick, interval)

    def start(self) -> None:
        """Begin to export."""
        self._outage.start()
        self.worker.start()

    @property
    def exporter(self) -> Any:
        """The exporter; None in a forked child that has exported nothing yet."""
        return self._exporter

    @property
    def waiting(self) -> int:
        """Number of items that wait."""
        return len(self._queue)

    def put(self, item: Item) -> None:
        """Queue an item; takes no lock unless it is dropped."""
        waiting = len(self._queue)
        if waiting >= self.capacity:
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
                "%s: %d %s are waiting, more are dropped (%s sets the limit; logged once)",
                self.name,
                waiting,
                self.items,
                self._limit,
            )

    @property
    def failing(self) -> bool:
        return self._outage.down

    def before_fork(self) -> None:
        """Nothing to do: the queue stays the parent's."""

    def after_fork(self) -> None:
        del self._queue[:]
        self.dropped = self.exported = self.failed = 0
        self._counting = RLock()
        self._exporter = None
        self.worker.start()

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
            if self._outage.watch(partial(self._export, self._exporter, batch)):
                self.exported += len(batch)
            else:
                room = self.capacity - len(self._queue)
                if room > 0 and not self.worker.stopping and self._keeps_failed(self._exporter):
                    self._lose(max(0, len(batch) - room))
                    self._queue[:0] = batch[-room:]
                    return
                self._lose(len(batch))

    def _lose(self, number: int) -> None:
        self._outage.lost += number
        self.failed += number

"""What the collecting thread hands to the sending thread, in bounded memory."""

import threading
from collections import deque
from typing import Any

from opentelemetry.sdk.metrics.export import MetricsData

ROOM = 300_000
"""Measurements that may wait for the sending thread: some 10 MB. With more the collecting thread waits."""
CROWDED = ROOM // 2
"""Measurements that wait, above which those that are sent make haste."""
BATCH = 100_000
"""Measurements sent at once, after which no further collection is added to them."""


class Flush:
    """A request for everything measured until now to be sent.

    Attributes:
        was_sent: Whether it was, once the request is done.
    """

    def __init__(self) -> None:
        self.was_sent = False
        self._done = threading.Event()

    def finish(self, *, was_sent: bool) -> None:
        """End the request."""
        self.was_sent = was_sent
        self._done.set()

    def wait(self, timeout: float) -> bool:
        """Wait for the end; returns whether everything was sent.

        Args:
            timeout: Seconds to wait.
        """
        return self._done.wait(timeout) and self.was_sent


class Outbox:
    """A queue of collected data and of requests to flush, in order.

    Attributes:
        is_crowded: Whether more than `CROWDED` measurements waited when the last batch was taken.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[tuple[int, MetricsData | Flush]] = deque()
        self._measurements = 0
        self._sending: list[MetricsData] = []
        self._is_closed = False
        self.is_crowded = False

    def put(self, item: MetricsData | Flush) -> None:
        """Add an item; never waits."""
        size = _measurements(item) if isinstance(item, MetricsData) else 0
        with self._changed:
            self._waiting.append((size, item))
            self._measurements += size
            self._changed.notify_all()

    def close(self) -> None:
        """Let `take` end once everything is taken."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def wait_for_room(self, timeout: float) -> bool:
        """Wait until no more than `ROOM` measurements wait; returns whether that came.

        Args:
            timeout: Seconds to wait.
        """
        with self._changed:
            return self._changed.wait_for(lambda: self._measurements <= ROOM, timeout)

    def take(self, timeout: float) -> tuple[MetricsData, list[Flush]] | None:
        """All that waits, as one batch, and the requests among it; None at the end.

        Args:
            timeout: Seconds to wait for something.
        """
        flushes: list[Flush] = []
        self._sending = []
        size = 0
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed, timeout)
            if self._is_closed and not self._waiting:
                return None
            while self._waiting and (size < BATCH or isinstance(self._waiting[0][1], Flush)):
                measurements, item = self._waiting[0]
                size += measurements
                if isinstance(item, Flush):
                    flushes.append(item)
                else:
                    self._sending.append(item)
                self._waiting.popleft()  # not before: `unsent` may be called between any two of these lines
            self.is_crowded = self._measurements > CROWDED
            self._measurements -= size
            self._changed.notify_all()
        return MetricsData([each for data in self._sending for each in data.resource_metrics]), flushes

    def sent(self) -> None:
        """Forget the batch that was taken last."""
        self._sending = []

    def unsent(self) -> list[MetricsData]:
        """All that was put here and is not known to have been sent. For a forked child, where no lock can be had."""
        return [*self._sending, *(item for _, item in self._waiting if isinstance(item, MetricsData))]


def _measurements(data: MetricsData) -> int:
    try:
        return sum(
            len(getattr(point, "samples", ())) or 1
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in _points(metric)
        )
    except Exception:  # noqa: BLE001  a stranger's data: the encoder says what is wrong with it
        return 1


def _points(metric: Any) -> Any:
    return metric.data.data_points

"""One measurement, many readers: call sites append to a queue, sinks get the values in the background.

The thread that measures only extends a list: no lock (a signal handler or a gc callback may measure too), no
socket, no formatting. `Recorder.drain`, called by background threads, hands each sink the values of each series.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from time import time_ns
from typing import Any, Protocol

from c2cotel.delivery.once import Once
from c2cotel.metrics.exemplars import Sighting
from c2cotel.metrics.instruments import KEY, OVERFLOW, Instrument, Kind

_logger = logging.getLogger(__name__)

_LONG_QUEUE = 10_000
_CHUNK = 100_000

Attributes = Mapping[str, Any]


class Series:
    """One instrument with one set of attributes; `record` is all that a call site needs.

    Attributes:
        instrument: The row of the table.
        attributes: What tells this series from others of the instrument.
        overflow: Whether it stands for all series beyond the cap; call sites must not remember such a one under a
            key of their own, or their memory would grow where the recorder's does not.
    """

    __slots__ = ("_extend", "_queue", "_wake", "attributes", "instrument", "overflow")

    def __init__(
        self, instrument: Instrument, attributes: Attributes, queue: list[Any], wake: Callable[[], None], overflow: bool
    ) -> None:
        self.instrument = instrument
        self.attributes = attributes
        self.overflow = overflow
        self._queue = queue
        self._extend = queue.extend
        self._wake = wake

    def record(self, value: float) -> None:
        """Take one value: seconds for a timer, the increment for a counter."""
        self._extend((self, value))
        if len(self._queue) > _LONG_QUEUE:
            self._wake()


Watcher = Callable[[Series, float], object]
"""Called with each value at the call site: it must be cheap, and may not raise."""


class TracedSeries(Series):
    """A series of which each value is noted with the span that it was measured in."""

    __slots__ = ("_current_span",)

    def __init__(self, current_span: Callable[[], Any], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._current_span = current_span

    def record(self, value: float) -> None:
        span = self._current_span()
        super().record(value if span is None else (value, span, time_ns()))  # type: ignore[arg-type]


class WatchedSeries(Series):
    """A series of which each value is told at once to somebody else, too."""

    __slots__ = ("_watcher",)

    def __init__(self, watcher: Watcher, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._watcher = watcher

    def record(self, value: float) -> None:
        super().record(value)
        self._watcher(self, value)


Noticer = Callable[[Series, Sequence[Sighting]], object]
"""Called in the background with the values of a series that were measured in a span."""


class Sink(Protocol):
    """What reads the measurements; called by one thread at a time."""

    def fold(self, series: Series, values: Sequence[float]) -> None:
        """Take values of one series, in the order they were recorded."""

    def reset(self) -> None:
        """Forget everything: this is a new process."""


class Recorder:
    """The queue, the series and the sinks of one process.

    Args:
        max_series: Number of series that one instrument may have; the rest share its overflow series.
        wake: Called, often, while the queue is long; must be cheap and must not lock.

    Attributes:
        extend: Takes a series and a value, and does nothing else: for hooks that may be called at any moment, such as
            that of the garbage collector.
    """

    def __init__(self, max_series: int = 2000, wake: Callable[[], None] = lambda: None) -> None:
        self.max_series = max_series
        self._wake = wake
        # Flat, series and value in turn: a tuple for each measurement would keep the garbage collector busy, and
        # extending by a pair is as atomic as appending one thing is.
        self._queue: list[Any] = []
        self.extend = self._queue.extend
        self._sinks: list[Sink] = []
        self._series: dict[Instrument, dict[Any, Series]] = {}
        self._overflows: dict[Instrument, Series] = {}
        self._lock = threading.Lock()
        self._complaints = Once()
        self._watchers: dict[Instrument, Watcher] = {}
        self._current_span: Callable[[], Any] | None = None
        self._noticers: list[Noticer] = []

    def watch(self, instrument: Instrument, watcher: Watcher) -> None:
        """Have somebody told of each value of an instrument, from the series made after this on."""
        self._watchers[instrument] = watcher

    def notice_traces(self, current_span: Callable[[], Any], noticer: Noticer) -> None:
        """Have somebody told of the values of timers that are measured in a span, from the series made after this on.

        Args:
            current_span: Gives the span; None without one. It is called for each value.
            noticer: Is told after the sinks had the values.
        """
        self._current_span = current_span
        self._noticers.append(noticer)

    def add(self, sink: Sink) -> None:
        """Let a sink read from now on."""
        with self._lock:
            self._sinks = [*self._sinks, sink]

    def series(self, instrument: Instrument, attributes: Attributes) -> Series:
        """The series of these attributes, made when new, or the instrument's overflow series when it has too many."""
        siblings = self._series.setdefault(instrument, {})
        # With the type of each value: True == 1 == 1.0, but they are three series.
        identity = tuple((name, value.__class__, value) for name, value in sorted(attributes.items()))
        existing = siblings.get(identity)
        if existing is not None:
            return existing
        if len(siblings) >= self.max_series:
            return self._overflow(instrument, attributes)
        return siblings.setdefault(identity, self._make(instrument, attributes, overflow=False))

    def overflowing(self) -> list[str]:
        """Names of the instruments that have all the series they may have, and count the rest together."""
        return [instrument.name for instrument in list(self._overflows)]

    def drain(self) -> None:
        """Hand everything recorded so far to the sinks. What a sink raises is logged once and stops no other."""
        with self._lock:
            left = len(self._queue)
            while left > 0:
                batch = self._queue[: min(left, _CHUNK)]
                del self._queue[: len(batch)]
                left -= len(batch)
                self._hand_over(batch)

    def reset_after_fork(self) -> None:
        """Start from nothing in a child: what was recorded before the fork is the parent's to send."""
        self._lock = threading.Lock()
        del self._queue[:]
        for sink in self._sinks:
            sink.reset()

    def _hand_over(self, batch: list[Any]) -> None:
        grouped: dict[Series, list[float]] = {}
        sightings: dict[Series, list[Sighting]] = {}
        for series, value in zip(batch[::2], batch[1::2], strict=True):
            if value.__class__ is tuple:
                sightings.setdefault(series, []).append(value)
                value = value[0]  # noqa: PLW2901  # what every sink takes
            if series in grouped:
                grouped[series].append(value)
            else:
                grouped[series] = [value]
        for sink in self._sinks:
            for series, values in grouped.items():
                try:
                    sink.fold(series, values)
                except Exception:
                    if self._complaints.first(sink):
                        _logger.exception("%s cannot take %r (logged once)", type(sink).__name__, series.attributes)
        for noticer in self._noticers:
            for series, seen in sightings.items():
                noticer(series, seen)

    def _make(self, instrument: Instrument, attributes: Attributes, *, overflow: bool) -> Series:
        if (watcher := self._watchers.get(instrument)) is not None:
            return WatchedSeries(watcher, instrument, attributes, self._queue, self._wake, overflow)
        if self._current_span is not None and instrument.kind is Kind.TIMER:
            return TracedSeries(self._current_span, instrument, attributes, self._queue, self._wake, overflow)
        return Series(instrument, attributes, self._queue, self._wake, overflow)

    def _overflow(self, instrument: Instrument, attributes: Attributes) -> Series:
        if instrument not in self._overflows:
            key = attributes.get(KEY)
            first = str(key[0]) if key else instrument.first_part
            overflow = self._make(instrument, {KEY: (first, "_overflow"), OVERFLOW: True}, overflow=True)
            if self._overflows.setdefault(instrument, overflow) is overflow:
                _logger.warning(
                    "%s has %d series; all further ones are counted together as %s._overflow "
                    "(STATSD_MAX_SERIES sets the limit); the first of them: %s",
                    instrument.name,
                    self.max_series,
                    first,
                    dict(attributes),
                )
        return self._overflows[instrument]

"""From keys, tags and values of an application to series."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from operator import index
from typing import Any

from opentelemetry import trace

from c2cotel import state
from c2cotel.delivery.guard import Guard
from c2cotel.delivery.once import Once
from c2cotel.metrics.instruments import KEY, USER_COUNTER, USER_GAUGE, USER_TIMER, Instrument
from c2cotel.metrics.recorder import Recorder, Series
from c2cotel.stats.annotations import annotate
from c2cotel.tracing import LocalTrace, Span
from c2cotel.tracing.child import child

_logger = logging.getLogger("c2cotel.stats")

GUARD = Guard(_logger, "A measurement of the application is not recorded")

_TEXT = frozenset({str})
_SIMPLE = frozenset({str, int, float, bool})
_MOST_REMEMBERED = 20_000

Key = Sequence[Any]
Tags = Mapping[str, Any] | None


class Door:
    """Where the functions of `c2cotel.stats` lead to.

    Attributes:
        backend: What records, from `setup` to `close`; None otherwise.
        complaints: Values that were refused.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Lead nowhere, as before `setup`."""
        self.backend: Backend | None = None
        self.complaints = Once()


class Backend:
    """What the functions of `c2cotel.stats` do once `setup` has run.

    Args:
        recorder: Takes the values.
        clock: Monotonic seconds.
        tagged: Whether `outcome_timer_context` shows its outcome by a tag.
        tracer: Makes a child span for each timer context inside a recorded span; None without traces.
        local: Gives what is noted of the current request; None outside of one.
    """

    def __init__(
        self,
        recorder: Recorder,
        clock: Callable[[], float],
        *,
        tagged: bool,
        tracer: trace.Tracer | None,
        local: Callable[[], LocalTrace | None] = lambda: None,
    ) -> None:
        self._local = local
        self._recorder = recorder
        self._tagged = tagged
        self._remembered: dict[Any, Series] = {}
        self.clock = clock
        self.tracer = tracer

    def set_gauge(self, key: Key, value: float, tags: Tags) -> None:
        """Set a gauge."""
        if (number := _number(key, value)) is not None:
            self.series(USER_GAUGE, key, tags).record(number)

    def increment_counter(self, key: Key, increment: float, tags: Tags) -> None:
        """Add to a counter."""
        if (number := _number(key, increment)) is not None:
            self.series(USER_COUNTER, key, tags).record(number)

    def annotate(self, values: Mapping[str, object]) -> None:
        """Put values on the current request."""
        annotate(values, self._local())

    def timed(self, key: Key, tags: Tags, duration: float) -> None:
        """Record the seconds that something took."""
        self.series(USER_TIMER, key, tags).record(duration)

    def timed_outcome(self, key: Key, tags: Tags, duration: float, *, success: bool) -> None:
        """Record the seconds that something took, and whether it succeeded."""
        if self._tagged:
            self.timed(key, {**(tags or {}), "success": int(success)}, duration)
        else:
            parts = (key,) if isinstance(key, (str, bytes)) else key
            self.timed((*parts, "success" if success else "failure"), tags, duration)

    def child(self, key: Key, tags: Tags) -> child | None:
        """A span for a timer, current from now on; None where nobody records."""
        if self.tracer is None:
            return None
        span = trace.get_current_span()
        # One that has ended is a parent, too: a thread of a request may go on after it.
        if not (isinstance(span, Span) or span.is_recording()):
            return None
        parts = (key,) if isinstance(key, (str, bytes)) else key
        attributes = {_text(name): _text(value) for name, value in (tags or {}).items()}
        return child(self.tracer, ".".join(map(_text, parts)), attributes)

    def series(self, instrument: Instrument, key: Key, tags: Tags) -> Series:
        """The series of a key and tags, whatever their types."""
        parts = (key,) if isinstance(key, (str, bytes)) else tuple(key)
        try:
            identity: tuple[Any, ...] = (instrument, parts, tuple(tags.items())) if tags else (instrument, parts)
            if not (_TEXT.issuperset(map(type, parts)) and (not tags or _TEXT.issuperset(map(type, tags.values())))):
                # True == 1 == 1.0, and a member of an enumeration may equal its text: the types tell them apart.
                identity += (*map(type, parts), *map(type, (tags or {}).values()))
            series = self._remembered.get(identity)
        except TypeError:  # an unhashable part or tag value
            texts = {name: str(value) for name, value in (tags or {}).items() if value is not None}
            return self.series(instrument, tuple(map(str, parts)), texts)
        if series is None:
            labels = {_text(name): _text(value) for name, value in (tags or {}).items() if value is not None}
            series = self._recorder.series(instrument, {**labels, KEY: tuple(map(_text, parts))})
            # Other objects are not kept alive: an exception would hold its whole stack.
            simple = all(value.__class__ in _SIMPLE for value in (*parts, *(tags or {}).values()))
            if simple and not series.overflow and len(self._remembered) < _MOST_REMEMBERED:
                self._remembered[identity] = series
        return series


def _text(part: Any) -> str:
    """A part of a key or a tag as text that every protocol can carry: no lone surrogates."""
    text = part.decode("utf-8", "replace") if isinstance(part, bytes) else str(part)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _number(key: Key, value: Any) -> float | None:
    if value.__class__ is int:
        number: float = value
        return number
    try:
        number = index(value) if hasattr(value, "__index__") else float(value)
        if isfinite(number):
            return number
    except (TypeError, ValueError, OverflowError):
        pass
    name = str(key)
    if state.of(Door).complaints.first(name):
        _logger.error("%s: %r is not a finite number and is not recorded (logged once)", name, value)
    return None

"""Timers, gauges and counters of the application's own.

::

    with stats.timer_context(["orders", "import"]):
        import_orders()

A key is a list of parts. Until `c2cotel.setup`, and where nothing reads measurements, all of this does nothing.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import ContextDecorator
from math import isfinite
from operator import index
from time import perf_counter
from types import TracebackType
from typing import Any, Protocol

from opentelemetry import trace

from c2cotel import state
from c2cotel.delivery.once import Once
from c2cotel.metrics.instruments import KEY, USER_COUNTER, USER_GAUGE, USER_TIMER, Instrument
from c2cotel.metrics.recorder import Recorder, Series
from c2cotel.otel.sdk_private import is_recording
from c2cotel.tracing.child import child

__all__ = ["Timer", "increment_counter", "outcome_timer_context", "set_gauge", "timer", "timer_context"]

_logger = logging.getLogger(__name__)

_TEXT = frozenset({str})
_SIMPLE = frozenset({str, int, float, bool})
_MOST_REMEMBERED = 20_000
_MOST_COMPLAINTS = 1000

Key = Sequence[Any]
Tags = Mapping[str, Any] | None


def timer_context(key: Key, tags: Tags = None) -> Timing:
    """Time a block, or a function when used as a decorator; recorded only when no exception leaves it.

    Args:
        key: parts of the name.
        tags: sent with it, whatever `STATSD_USE_TAGS` says.
    """
    timing: Timing = _door.backend.timer_context(key, tags)
    return timing


def outcome_timer_context(key: Key, tags: Tags = None) -> Timing:
    """Like `timer_context`, recorded in any case: under ``success`` or ``failure``, or with the tag ``success=1|0``."""
    timing: Timing = _door.backend.outcome_timer_context(key, tags)
    return timing


def timer(key: Key | None = None, tags: Tags = None) -> Timer:
    """Start a timer that `Timer.stop` ends; key and tags may be given here or there."""
    started: Timer = _door.backend.timer(key, tags)
    return started


def set_gauge(key: Key, value: float, tags: Tags = None) -> None:
    """Set a gauge; its last value counts."""
    _door.backend.set_gauge(key, value, tags)


def increment_counter(key: Key, increment: float = 1, tags: Tags = None) -> None:
    """Add to a counter."""
    _door.backend.increment_counter(key, increment, tags)


class Timing(ContextDecorator, ABC):
    """Times a block, or each call of the function it decorates."""

    @abstractmethod
    def __enter__(self) -> None: ...

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class Timer(Protocol):
    """A running timer."""

    def stop(self, key_final: Key | None = None, tags_final: Tags = None) -> float:
        """Record, under the key given here if one is; returns the seconds since the start."""


class Backend:
    """What the functions of this module do once `setup` has run.

    Args:
        recorder: takes the values.
        clock: monotonic seconds.
        tagged: whether `outcome_timer_context` tells its outcome by a tag.
        tracer: makes a child span for each timer context inside a recorded span; None without traces.
    """

    def __init__(
        self, recorder: Recorder, clock: Callable[[], float], *, tagged: bool, tracer: trace.Tracer | None
    ) -> None:
        self._recorder = recorder
        self._tagged = tagged
        self._remembered: dict[Any, Series] = {}
        self.clock = clock
        self.tracer = tracer

    def timer_context(self, key: Key, tags: Tags) -> _TimerContext:
        return _TimerContext(self, key, tags)

    def outcome_timer_context(self, key: Key, tags: Tags) -> _OutcomeTimerContext:
        return _OutcomeTimerContext(self, key, tags)

    def timer(self, key: Key | None, tags: Tags) -> _Timer:
        return _Timer(self, key, tags)

    def set_gauge(self, key: Key, value: float, tags: Tags) -> None:
        if (number := _number(key, value)) is not None:
            self.series(USER_GAUGE, key, tags).record(number)

    def increment_counter(self, key: Key, increment: float, tags: Tags) -> None:
        if (number := _number(key, increment)) is not None:
            self.series(USER_COUNTER, key, tags).record(number)

    def outcome(self, key: Key, tags: Tags, *, success: bool) -> Series:
        """The series of a timer whose outcome is known."""
        if self._tagged:
            return self.series(USER_TIMER, key, {**(tags or {}), "success": int(success)})
        parts = (key,) if isinstance(key, (str, bytes)) else key
        return self.series(USER_TIMER, (*parts, "success" if success else "failure"), tags)

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


class _TimerContext(Timing):
    __slots__ = ("_backend", "_key", "_span", "_start", "_tags")

    def __init__(self, backend: Backend, key: Key, tags: Tags) -> None:
        self._backend = backend
        self._key = key
        self._tags = tags

    def _recreate_cm(self) -> _TimerContext:
        # A decorated function may run in many threads at once: each call has a context of its own.
        return type(self)(self._backend, self._key, self._tags)

    def __enter__(self) -> None:
        backend = self._backend
        self._span = None if backend.tracer is None else self._start_span(backend.tracer)
        self._start = backend.clock()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        duration = self._backend.clock() - self._start
        try:
            self._record(duration, kind)
        finally:
            if self._span is not None:
                self._span.__exit__(kind, error, traceback)

    def _record(self, duration: float, kind: type[BaseException] | None) -> None:
        if kind is None:
            self._backend.series(USER_TIMER, self._key, self._tags).record(duration)

    def _start_span(self, tracer: trace.Tracer) -> child | None:
        if not is_recording():
            return None
        parts = (self._key,) if isinstance(self._key, (str, bytes)) else self._key
        attributes = {_text(name): _text(value) for name, value in (self._tags or {}).items()}
        return child(tracer, ".".join(map(_text, parts)), attributes)


class _OutcomeTimerContext(_TimerContext):
    __slots__ = ()

    def _record(self, duration: float, kind: type[BaseException] | None) -> None:
        if kind is None or issubclass(kind, Exception):
            self._backend.outcome(self._key, self._tags, success=kind is None).record(duration)


class _Timer:
    __slots__ = ("_backend", "_key", "_start", "_tags")

    def __init__(self, backend: Backend, key: Key | None, tags: Tags) -> None:
        self._backend = backend
        self._key = key
        self._tags = tags
        self._start = backend.clock()

    def stop(self, key_final: Key | None = None, tags_final: Tags = None) -> float:
        duration = self._backend.clock() - self._start
        key = self._key if key_final is None else key_final
        if key is None:
            _logger.error("A timer was stopped without a key, neither in timer() nor in stop(): not recorded")
        else:
            tags = self._tags if tags_final is None else tags_final
            self._backend.series(USER_TIMER, key, tags).record(duration)
        return duration


class _Nothing(Timing):
    """Stands for every timer context while nothing measures."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


class _IdleTimer:
    """Still tells the seconds: its user may want them, measured or not."""

    __slots__ = ("_start",)

    def __init__(self) -> None:
        self._start = perf_counter()

    def stop(self, key_final: Key | None = None, tags_final: Tags = None) -> float:
        return perf_counter() - self._start


class _Idle:
    """The backend until `setup`."""

    _nothing = _Nothing()

    def timer_context(self, *_: Any) -> _Nothing:
        return self._nothing

    outcome_timer_context = timer_context

    def timer(self, *_: Any) -> _IdleTimer:
        return _IdleTimer()

    def set_gauge(self, *_: Any) -> None:
        return None

    increment_counter = set_gauge


class _Door:
    """Where the functions of this module lead to.

    Attributes:
        backend: A `Backend` from `setup` to `close`, else one that does nothing.
        complaints: Values that were refused.
    """

    def __init__(self) -> None:
        self.backend: Any = _Idle()
        self.complaints = Once(_MOST_COMPLAINTS)

    def reset(self) -> None:
        """Lead nowhere, as before `setup`."""
        self.backend = _Idle()
        self.complaints.reset()


_door = state.of(_Door)


def use(backend: Backend | None) -> None:
    """Let the functions of this module lead to a backend, or nowhere; for `setup`, `close` and tests."""
    _door.backend = _Idle() if backend is None else backend


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
    if _door.complaints.first(name):
        _logger.error("%s: %r is not a finite number and is not recorded (logged once)", name, value)
    return None

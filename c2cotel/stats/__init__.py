"""Timers, gauges and counters of the application's own.

::

    with stats.timer_context(["orders", "import"]):
        import_orders()

    @stats.timer_context(["orders", "page"])
    async def page(number): ...

A key is a list of parts. Until `c2cotel.setup`, and where nothing reads measurements, all of this does nothing.
"""

from __future__ import annotations

from c2cotel import state
from c2cotel.stats.backend import GUARD, Backend, Door, Key, Tags
from c2cotel.stats.on_purpose import repeats_sql
from c2cotel.stats.timing import Timer, Timing

__all__ = [
    "Timer",
    "Timing",
    "annotate",
    "increment_counter",
    "outcome_timer_context",
    "repeats_sql",
    "set_gauge",
    "timer",
    "timer_context",
]

_door = state.of(Door)


def timer_context(key: Key, tags: Tags = None) -> Timing:
    """Time a block, or each call of a function when used as a decorator; recorded only when no exception leaves it.

    A decorated coroutine is timed from its first step to its end, waiting included; a generator while it runs.

    Args:
        key: Parts of the name.
        tags: Sent with it, whatever `STATSD_USE_TAGS` says.
    """
    return Timing(key, tags, outcome=False)


def outcome_timer_context(key: Key, tags: Tags = None) -> Timing:
    """Time like `timer_context`, recorded in any case: under ``success`` or ``failure``, or with ``success=1|0``.

    Args:
        key: Parts of the name.
        tags: Sent with it, whatever `STATSD_USE_TAGS` says; with that setting the outcome is one more of them.
    """
    return Timing(key, tags, outcome=True)


def timer(key: Key | None = None, tags: Tags = None) -> Timer:
    """Start a timer that `Timer.stop` ends; key and tags may be given here or there.

    Args:
        key: Parts of the name.
        tags: Sent with it.
    """
    return Timer(key, tags)


def set_gauge(key: Key, value: float, tags: Tags = None) -> None:
    """Set a gauge; its last value counts.

    Args:
        key: Parts of the name.
        value: A finite number; any other value is logged once and not recorded.
        tags: Sent with it.
    """
    backend = _door.backend
    if backend is not None:
        try:
            backend.set_gauge(key, value, tags)
        except Exception as error:  # noqa: BLE001  # a key or tag may be any object
            GUARD.about(error)


def increment_counter(key: Key, increment: float = 1, tags: Tags = None) -> None:
    """Add to a counter.

    Args:
        key: Parts of the name.
        increment: A finite number; any other value is logged once and not recorded.
        tags: Sent with it.
    """
    backend = _door.backend
    if backend is not None:
        try:
            backend.increment_counter(key, increment, tags)
        except Exception as error:  # noqa: BLE001  # a key or tag may be any object
            GUARD.about(error)


def annotate(**values: object) -> None:
    """Put values on the current request: attributes of its span, and of its record in the flight recorder.

    ::

        stats.annotate(order=order.id, customer="acme")

    Args:
        values: By name; text, numbers and booleans stay what they are, anything else becomes text. Secrets are hidden,
            texts are cut at 1,000 characters, and a record has 64 names at most.
    """
    backend = _door.backend
    if backend is not None:
        try:
            backend.annotate(values)
        except Exception as error:  # noqa: BLE001  # a value may be any object
            GUARD.about(error)


def use(backend: Backend | None) -> None:
    """Let the functions of this module lead to a backend, or nowhere; for `setup`, `close` and tests."""
    _door.backend = backend

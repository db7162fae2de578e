"""Pools of connections: how many are in use, and how long somebody waits for one.

https://opentelemetry.io/docs/specs/semconv/database/database-metrics/#connection-pools
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy.engine import Engine
from sqlalchemy.pool import Pool

from c2cotel.metrics.instruments import POOL_WAIT
from c2cotel.metrics.observations import Observation
from c2cotel.metrics.recorder import Series
from c2cotel.otel.sdk_private import is_suppressed
from c2cotel.runtime.telemetry import Telemetry

_NAME = "db.client.connection.pool.name"


def observe_pools(telemetry: Telemetry, engines: Callable[[], list[Engine]]) -> Callable[[], None]:
    """Observe the pools of engines; returns what ends that.

    Args:
        telemetry: Takes the values.
        engines: Gives the engines that were used.
    """
    stop_observing = telemetry.observe(lambda: _connections(engines))
    stop_timing = _time_waiting(telemetry, engines) if telemetry.exports_gauges else _nothing

    def undo() -> None:
        stop_timing()
        stop_observing()

    return undo


def _connections(engines: Callable[[], list[Engine]]) -> Iterator[Observation]:
    for engine in engines():
        pool: Any = engine.pool
        if hasattr(pool, "checkedout"):
            name = _name(engine)
            for state, number in (("used", pool.checkedout()), ("idle", pool.checkedin())):
                attributes = {_NAME: name, "db.client.connection.state": state}
                yield Observation("db.client.connection.count", "{connection}", attributes, number)
            if (most := _most(pool)) is not None:
                yield Observation("db.client.connection.max", "{connection}", {_NAME: name}, most)


def _time_waiting(telemetry: Telemetry, engines: Callable[[], list[Engine]]) -> Callable[[], None]:
    """Measure how long `Pool.connect` takes: SQLAlchemy has no event for the moment before it."""
    original = Pool.connect
    remembered: WeakKeyDictionary[Pool, Series] = WeakKeyDictionary()
    clock = telemetry.clock

    def series_of(pool: Pool) -> Series | None:
        series = remembered.get(pool)
        if series is None:
            for engine in engines():
                if engine.pool is pool:
                    series = remembered[pool] = telemetry.recorder.series(POOL_WAIT, {_NAME: _name(engine)})
        return series

    def connect(self: Pool) -> Any:
        start = clock()
        connection = original(self)
        if not telemetry.closed and not is_suppressed():
            seconds = clock() - start
            try:
                if (series := series_of(self)) is not None:
                    series.record(seconds)
            except Exception:  # noqa: BLE001  # an engine of any class; the application needs its connection
                return connection
        return connection

    Pool.connect = connect  # type: ignore[method-assign]

    def stop() -> None:
        if Pool.connect is connect:
            Pool.connect = original  # type: ignore[method-assign]

    return stop


def _name(engine: Engine) -> str:
    return getattr(engine, "c2c_name", None) or engine.url.set(query={}).render_as_string()


def _most(pool: Any) -> int | None:
    """Connections that a pool may have; None if there is no limit, or none is known."""
    size, overflow = getattr(pool, "_pool", None), getattr(pool, "_max_overflow", None)
    if size is None or overflow is None or overflow < 0:
        return None
    return int(pool.size()) + int(overflow)


def _nothing() -> None:
    return None

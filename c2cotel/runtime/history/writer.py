"""The history of one process: takes what its requests did, and writes it in the background, a row a step of time."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from typing import Any

from c2cotel.config.parsers import Slow
from c2cotel.delivery.guard import Guard
from c2cotel.delivery.worker import Worker
from c2cotel.host.directory import StateFolder
from c2cotel.host.process import own_name
from c2cotel.host.store import Store
from c2cotel.host.tables import HistoryRow
from c2cotel.metrics.instruments import COMMIT, KEY, ROUTE_NAME, SQL
from c2cotel.metrics.observations import Observer
from c2cotel.metrics.recorder import Recorder, Series
from c2cotel.runtime.history.gauges import gauges
from c2cotel.runtime.history.steps import KINDS, OVERFLOW, AllRequests, Details, packed
from c2cotel.runtime.request_scope import OWN_ROUTES, Scope
from c2cotel.runtime.saturation import memory_usage
from c2cotel.runtime.statements import Repeated

_logger = logging.getLogger(__name__)

ALL, ROUTES, STATEMENTS, PROCESS = "all", "routes", "sql", "process"
"""Keys of the rows."""

FINE, COARSE = 10, 60
"""Seconds of the steps of all requests together, and of the process: kept for an hour, and for a day."""

FINE_DETAILS, COARSE_DETAILS = 30, 600
"""The same of requests by route and of statements."""

HOUR, DAY = 3600, 86400
_TICK = 1.0
_SHARE = 0.02
"""Part of a processor that the thread may take; with many routes it then writes less often."""

_MOST_WAITING = 100_000
"""Requests that wait for the thread; further ones push the oldest out."""

_FAILED = 500

Noted = tuple[
    Series,
    float,
    Mapping[str, tuple[int, float]] | None,
    Mapping[Series, Repeated] | None,
    Sequence[float],
    float | None,
]


class History:
    """The history of one process; see `c2cotel.delivery.outlet.Outlet` and `c2cotel.metrics.recorder.Sink`.

    Args:
        recorder: Has the statements.
        folder: The folder of the service, in which the store is.
        shared: Gives the flight recorder's store; None if nothing is kept there.
        size: Bytes of the store.
        slow: What counts as slow: the requests to c2cotel's own views count only if they failed or were slow.
        active: The requests that this process works on.
        observers: Give gauges.
        host: Name of the host.
        version: Version of the application.

    Attributes:
        name: Name of the thread and of what is logged about it.
        worker: The thread that writes.
        host: Name of the host.
        noted: The requests that have ended, not yet added up. Call sites append to it, and to nothing else.
    """

    name = "history"
    failing = False

    def __init__(
        self,
        recorder: Recorder,
        folder: StateFolder,
        shared: Callable[[], Store | None],
        *,
        size: int,
        slow: Slow,
        active: Sized,
        observers: Iterable[Observer],
        host: str,
        version: str,
    ) -> None:
        self.host = host
        self.noted: deque[Noted] = deque(maxlen=_MOST_WAITING)
        self._recorder = recorder
        self._folder = folder
        self._shared = shared
        self._size = size
        self._slow = slow
        self._active = active
        self._observers = observers
        self._version = version
        self._guard = Guard(_logger, "A value is missing in the history")
        self._store: Store | None = None
        self._is_own_store = False
        self.worker = Worker(self.name, self._tick, _TICK)
        self.reset()

    def reset(self) -> None:
        """Forget everything: this is a new process."""
        self.noted.clear()
        self._executed: deque[tuple[Series, Sequence[float]]] = deque()
        self._process = ""
        self._started = time.time()
        self._serves = False
        self._all = {FINE: AllRequests(), COARSE: AllRequests()}
        self._details = {FINE_DETAILS: Details(), COARSE_DETAILS: Details()}
        self._starts: dict[int, int] = {}
        self._requests = self._running = 0
        self._gauges: dict[str, Any] = {}

    @property
    def store(self) -> Store | None:
        """The store of the host; None if its folder cannot be had."""
        if self._store is None:
            self._store = self._shared()
            if self._store is None and self._folder.usable():
                self._store, self._is_own_store = Store(self._folder.path / "store.sqlite", self._size), True
        return self._store

    def note(self, route: Series, seconds: float, scope: Scope) -> None:
        """Take a request that has been answered."""
        self.noted.append((route, seconds, scope.calls, scope.statements, scope.render_seconds, scope.queue))

    def fold(self, series: Series, values: Sequence[float]) -> None:
        """Take executions of a statement; all else comes with the requests."""
        if series.instrument is SQL or series.instrument is COMMIT:
            self._executed.append((series, values))

    def start(self) -> None:
        """Begin to write."""
        self.worker.start()

    def before_fork(self) -> None:
        """Nothing to do: what waits stays the parent's."""

    def after_fork(self) -> None:
        """Begin anew."""
        self.reset()
        self.worker.start()

    def shutdown(self, timeout: float) -> None:
        """Close the store."""
        del timeout
        if self._store is not None and self._is_own_store:
            self._store.close()

    def _tick(self) -> None:
        self._recorder.drain()
        begun = time.thread_time()  # a busy machine makes it wait, and waiting costs nobody anything
        now = int(time.time())
        new_step = self._roll(now)
        changed = self._add_up()
        if new_step:
            self._gauges = gauges(self._observers, self._guard)
            self._serves = self._serves or "threads" in self._gauges
        running = len(self._active)
        if self._serves and (changed or new_step or running != self._running or self.worker.stopping):
            self._running = running
            self._write(now, changed=changed)
        self.worker.interval = max(_TICK, (time.thread_time() - begun) / _SHARE)

    def _roll(self, now: int) -> bool:
        """Begin new steps where it is time; returns whether a fine one begins."""
        starts = {step: now // step * step for step in (FINE, COARSE, FINE_DETAILS, COARSE_DETAILS)}
        before, self._starts = self._starts, starts
        if not before or starts[FINE] == before[FINE]:
            return not before
        self._all[COARSE].add(self._all[FINE].as_list())
        self._all[FINE] = AllRequests()
        rows = [self._row(COARSE, before, ALL, self._all[COARSE].as_list())] if self._requests else []
        self._requests = 0
        if starts[COARSE] != before[COARSE]:
            self._all[COARSE] = AllRequests()
        if starts[FINE_DETAILS] != before[FINE_DETAILS]:
            rows += self._roll_details(before)
        if starts[COARSE_DETAILS] != before[COARSE_DETAILS]:
            self._details[COARSE_DETAILS] = Details()
        self._put(rows, DAY)
        return True

    def _roll_details(self, starts: Mapping[int, int]) -> list[HistoryRow]:
        fine, coarse = self._details[FINE_DETAILS], self._details[COARSE_DETAILS]
        self._details[FINE_DETAILS] = Details()
        if not fine.routes and not fine.statements:
            return []
        coarse.add_routes(fine.routes_as_list())
        coarse.add_statements(fine.statements_as_list())
        return [
            self._row(COARSE_DETAILS, starts, ROUTES, coarse.routes_as_list()),
            self._row(COARSE_DETAILS, starts, STATEMENTS, coarse.statements_as_list()),
        ]

    def _add_up(self) -> bool:
        """Add what came since the last tick to the present steps; returns whether anything did."""
        details = self._details[FINE_DETAILS]
        executions, requests = len(self._executed), len(self.noted)
        for _ in range(executions):
            series, values = self._executed.popleft()
            details.statement(_query(series)).durations.fold(values)
        for _ in range(requests):
            noted = self.noted.popleft()
            self._serves = True
            with self._guard:
                self._add_request(details, *noted)
        return executions + requests > 0

    def _add_request(
        self,
        details: Details,
        series: Series,
        seconds: float,
        calls: Mapping[str, tuple[int, float]] | None,
        statements: Mapping[Series, Repeated] | None,
        render: Sequence[float],
        queue: float | None,
    ) -> None:
        attributes = series.attributes
        name = OVERFLOW if series.overflow else attributes[ROUTE_NAME]
        failed = attributes.get("http.response.status_code", 0) >= _FAILED
        if name.startswith(OWN_ROUTES) and not failed and seconds < self._slow.routes.get(name, self._slow.seconds):
            return
        self._requests += 1
        self._all[FINE].durations.fold((seconds,))
        self._all[FINE].failed += failed
        if queue is not None:
            self._all[FINE].queue.fold((max(0.0, queue),))
        totals = details.route(attributes.get("http.request.method", "_OTHER"), name)
        totals.durations.fold((seconds,))
        totals.failed += failed
        for index, kind in enumerate(KINDS[:-1]):
            totals.seconds[index] += (calls or {}).get(kind, (0, 0.0))[1]
        totals.seconds[-1] += sum(render)
        for statement, repeated in list((statements or {}).items()):
            executed = details.statement(_query(statement))
            executed.max_repeats = max(executed.max_repeats, repeated.n)
            executed.add_routes((name,))

    def _write(self, now: int, *, changed: bool) -> None:
        starts, rows = self._starts, []
        if changed:
            details = self._details[FINE_DETAILS]
            rows = [
                self._row(FINE, starts, ALL, self._all[FINE].as_list()),
                self._row(FINE_DETAILS, starts, ROUTES, details.routes_as_list()),
                self._row(FINE_DETAILS, starts, STATEMENTS, details.statements_as_list()),
            ]
        rows.append(self._row(FINE, starts, PROCESS, self._state(now)))
        self._put(rows, HOUR)
        if self.worker.stopping:
            self._all[COARSE].add(self._all[FINE].as_list())
            self._put([self._row(COARSE, starts, ALL, self._all[COARSE].as_list()), *self._roll_details(starts)], DAY)

    def _row(self, step: int, starts: Mapping[int, int], key: str, value: Any) -> HistoryRow:
        if not self._process:
            self._process = f"{self.host}/{own_name()}"
        return HistoryRow(step, starts[step], self._process, key, packed(value))

    def _put(self, rows: Sequence[HistoryRow], keep: float) -> None:
        if rows and self._serves and (store := self.store) is not None:
            store.put_history(rows, keep)

    def _state(self, now: int) -> dict[str, Any]:
        return {
            "host": self.host,
            "pid": os.getpid(),
            "version": self._version,
            "start": round(self._started, 3),
            "at": now,
            "memory": memory_usage(),
            "running": len(self._active),
            "requests": self._requests,
            "overflowing": self._recorder.overflowing(),
            **self._gauges,
        }


def _query(series: Series) -> str:
    if series.instrument is COMMIT:
        return "COMMIT"
    return OVERFLOW if KEY in series.attributes else str(series.attributes["db.query.summary"])

"""The history of all processes, put together for the console."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from c2cotel import broadcast
from c2cotel.host.store import Store
from c2cotel.host.tables import HistoryRow
from c2cotel.runtime.history.processes import Process, processes_of
from c2cotel.runtime.history.steps import AllRequests, Details, StatementTotals, unpacked
from c2cotel.runtime.history.writer import (
    ALL,
    COARSE,
    COARSE_DETAILS,
    DAY,
    FINE,
    FINE_DETAILS,
    HOUR,
    PROCESS,
    ROUTES,
    STATEMENTS,
    History,
)

_ASK = "c2c_history"
_PATIENCE = 2.0
"""Seconds that other hosts have to tell what they have."""

_UNFINISHED = HOUR - 2 * COARSE_DETAILS
"""Seconds before now for which fine rows are read in any window: a killed process has not written its coarse ones."""

_MOST_DEATHS = 50


@dataclass(frozen=True)
class Window:
    """A time until now.

    Args:
        seconds: Its length.
        step: Seconds of a step of its series.
        title: What a page calls it.
    """

    seconds: int
    step: int
    title: str


WINDOWS = {
    "15m": Window(900, FINE, "15 min"),
    "1h": Window(HOUR, FINE, "hour"),
    "24h": Window(DAY, COARSE, "day"),
}


@dataclass
class Overview:
    """What all processes did in a window.

    Attributes:
        now: End of the window, seconds since the epoch.
        start: Begin of its first step.
        step: Seconds of a step.
        covered: Seconds of the window for which there is a history.
        steps: Requests of each step, oldest first.
        busy: Requests in progress at each step, oldest first.
        all: All requests.
        routes: Requests by verb and route.
        processes: The processes that run.
        deaths: Requests that died with their process, newest first.
        overflowing: Names of metrics that have all the series they may have.
        silent: Hosts and processes that did not answer.
    """

    now: float
    start: int
    step: int
    covered: float
    steps: list[AllRequests]
    busy: list[int]
    all: AllRequests
    routes: Details
    processes: list[Process]
    deaths: list[dict[str, Any]]
    overflowing: list[str]
    silent: list[str]


def overview(history: History, window: Window) -> Overview:
    """What the processes of all hosts did in a window."""
    now = time.time()
    start = int(now) // window.step * window.step - window.seconds + window.step
    parts, silent = _parts(history, "overview", start, now, window)
    steps = {start + offset: AllRequests() for offset in range(0, window.seconds, window.step)}
    busy = dict.fromkeys(steps, 0)
    every, details = AllRequests(), Details()
    processes: list[Process] = []
    deaths: list[dict[str, Any]] = []
    overflowing: dict[str, None] = {}
    since = now
    for part in parts:
        since = min(since, part["since"])
        for moment, values in part["all"]:
            every.add(values)
            if moment in steps:
                steps[moment].add(values)
        for moment, running in part["busy"]:
            if moment in busy:
                busy[moment] += running
        details.add_routes(part["routes"])
        processes += [Process(**each) for each in part["processes"]]
        deaths += part["deaths"]
        overflowing |= dict.fromkeys(part["overflowing"])
    return Overview(
        now=now,
        start=start,
        step=window.step,
        covered=max(1.0, now - max(start, since)),
        steps=list(steps.values()),
        busy=list(busy.values()),
        all=every,
        routes=details,
        processes=sorted(processes, key=lambda each: (each.host, each.pid)),
        deaths=sorted(deaths, key=lambda each: str(each["start"]), reverse=True)[:_MOST_DEATHS],
        overflowing=list(overflowing),
        silent=silent,
    )


def statements(history: History, window: Window) -> tuple[dict[str, StatementTotals], list[str]]:
    """The statements that all processes executed in a window, and who did not answer."""
    now = time.time()
    start = int(now) // window.step * window.step - window.seconds + window.step
    parts, silent = _parts(history, "statements", start, now, window)
    details = Details()
    for part in parts:
        details.add_statements(part["statements"])
    return details.statements, silent


def serve(history: History) -> Callable[[], None]:
    """Answer the questions of other hosts; returns what ends that."""

    def answer(asker: str, what: str, start: int, now: float, step: int) -> dict[str, Any]:
        if asker == history.host:
            return {"host": history.host}
        return {"host": history.host, "part": _PARTS[what](history, start, now, step)}

    broadcast.subscribe(_ASK, answer)
    return lambda: broadcast.unsubscribe(_ASK)


def _parts(
    history: History, what: str, start: int, now: float, window: Window
) -> tuple[list[dict[str, Any]], list[str]]:
    """What each host has, this one first, and who did not answer."""
    parts = {history.host: _PARTS[what](history, start, now, window.step)}
    if broadcast.store() is None:
        return list(parts.values()), []
    asked = {"asker": history.host, "what": what, "start": start, "now": now, "step": window.step}
    replies = broadcast.ask(_ASK, asked, timeout=_PATIENCE)
    for reply in replies.answers:
        if isinstance(reply, dict) and isinstance(reply.get("part"), dict):
            parts.setdefault(str(reply["host"]), reply["part"])  # several processes answer for a host
    here = f"{socket.gethostname()}/"
    return list(parts.values()), [name for name in replies.silent if not name.startswith(here)]


def _overview_part(history: History, start: int, now: float, step: int) -> dict[str, Any]:
    """What this host has of an overview, as JSON can hold it."""
    store = history.store
    if store is None:
        return _nothing(now)
    rows = list(_values(_rows(store, ALL, FINE, COARSE, start, now, step)))
    states = list(_values(store.history(FINE, max(start, now - HOUR), key=PROCESS)))
    busy: dict[int, int] = {}
    for row, state in states:
        if row.start % step == 0:
            busy[row.start] = busy.get(row.start, 0) + state["running"]
    details = Details()
    for _, routes in _values(_rows(store, ROUTES, FINE_DETAILS, COARSE_DETAILS, start, now, step)):
        details.add_routes(routes)
    processes = processes_of(history.host, [(row.process, row.start, state) for row, state in states], now)
    begun = [state["start"] for _, state in states] or [row.start for row, _ in rows]
    if step == COARSE:  # what is known of processes is kept for an hour
        begun += [row.start for row, _ in rows]
    latest = {row.process: state for row, state in states}
    return {
        "since": min(begun, default=now),
        "all": [(row.start // step * step, values) for row, values in rows],
        "busy": list(busy.items()),
        "routes": details.routes_as_list(),
        "processes": processes,
        "deaths": store.find(state="died", since=start, limit=_MOST_DEATHS)[0],
        "overflowing": list(dict.fromkeys(name for state in latest.values() for name in state["overflowing"])),
    }


def _nothing(now: float) -> dict[str, Any]:
    lists = ("all", "busy", "routes", "processes", "deaths", "overflowing", "statements")
    return {"since": now, **{name: [] for name in lists}}


def _statements_part(history: History, start: int, now: float, step: int) -> dict[str, Any]:
    store = history.store
    if store is None:
        return _nothing(now)
    details = Details()
    for _, values in _values(_rows(store, STATEMENTS, FINE_DETAILS, COARSE_DETAILS, start, now, step)):
        details.add_statements(values)
    return {"statements": details.statements_as_list()}


_PARTS: Mapping[str, Callable[[History, int, float, int], dict[str, Any]]] = {
    "overview": _overview_part,
    "statements": _statements_part,
}


def _rows(store: Store, key: str, fine: int, coarse: int, start: int, now: float, step: int) -> list[HistoryRow]:
    """The rows of a window: the coarse ones of a long one, but of the last part the fine ones."""
    if step == FINE:
        return store.history(fine, start // fine * fine, key=key)
    turn = int(now - _UNFINISHED) // COARSE_DETAILS * COARSE_DETAILS
    return store.history(coarse, start // coarse * coarse, turn, key=key) + store.history(fine, turn, key=key)


def _values(rows: Iterable[HistoryRow]) -> Iterable[tuple[HistoryRow, Any]]:
    for row in rows:
        try:
            value = unpacked(row.data)
        except Exception:  # noqa: BLE001, S112  # a row of another version, or damaged: the others can be shown
            continue
        yield row, value

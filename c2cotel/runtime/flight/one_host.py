"""What one host has for a search of requests: those that run, and those that are kept."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import orjson

from c2cotel.host import running
from c2cotel.host.records import Record, summary
from c2cotel.host.store import Store
from c2cotel.host.tables import normal_id

SLOT_ID = 64
"""Characters of a request id in a slot."""

_SHORTEST_PREFIX = 8
_IN_SLOT = "its process did not answer in time: this is all that it noted before"
"""Beside a record of a running request that is made of its slot alone."""


class Flight(Protocol):
    """What the search needs of the flight recorder of this process."""

    @property
    def host(self) -> str:
        """Name of the host."""

    @property
    def store(self) -> Store | None:
        """The kept requests of all processes of the host; None if its folder cannot be had."""

    def running_folder(self) -> Path | None:
        """Where the processes of the host note their running requests; None if there is no such folder."""

    def live(self, id: str) -> list[Record]:  # noqa: A002
        """The running requests of this process with a request id or trace id."""


@dataclass(frozen=True)
class Filters:
    """Which requests are searched for.

    Args:
        state: `running`, or a word of `KEPT`; None is all of them.
        route: Name of a route.
        status: An HTTP status, or its first digit.
        min_ms: Shortest duration in milliseconds; a running request counts with what it has taken so far.
        since: Earliest start, seconds since the epoch.
        until: Latest start, seconds since the epoch.
        q: A request id or trace id, or its first 8 characters or more, or a part of the path or of the error.
        limit: Most entries, up to 1,000.
        cursor: `next` of the answer before, to go on from there.
    """

    state: str | None = None
    route: str | None = None
    status: int | None = None
    min_ms: float | None = None
    since: float | None = None
    until: float | None = None
    q: str | None = None
    limit: int = 100
    cursor: str | None = None


@dataclass(frozen=True)
class Position:
    """How far a search has come.

    Args:
        running: Number of running requests that were given; None if all were.
        hosts: By host, a cursor of its store and how many entries after it were given; a host that has no more is
            missing. None is the begin of each.
    """

    running: int | None = 0
    hosts: Mapping[str, tuple[str, int]] | None = None

    def of(self, host: str) -> tuple[str, int] | None:
        """Cursor and number of entries of a host; None if it has no more."""
        return ("", 0) if self.hosts is None else self.hosts.get(host)


@dataclass
class Part:
    """What one host has for one search.

    Args:
        host: Its name.
        running: Its running requests, entries with `doing`.
        kept: Its kept requests, the newest first.
        start: The cursor of its store before the first of them.
        end: The cursor after the last of them; None if there are no more.
    """

    host: str
    running: list[dict[str, Any]] = field(default_factory=list)
    kept: list[dict[str, Any]] = field(default_factory=list)
    start: str = ""
    end: str | None = None


def parts_of(flight: Flight, searches: Iterable[Filters], without: str = "") -> list[Part]:
    """What this host has. The running requests first: one that ends meanwhile is in both, and never in neither.

    Args:
        flight: The flight recorder of this process.
        searches: What is searched for.
        without: Id of the request that asks; it is not among the running ones.
    """
    asking = (os.getpid(), without[:SLOT_ID])
    requests = [record for record in running_records(flight) if (record.pid, record.id) != asking]
    parts = []
    for filters in searches:
        part = _kept(flight, filters)
        matching = [record for record in requests if _matches(record, filters)]
        part.running = [{**summary(each), "doing": each.attributes.get("doing", "")} for each in matching]
        parts.append(part)
    return parts


def _kept(flight: Flight, filters: Filters) -> Part:
    part = Part(flight.host)
    place = position_of(filters.cursor).of(flight.host)
    store = flight.store
    if store is None or place is None or filters.state == "running":
        return part
    cursor: str | None
    cursor, given = place
    search = asdict(filters)
    if given:
        _, cursor = store.find(**{**search, "limit": given, "cursor": cursor or None})
        if cursor is None:
            return part
    part.start = cursor or ""
    part.kept, part.end = store.find(**{**search, "cursor": cursor or None})
    return part


def running_records(flight: Flight) -> list[Record]:
    """Records of what the processes of this host noted: what runs, and what died with a process."""
    folder = flight.running_folder()
    now = time.time()
    return [
        Record(
            id=request.id,
            trace_id=request.trace_id,
            kept=() if process.alive else ("died",),
            state="running" if process.alive else "done",
            method=request.method,
            path=request.path,
            route=request.route,
            start=request.start,
            duration_ms=round(max(0.0, now - request.start) * 1000, 3) if process.alive else 0.0,
            host=flight.host,
            pid=process.pid,
            thread=str(request.thread_id),
            reason=_IN_SLOT if process.alive else "",
            attributes={"doing": request.doing} if request.doing else {},
        )
        for process in (running.read(folder) if folder is not None else ())
        for request in process.requests
    ]


def processes_of(flight: Flight) -> list[dict[str, Any]]:
    """The processes of this host, as an answer lists them."""
    folder = flight.running_folder()
    processes = [
        {"pid": process.pid, "alive": process.alive, "running": len(process.requests) if process.alive else 0}
        for process in (running.read(folder) if folder is not None else ())
    ]
    if os.getpid() not in {process["pid"] for process in processes}:
        processes.append({"pid": os.getpid(), "alive": True, "running": 0})
    return [{"host": flight.host, **process, "silent": False} for process in processes]


def _matches(record: Record, filters: Filters) -> bool:
    state = ["running"] if record.state == "running" else record.kept
    return (
        filters.state in {None, *state}
        and filters.route in {None, record.route}
        and filters.status is None
        and record.duration_ms >= (filters.min_ms or 0)
        and (filters.since is None or record.start >= filters.since)
        and (filters.until is None or record.start <= filters.until)
        and (not filters.q or _contains(record, filters.q.strip()))
    )


def _contains(record: Record, q: str) -> bool:
    key = normal_id(q)
    ids = [normal_id(record.id), normal_id(record.trace_id)]
    starts = len(key) >= _SHORTEST_PREFIX and any(each.startswith(key) for each in ids)
    return starts or slot_has_id(record, q) or q.lower() in record.path.lower()


def slot_has_id(record: Record, id: str) -> bool:  # noqa: A002
    """Whether a running request has an id, of which its slot has the begin."""
    entry = {"id": record.id, "trace_id": record.trace_id}
    return has_id(entry, id) or (len(id) > SLOT_ID and has_id(entry, id[:SLOT_ID]))


def has_id(entry: Mapping[str, Any], id: str) -> bool:  # noqa: A002
    """Whether an entry has a request id or trace id."""
    return bool(key := normal_id(id)) and key in {normal_id(entry["id"]), normal_id(entry["trace_id"])}


def cursor_of(position: Position) -> str:
    """A position as text."""
    text = orjson.dumps([position.running, position.hosts])
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def position_of(cursor: str | None) -> Position:
    """Where a cursor points to.

    Raises:
        ValueError: It is none.
    """
    if not cursor:
        return Position()
    try:
        count, hosts = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))
        position = {str(host): (str(place), int(given)) for host, (place, given) in (hosts or {}).items()}
        return Position(None if count is None else max(0, int(count)), None if hosts is None else position)
    except (ValueError, TypeError, AttributeError):
        raise ValueError("`next` of an earlier answer") from None

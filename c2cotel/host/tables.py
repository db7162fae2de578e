"""The tables of the store, and a record as a row of them."""

from __future__ import annotations

import math
from typing import NamedTuple

from c2cotel.host.database import PAGE
from c2cotel.host.records import KEPT, Record, dumps, pack, summary

VERSION = 1
"""Number of the schema."""

SCHEMA = """
CREATE TABLE requests(
  key INTEGER PRIMARY KEY, at INTEGER NOT NULL, id TEXT NOT NULL, trace TEXT NOT NULL, pid INTEGER NOT NULL,
  grp TEXT NOT NULL, route TEXT NOT NULL, kept INTEGER NOT NULL, recent INTEGER NOT NULL, status INTEGER, ms REAL,
  path TEXT NOT NULL, error TEXT NOT NULL, bytes INTEGER NOT NULL, summary BLOB NOT NULL);
CREATE INDEX requests_at ON requests(at);
CREATE INDEX requests_id ON requests(id);
CREATE INDEX requests_trace ON requests(trace);
CREATE INDEX requests_grp ON requests(recent, grp, key, bytes);
CREATE TABLE bodies(key INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE history(
  step INTEGER NOT NULL, start INTEGER NOT NULL, process TEXT NOT NULL, key TEXT NOT NULL, data BLOB NOT NULL,
  PRIMARY KEY(step, start, process, key)) WITHOUT ROWID
"""

_ROW_OVERHEAD = 400
"""Bytes of a record in columns and indices, about."""

_RECENT_ONLY = 1 << KEPT.index("recent")
FARTHEST = 2.0**62
"""What is later than any time, in seconds or microseconds."""


class HistoryRow(NamedTuple):
    """What a process measured in one step of time.

    Args:
        step: Length of the step in seconds.
        start: Begin of the step, seconds since the epoch.
        process: Which process measured it.
        key: What was measured.
        data: The values, in the form of the one who writes them.
    """

    step: int
    start: int
    process: str
    key: str
    data: bytes


class RequestRow(NamedTuple):
    """A row of `requests`, and the one of `bodies` with it."""

    at: int
    id: str
    trace: str
    pid: int
    grp: str
    route: str
    kept: int
    recent: int
    status: int | None
    ms: float
    path: str
    error: str
    cost: int
    summary: bytes
    data: bytes


def request_row(record: Record) -> RequestRow:
    """The row of a record."""
    data = pack(record)
    entry = summary(record)
    listed = dumps(entry)
    kept = sum(1 << KEPT.index(word) for word in set(record.kept) if word in KEPT)
    error = entry["error"]
    body = len(data) if len(data) < PAGE else -(-len(data) // PAGE) * PAGE
    return RequestRow(
        at=microseconds(record.start),
        id=normal_id(record.id),
        trace=normal_id(record.trace_id),
        pid=record.pid,
        grp=clean(f"{entry['method']} {entry['route']}"),
        route=clean(entry["route"]),
        kept=kept,
        recent=int(kept in {0, _RECENT_ONLY}),
        status=record.status,
        ms=record.duration_ms,
        path=clean(entry["path"]),
        error=clean(f"{error['type']}: {error['message']}") if error else "",
        cost=body + len(listed) + _ROW_OVERHEAD,
        summary=listed,
        data=data,
    )


def microseconds(seconds: float) -> int:
    """Microseconds since the epoch."""
    return int(max(-FARTHEST, min(seconds * 1e6, FARTHEST))) if math.isfinite(seconds) else 0


def normal_id(id: str) -> str:  # noqa: A002
    """An id as it is searched for: without dashes and in lower case."""
    return clean(id).replace("-", "").lower()


def clean(text: str) -> str:
    """The text without lone surrogates, which SQLite does not take."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()

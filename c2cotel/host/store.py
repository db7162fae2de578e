"""The store of one service on one host: kept requests and history, in one file that all its processes share."""

from __future__ import annotations

import functools
import logging
import sqlite3
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from c2cotel.delivery.guard import Guard
from c2cotel.delivery.outage import Outage
from c2cotel.host import retention
from c2cotel.host.database import Database
from c2cotel.host.records import KEPT, Record, unpack
from c2cotel.host.tables import (
    FARTHEST,
    SCHEMA,
    VERSION,
    HistoryRow,
    RequestRow,
    clean,
    microseconds,
    normal_id,
    request_row,
)

_logger = logging.getLogger(__name__)

_SMALLEST = 2 * 1024 * 1024
_LARGEST_LOG = 4 * 1024 * 1024
_MOST = 1000
"""Entries of one answer."""

_SHORTEST_PREFIX = 8
"""Characters of an id that are enough to search for it."""

_STATUS_CLASS = 10
"""A status below it is the first digit of statuses."""

_LONGEST_QUERY = 1000
_NO_ID = " "
_HISTORY_CHECK = 16
"""Calls of `put_history` between two checks of how much history there is."""


class Store:
    """Kept requests and history of all processes of a service. No method raises because of the disk.

    The file and its write-ahead log stay within the size; below 16 MiB they may exceed it by a quarter, as one record
    may have 256 KiB. A damaged file that was set aside comes on top.

    Args:
        path: The file; its folder must exist and belong to the user.
        size: Bytes of the file and its write-ahead log; at least 2 MiB.

    Attributes:
        lost: Number of records that could not be written.
    """

    def __init__(self, path: Path, size: int) -> None:
        size = max(size, _SMALLEST)
        log = min(size // 8, _LARGEST_LOG)
        self.lost = 0
        self._limit = size - 2 * log
        self._largest_transaction = log // 4
        self._history_calls = 0
        self._database = Database(path, VERSION, SCHEMA, log)
        self._outage = Outage(f"The store of requests {path}", (), "records")
        self._unpackable = Guard(_logger, "A request could not be kept, others are")
        self._unreadable = Guard(_logger, f"The store of requests {path} could not be read, the answer is incomplete")

    def write(self, records: Sequence[Record]) -> None:
        """Keep records, in one transaction unless they are large; an earlier record of the same attempt is replaced."""
        rows: list[RequestRow] = []
        for record in records:
            try:
                rows.append(request_row(record))
            except Exception as error:  # noqa: BLE001  # an attribute of any class may be in it
                self.lost += 1
                self._unpackable.about(error)
        for batch in _batches(rows, self._largest_transaction):
            self._watched(functools.partial(self._insert, rows=batch), len(batch))

    def find(
        self,
        state: str | None = None,
        route: str | None = None,
        status: int | None = None,
        min_ms: float | None = None,
        since: float | None = None,
        until: float | None = None,
        q: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Find requests, the newest first.

        Args:
            state: A word of `KEPT`.
            route: Name of a route.
            status: An HTTP status, or its first digit.
            min_ms: Shortest duration in milliseconds.
            since: Earliest start, seconds since the epoch.
            until: Latest start, seconds since the epoch.
            q: A request id or trace id, or its first 8 characters or more, or a part of the path or of the error.
            limit: Most entries, up to 1,000.
            cursor: What the call before returned, to go on from there.

        Returns:
            Entries as `summary` makes them, and the cursor of the next ones; None if there are no more.
        """
        conditions: list[tuple[str, tuple[Any, ...]]] = []
        if state is not None:
            conditions.append(("kept & ?", (1 << KEPT.index(state) if state in KEPT else 0,)))
        if route is not None:
            conditions.append(("route = ?", (clean(route),)))
        if status is not None:
            conditions.append(("status / ? = ?", (100 if 0 < status < _STATUS_CLASS else 1, status)))
        if min_ms is not None:
            conditions.append(("ms >= ?", (min_ms,)))
        if since is not None:
            conditions.append(("at >= ?", (microseconds(since),)))
        if until is not None:
            conditions.append(("at <= ?", (microseconds(until),)))
        if q:
            conditions.append(_matches(q))
        if (position := _position(cursor)) is not None:
            conditions.append(("(at, key) < (?, ?)", position))
        limit = max(1, min(limit, _MOST))
        where = " AND ".join(f"({condition})" for condition, _ in conditions) or "1"
        query = f"SELECT at, key, summary FROM requests WHERE {where} ORDER BY at DESC, key DESC LIMIT ?"  # noqa: S608
        values = (*(value for _, each in conditions for value in each), limit + 1)
        rows = self._rows(query, values)
        entries = [orjson.loads(entry) for _, _, entry in rows[:limit]]
        return entries, f"{rows[limit - 1][0]}-{rows[limit - 1][1]}" if len(rows) > limit else None

    def get(self, id: str, limit: int = _MOST) -> list[Record]:  # noqa: A002
        """The records with a request id or a trace id, the newest first: several attempts or processes may have it."""
        key = normal_id(id) or _NO_ID
        rows = self._rows(
            "SELECT data FROM requests JOIN bodies USING (key) WHERE id = ? OR trace = ? "
            "ORDER BY at DESC, requests.key DESC LIMIT ?",
            (key, key, limit),
        )
        return self._unpacked(rows)

    def newest(self, limit: int) -> list[Record]:
        """The newest records; those that are kept for being recent alone come last."""
        rows = self._rows(
            "SELECT data FROM requests JOIN bodies USING (key) ORDER BY recent, at DESC, requests.key DESC LIMIT ?",
            (limit,),
        )
        return self._unpacked(rows)

    def put_history(self, rows: Iterable[HistoryRow], keep: float) -> None:
        """Add history, and delete what is older. All history takes a quarter of the size at most.

        Args:
            rows: What was measured; a row with equal step, start, process and key is replaced.
            keep: Seconds for which rows of these steps are kept.
        """
        batch = list(rows)
        now = time.time()

        def add(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO history VALUES (?, ?, ?, ?, ?)", batch)
            for step in {row.step for row in batch}:
                # After a clock was set back, rows of the future are as old as rows can be.
                connection.execute(
                    "DELETE FROM history WHERE step = ? AND (start < ? OR start > ?)", (step, now - keep, now + keep)
                )
            if self._history_calls % _HISTORY_CHECK == 0:
                retention.keep_history(connection, self._limit // 4)
            self._history_calls += 1
            retention.make_room(connection, 0, self._limit, for_recent=False)

        self._watched(add, 0)

    def history(
        self, step: int, since: float, until: float = FARTHEST, key: str | None = None, process: str | None = None
    ) -> list[HistoryRow]:
        """History of one step from `since` to before `until`, seconds since the epoch; by time, process and key."""
        rows = self._rows(
            "SELECT step, start, process, key, data FROM history WHERE step = ? AND start >= ? AND start < ? "
            "AND (? IS NULL OR key = ?) AND (? IS NULL OR process = ?) ORDER BY start, process, key",
            (step, since, until, key, key, process, process),
        )
        return [HistoryRow(*row) for row in rows]

    def close(self) -> None:
        """Close the file in this process."""
        self._database.close()

    def _watched(self, transaction: Callable[[sqlite3.Connection], None], records: int) -> None:
        def run() -> bool:
            self._database.write(transaction)
            return True

        if not self._outage.watch(run):
            self._outage.lost += records
            self.lost += records

    def _rows(self, query: str, values: Sequence[Any]) -> list[Any]:
        try:
            return self._database.read(lambda connection: connection.execute(query, values).fetchall(), [])
        except (sqlite3.Error, OSError) as error:
            if not self._outage.down:  # logged already
                self._unreadable.about(error)
            return []

    def _unpacked(self, rows: Iterable[Any]) -> list[Record]:
        records = []
        for (data,) in rows:
            with self._unreadable:
                records.append(unpack(data))
        return records

    def _insert(self, connection: sqlite3.Connection, rows: Sequence[RequestRow]) -> None:
        others = [row for row in rows if not row.recent]
        last: defaultdict[str, deque[RequestRow]] = defaultdict(lambda: deque(maxlen=retention.LAST_OF_A_ROUTE))
        for row in rows:
            if row.recent:
                last[row.grp].append(row)
        recent = [row for each in last.values() for row in each]
        for row in rows:
            same = connection.execute(
                "SELECT key FROM requests WHERE id = ? AND at = ? AND pid = ?", (row.id, row.at, row.pid)
            )
            retention.delete(connection, [key for (key,) in same.fetchall()])
        retention.make_room(connection, sum(row.cost for row in others), self._limit, for_recent=False)
        _add(connection, others)
        if retention.make_room(connection, sum(row.cost for row in recent), self._limit, for_recent=True):
            _add(connection, recent)
        retention.keep_last(connection, last)
        retention.shrink(connection, self._limit)


def _add(connection: sqlite3.Connection, rows: Sequence[RequestRow]) -> None:
    if rows:
        (last,) = connection.execute("SELECT max(key) FROM requests").fetchone()
        keyed = list(enumerate(rows, (last or 0) + 1))
        connection.executemany(
            "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(key, *row[:-1]) for key, row in keyed],
        )
        connection.executemany("INSERT INTO bodies VALUES (?, ?)", [(key, row.data) for key, row in keyed])


def _batches(rows: Sequence[RequestRow], largest: int) -> Iterator[list[RequestRow]]:
    batch: list[RequestRow] = []
    size = 0
    for row in rows:
        if batch and size + row.cost > largest:
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += row.cost
    if batch:
        yield batch


def _matches(q: str) -> tuple[str, tuple[Any, ...]]:
    text = clean(q.strip()[:_LONGEST_QUERY])
    pattern = "%" + text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") + "%"
    key = normal_id(text) or _NO_ID
    end = key + "\U0010ffff" if len(key) >= _SHORTEST_PREFIX else key
    return (
        "id BETWEEN ? AND ? OR trace BETWEEN ? AND ? OR path LIKE ? ESCAPE '\\' OR error LIKE ? ESCAPE '\\'",
        (key, end, key, end, pattern, pattern),
    )


def _position(cursor: str | None) -> tuple[int, int] | None:
    try:
        at, _, key = (cursor or "").rpartition("-")
        return max(-(2**62), min(int(at), 2**62)), max(0, min(int(key), 2**62))
    except ValueError:
        return None

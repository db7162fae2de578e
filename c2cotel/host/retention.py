"""What leaves the store, so that it stays within its size."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterable

from c2cotel.host.database import PAGE

LAST_OF_A_ROUTE = 20
"""Number of requests of a route that are kept for being recent alone."""

_HEADROOM = 32
"""Fraction of the limit that is freed beyond what is needed: routes are weighed once for many transactions."""

_VACUUM = 1024
"""Most pages that one transaction gives back to the file system."""


def keep_last(connection: sqlite3.Connection, groups: Iterable[str]) -> None:
    """Delete what was recent of these groups, each one verb of one route; by order of arrival, as clocks go back."""
    for group in groups:
        rows = connection.execute(
            "SELECT key FROM requests WHERE recent = 1 AND grp = ? ORDER BY key DESC LIMIT -1 OFFSET ?",
            (group, LAST_OF_A_ROUTE),
        )
        delete(connection, [key for (key,) in rows])


def delete(connection: sqlite3.Connection, keys: Iterable[int]) -> None:
    """Delete records."""
    for key in keys:
        connection.execute("DELETE FROM requests WHERE key = ?", (key,))
        connection.execute("DELETE FROM bodies WHERE key = ?", (key,))


def make_room(connection: sqlite3.Connection, needed: int, limit: int, *, for_recent: bool) -> bool:
    """Delete records until there is room for new ones: recent ones first, then of the route that takes most.

    Args:
        connection: Inside of a transaction.
        needed: Bytes of the new records.
        limit: Most bytes of the file.
        for_recent: The new records are recent alone: no others make room for them.

    Returns:
        Whether there is room.
    """
    for recent in (1,) if for_recent else (1, 0):
        while (excess := _used(connection) + needed - limit) > 0:
            if not _delete_oldest(connection, recent, excess + limit // _HEADROOM):
                break
    return _used(connection) + needed <= limit


def shrink(connection: sqlite3.Connection, limit: int) -> None:
    """Give pages back to the file system while the file is too large, as it is after its limit was lowered."""
    pages, free = _pages(connection)
    for _ in range(min(free, pages - limit // PAGE, _VACUUM)):
        # It gives back one page a step, and the sqlite3 module makes one step of a statement without columns.
        connection.execute("PRAGMA incremental_vacuum(1)")


def keep_history(connection: sqlite3.Connection, limit: int) -> None:
    """Delete the oldest history of the finest step until all of it takes at most `limit` bytes."""
    query = "SELECT sum(length(data) + length(process) + length(key) + 40) FROM history"
    while True:
        (total,) = connection.execute(query).fetchone()
        if (total or 0) <= limit:
            return
        connection.execute(
            "DELETE FROM history WHERE (step, start) IN "
            "(SELECT DISTINCT step, start FROM history ORDER BY step, start LIMIT "
            " (SELECT 1 + count(DISTINCT start) / 8 FROM history WHERE step = (SELECT min(step) FROM history)))"
        )


def _delete_oldest(connection: sqlite3.Connection, recent: int, excess: int) -> bool:
    """Delete the oldest records of the largest groups until `excess` bytes are free; returns whether any was."""
    totals = connection.execute("SELECT grp, sum(bytes) FROM requests WHERE recent = ? GROUP BY grp", (recent,))
    largest = [(-total, group, 0) for group, total in totals]
    heapq.heapify(largest)
    keys: list[int] = []
    while excess > 0 and largest:
        total, group, after = heapq.heappop(largest)
        # Until it is no larger than the next one, and at least one record.
        surplus = min(excess, -total - (-largest[0][0] if largest else 0))
        rows = connection.execute(
            "SELECT key, bytes FROM requests WHERE recent = ? AND grp = ? AND key > ? ORDER BY key",
            (recent, group, after),
        )
        for key, size in rows:
            keys.append(key)
            after, total, excess, surplus = key, total + size, excess - size, surplus - size
            if surplus <= 0:
                break
        rows.close()
        if total < 0:
            heapq.heappush(largest, (total, group, after))
    delete(connection, keys)
    return bool(keys)


def _used(connection: sqlite3.Connection) -> int:
    pages, free = _pages(connection)
    return (pages - free) * PAGE


def _pages(connection: sqlite3.Connection) -> tuple[int, int]:
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    return pages, free

"""The log records of kept requests, of all hosts together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from c2cotel import broadcast
from c2cotel.host.records import Record, iso
from c2cotel.runtime.flight.one_host import Flight

_LINES = "c2c_requests_lines"
_PATIENCE = 2.0
_RECORDS = 50
"""The newest kept requests of a host whose log records are looked at."""

_MOST = 200
_LONGEST = 1000
_TEXTS = ("time", "level", "logger", "message", "id", "trace_id", "start", "request")
_NUMBERS = {name: number for number, name in enumerate(("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"), 1)}


def lines(flight: Flight, level: str, logger: str = "") -> list[dict[str, Any]]:
    """Log records of the newest kept requests, the newest first, at most 200.

    Args:
        flight: The flight recorder of this process.
        level: Name of the lowest level that is wanted; levels of an application's own are always in.
        logger: Part of the names of the loggers that are wanted, in small letters.

    Returns:
        Of each `time`, ISO 8601 in UTC; `level`, `logger`, `message`; whether there is a stack trace, as `exception`;
        and of its request `id`, `trace_id`, `pid` and `start` as a search has them, and verb and route as `request`.
    """
    hosts = {flight.host: _of_host(flight, level, logger)}
    if broadcast.store() is not None:
        asked = {"asker": flight.host, "level": level, "logger": logger}
        for answer in broadcast.ask(_LINES, asked, timeout=_PATIENCE).answers:
            if isinstance(answer, dict) and isinstance(answer.get("lines"), list):
                hosts.setdefault(str(answer.get("host")), [_clean(each) for each in answer["lines"] if _is_line(each)])
    newest = [each for those in hosts.values() for each in those]
    return sorted(newest, key=lambda each: str(each["time"]), reverse=True)[:_MOST]


def serve_lines(flight: Flight) -> Callable[[], None]:
    """Answer the processes of other hosts; returns what ends that."""

    def answer(asker: str, level: str, logger: str) -> dict[str, Any]:
        if asker == flight.host:
            return {"host": flight.host}
        return {"host": flight.host, "lines": _of_host(flight, level, logger)}

    broadcast.subscribe(_LINES, answer)
    return lambda: broadcast.unsubscribe(_LINES)


def _of_host(flight: Flight, level: str, logger: str) -> list[dict[str, Any]]:
    store = flight.store
    records = [] if store is None else store.newest(_RECORDS)
    listed = sorted(_of_records(records, level, logger), key=lambda each: str(each["time"]), reverse=True)
    return listed[:_MOST]


def _of_records(records: Iterable[Record], level: str, logger: str) -> Iterable[dict[str, Any]]:
    least = _NUMBERS.get(level, 0)
    for record in records:
        for log in record.logs:
            if (
                _NUMBERS.get(str(log.get("level")), logging.CRITICAL) >= least
                and logger in str(log.get("logger")).lower()
            ):
                yield {
                    "time": iso(record.start + float(log.get("ms", 0)) / 1000),
                    "level": str(log.get("level"))[:_LONGEST],
                    "logger": str(log.get("logger"))[:_LONGEST],
                    "message": str(log.get("message"))[:_LONGEST],
                    "exception": bool(log.get("exception")),
                    "id": record.id,
                    "trace_id": record.trace_id,
                    "pid": record.pid,
                    "start": iso(record.start),
                    "request": f"{record.method} {record.route or record.path}"[:_LONGEST],
                }


def _clean(line: dict[str, Any]) -> dict[str, Any]:
    """A line of another host: short texts that can be written as UTF-8."""
    texts = {name: line[name][:_LONGEST].encode("utf-8", "replace").decode() for name in _TEXTS}
    return {**texts, "exception": bool(line.get("exception")), "pid": line["pid"]}


def _is_line(line: Any) -> bool:
    return (
        isinstance(line, dict)
        and isinstance(line.get("pid"), int)
        and all(isinstance(line.get(name), str) for name in _TEXTS)
    )

"""A kept request: what is known of it, as the pages show it, and packed for the store."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import orjson

KEPT = ("failed", "slow", "stalled", "died", "debug", "recent")
"""The reasons for which a request is kept, as words of `Record.kept`."""

MOST_SPANS = 1000
MOST_LOGS = 500
LARGEST = 256 * 1024
"""Bytes of a packed record."""

_LARGEST_READ = 4 * 1024 * 1024
"""Bytes of a record that is unpacked: the same text again and again takes hardly any room when it is packed."""

_LONGEST_IN_SUMMARY = 1000
"""Characters of each text in a summary: a list of 100 entries is read at once."""

_LENGTHS = (65_536, 16_384, 4_096, 1_024, 256)
"""Characters to which the texts of a record are cut, one after the other, until it fits."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def _calls() -> dict[str, float]:
    return {"n": 0, "ms": 0.0}


def _dropped() -> dict[str, int]:
    return {"spans": 0, "logs": 0}


@dataclass(frozen=True)
class Record:
    """One attempt of a request in one process. Secrets are hidden before it is made.

    Args:
        id: The request id.
        trace_id: The trace id, 32 hexadecimal digits; empty if there is none.
        kept: Why it is kept, words of `KEPT`.
        reason: More about that, as free text.
        state: `running` or `done`.
        method: The HTTP verb.
        path: The path without the query.
        query: The query string.
        route: Name of the route; empty if none matched.
        status: The HTTP status; None if none was sent.
        start: Wall clock, seconds since the epoch.
        duration_ms: Wall clock.
        queue_ms: Milliseconds from the proxy to the process; None if not measured.
        host: Name of the host.
        pid: Id of the process.
        thread: Name of the thread.
        versions: Version by package or application.
        error: `type`, `message` and `stack`; None if nothing failed.
        sql: Number `n` of calls and their total `ms`; `redis` and `http` alike.
        render_ms: Milliseconds in renderers.
        spans: At most `MOST_SPANS`, as the contract describes them.
        logs: At most `MOST_LOGS`, as the contract describes them.
        dropped: Number of spans and logs that are left out; `texts` is present if texts were cut.
        stacks: Stacks of a stall: `ms` from the start, and `frames`, the outermost first.
        profile: Call tree of the stacks that were sampled while it ran: `interval_ms`, number of `samples`, and `tree`
            of nodes with `name`, `file`, `line`, `n` and `children`; None if none were.
        attributes: Annotations by name.
    """

    id: str
    trace_id: str = ""
    kept: tuple[str, ...] = ("recent",)
    reason: str = ""
    state: str = "done"
    method: str = "GET"
    path: str = "/"
    query: str = ""
    route: str = ""
    status: int | None = None
    start: float = 0.0
    duration_ms: float = 0.0
    queue_ms: float | None = None
    host: str = ""
    pid: int = 0
    thread: str = ""
    versions: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, str] | None = None
    sql: Mapping[str, float] = field(default_factory=_calls)
    redis: Mapping[str, float] = field(default_factory=_calls)
    http: Mapping[str, float] = field(default_factory=_calls)
    render_ms: float = 0.0
    spans: Sequence[Mapping[str, Any]] = field(default_factory=list)
    logs: Sequence[Mapping[str, Any]] = field(default_factory=list)
    dropped: Mapping[str, int] = field(default_factory=_dropped)
    stacks: Sequence[Any] = field(default_factory=list)
    profile: Mapping[str, Any] | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


_NAMES = tuple(each.name for each in fields(Record))


def summary(record: Record) -> dict[str, Any]:
    """One entry of `/requests.json`; texts of more than 1,000 characters are cut."""
    error = record.error
    return {
        "id": _short(record.id),
        "trace_id": record.trace_id,
        "state": record.state,
        "kept": list(record.kept),
        "method": _short(record.method),
        "path": _short(record.path),
        "route": _short(record.route),
        "status": record.status,
        "start": iso(record.start),
        "duration_ms": record.duration_ms,
        "queue_ms": record.queue_ms,
        "host": record.host,
        "pid": record.pid,
        "error": error and {"type": _short(error.get("type", "")), "message": _short(error.get("message", ""))},
        "sql": record.sql,
        "redis": record.redis,
        "http": record.http,
        "render_ms": record.render_ms,
    }


def whole(record: Record) -> dict[str, Any]:
    """The whole record, as `/requests/{id}.json` gives it."""
    entry = summary(record)
    for name in _NAMES:
        if name not in {"kept", "start"}:
            entry[name] = getattr(record, name)
    if record.profile is None:
        del entry["profile"]
    return entry


def iso(start: float) -> str:
    """A time as ISO 8601 in UTC with milliseconds.

    Args:
        start: Wall clock, seconds since the epoch; what no calendar has is shown as the epoch.
    """
    try:
        moment = _EPOCH + timedelta(milliseconds=math.floor(start * 1000))
    except (OverflowError, ValueError):
        moment = _EPOCH
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


def dumps(value: Any) -> bytes:
    """JSON of anything: what JSON cannot carry becomes text."""
    try:
        return orjson.dumps(value)
    except (TypeError, UnicodeEncodeError):
        return orjson.dumps(_cleaned(value))


def pack(record: Record) -> bytes:
    """The record as compressed JSON of `LARGEST` bytes at most.

    If it is larger, the last log records go first, then the last spans, then all texts are cut, the longest first.
    """
    record = _limited(record, len(record.logs[:MOST_LOGS]), len(record.spans[:MOST_SPANS]))
    for length in _LENGTHS:
        if len(dumps(record.__dict__)) <= _LARGEST_READ:
            break
        record = _cut(record, length)
    data = _packed(record)
    if len(data) > LARGEST:
        record, data = _fitted(data, lambda n: _limited(record, n, len(record.spans)), len(record.logs))
    if len(data) > LARGEST:
        record, data = _fitted(data, lambda n: _limited(record, 0, n), len(record.spans))
    for length in _LENGTHS:
        if len(data) <= LARGEST:
            return data
        data = _packed(_cut(record, length))
    if len(data) > LARGEST:  # a great many short texts
        data = _packed(replace(_cut(record, _LENGTHS[-1]), stacks=[], profile=None, attributes={}, versions={}))
    return data


def unpack(data: bytes) -> Record:
    """The record that was packed.

    Raises:
        ValueError: The data is no packed record.
    """
    try:
        values = orjson.loads(zlib.decompress(data))
        values["kept"] = tuple(values["kept"])
        return Record(**{name: values[name] for name in _NAMES if name in values})
    except (zlib.error, KeyError, TypeError) as error:
        raise ValueError(f"no packed record: {error}") from error


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_IN_SUMMARY else text[:_LONGEST_IN_SUMMARY] + "…"


def _packed(record: Record) -> bytes:
    return zlib.compress(dumps(record.__dict__), 1)


def _limited(record: Record, logs: int, spans: int) -> Record:
    """The record with its first logs and spans, the others counted."""
    if logs == len(record.logs) and spans == len(record.spans):
        return record
    dropped = dict(record.dropped)
    dropped["logs"] = dropped.get("logs", 0) + len(record.logs) - logs
    dropped["spans"] = dropped.get("spans", 0) + len(record.spans) - spans
    return replace(record, logs=record.logs[:logs], spans=record.spans[:spans], dropped=dropped)


def _fitted(data: bytes, limited: Callable[[int], Record], most: int) -> tuple[Record, bytes]:
    """The record with as many items as fit, by what they cost on average: few rounds, each compresses once."""
    without = limited(0)
    rest = _packed(without)
    size, n = len(data), most
    while n and len(rest) < LARGEST:
        n = int(n * (LARGEST - len(rest)) / (size - len(rest)) * 0.95) if size > len(rest) else 0
        fewer = limited(n)
        data = _packed(fewer)
        if len(data) <= LARGEST:
            return fewer, data
        size = len(data)
    return without, rest


def _cut(record: Record, length: int) -> Record:
    """The record with no text longer than `length` characters, the cut ones counted."""
    cut = 0

    def shorter(value: Any) -> Any:
        nonlocal cut
        if isinstance(value, str) and len(value) > length:
            cut += 1
            return value[:length] + "…"
        if isinstance(value, Mapping):
            return {shorter(str(key)): shorter(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [shorter(each) for each in value]
        return value

    values = {name: shorter(getattr(record, name)) for name in _NAMES}
    values["kept"] = record.kept
    values["dropped"] = {**record.dropped, "texts": record.dropped.get("texts", 0) + cut}
    return Record(**values)


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return int(value)
    if isinstance(value, Mapping):
        return {_cleaned(str(key)): _cleaned(each) for key, each in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes | bytearray):
        return [_cleaned(each) for each in value]
    return _cleaned(str(value))

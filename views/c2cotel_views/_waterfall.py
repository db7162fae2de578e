"""What happened in a request as rows of a waterfall: spans in the order of their tree, log records at their time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from c2cotel_views._formats import Texts, duration

_WIDTH = 1000
"""Units of a bar that is as long as the request."""

_THINNEST = 3.0
_DEEPEST = 12
"""Levels of the tree that are shown by indentation."""

_SAME = 3
"""Equal spans in a row that are shown as one."""

_MOST_BARS = 200
_MOST_LOGS = 200
"""Log records in the waterfall; all of them are in the list of log records."""

_REPEATED = 10
"""Equal statements in one request that are worth a line."""

_LONGEST_TRACEBACK = 30_000
_STATEMENTS = ("db.query.text", "db.statement")
_SYSTEMS = ("db.system.name", "db.system")
_LOUD = {"ERROR", "CRITICAL", "FATAL"}


@dataclass
class Row:
    """A span, several equal ones in a row, or a log record.

    Args:
        kind: `sql`, `redis`, `http`, `render`, `app`, or `log`.
        label: What it is, in one line.
        note: What else the line says: a status, an error, a count.
        bad: Whether it failed, or is the log record of an error.
        depth: Levels below the request.
        start: Milliseconds from the request's start.
        end: Milliseconds from the request's start.
        took: Its duration as text; for a log record its time.
        bars: Start and width of each bar, in units of `WIDTH`.
        statement: SQL, as a whole.
        details: Names and values.
        number: Number of a log record in the list.
    """

    kind: str
    label: str
    note: str = ""
    bad: bool = False
    depth: int = 0
    start: float = 0.0
    end: float = 0.0
    took: str = ""
    bars: list[tuple[float, float]] = field(default_factory=list)
    statement: str = ""
    details: list[tuple[str, str]] = field(default_factory=list)
    number: int = 0


@dataclass
class LogLine:
    """A log record.

    Args:
        time: Milliseconds from the request's start, as text.
        level: Name of its level.
        logger: Name of its logger.
        message: The message.
        exception: Its traceback; empty without one.
        buffered: Whether it is below the level of its logger.
        bad: Whether it tells of an error.
        quiet: Whether it is for developers.
    """

    time: str
    level: str
    logger: str
    message: str
    exception: str
    buffered: bool
    bad: bool
    quiet: bool


def waterfall(record: Mapping[str, Any], texts: Texts) -> list[Row]:
    """The rows of a whole record."""
    spans: Sequence[Mapping[str, Any]] = record["spans"]
    total = max([record["duration_ms"] or 0.0, 0.001, *(span["start_ms"] + span["duration_ms"] for span in spans)])
    rows = [_row(group, depth, total, texts) for group, depth in _groups(spans)]
    logs = [_log_row(log, number, total, texts) for number, log in enumerate(record["logs"][:_MOST_LOGS], 1)]
    return _with_logs(rows, sorted(logs, key=lambda row: row.start))


def log_lines(record: Mapping[str, Any], texts: Texts) -> list[LogLine]:
    """The log records of a whole record."""
    return [
        LogLine(
            time=_offset(log["ms"]),
            level=texts.cut(log["level"], 40),
            logger=texts.cut(log["logger"], 200),
            message=texts.cut(log["message"], 10_000),
            exception=texts.cut(log.get("exception") or "", _LONGEST_TRACEBACK),
            buffered=bool(log.get("buffered")),
            bad=log["level"] in _LOUD,
            quiet=log["level"] == "DEBUG",
        )
        for log in record["logs"]
    ]


def repeated(record: Mapping[str, Any], texts: Texts) -> list[str]:
    """A sentence for each statement that came many times, the longest first."""
    times: dict[str, list[float]] = {}
    for span in record["spans"]:
        if _kind(span) == "sql" and (statement := _statement(span)):
            times.setdefault(statement, []).append(span["duration_ms"])
    several = {statement: each for statement, each in times.items() if len(each) >= _REPEATED}
    return [
        f"{len(each):,} \u00d7 the same statement took {duration(sum(each))} of {duration(record['duration_ms'])}: "
        + texts.line(statement, 160)
        for statement, each in sorted(several.items(), key=lambda item: -sum(item[1]))[:5]
    ]


def _groups(spans: Sequence[Mapping[str, Any]]) -> Iterator[tuple[list[Mapping[str, Any]], int]]:
    """Spans with their depth, in the order of the tree; equal ones in a row, that have no children, together."""
    places = {span["span_id"]: place for place, span in enumerate(spans)}
    children: dict[int | None, list[int]] = {}
    for place, span in enumerate(spans):
        parent = places.get(span["parent_id"])
        children.setdefault(None if parent == place else parent, []).append(place)
    for each in children.values():
        each.sort(key=lambda place: spans[place]["start_ms"])
    visited: set[int] = set()
    # What has no way up to a root, such as two spans that are each other's parents, begins a tree as well.
    for begin in [*children.get(None, ()), *range(len(spans))]:
        stack = [([begin], 0)]
        while stack:
            group, depth = stack.pop()
            if group[0] in visited:
                continue
            visited.update(group)
            yield [spans[place] for place in group], depth
            below = _equal(children.get(group[0], ()), spans, children)
            stack += [(each, depth + 1) for each in reversed(below)]


def _equal(
    places: Iterable[int], spans: Sequence[Mapping[str, Any]], children: Mapping[int | None, list[int]]
) -> list[list[int]]:
    """Places of siblings, those of equal spans in a row together."""
    runs: list[list[int]] = []
    last = None
    for place in places:
        span = spans[place]
        same = None if place in children else (span["name"], _kind(span), _statement(span), _failure(span))
        if same is not None and same == last:
            runs[-1].append(place)
        else:
            runs.append([place])
        last = same
    return [part for run in runs for part in ([run] if len(run) >= _SAME else [[place] for place in run])]


def _row(group: Sequence[Mapping[str, Any]], depth: int, total: float, texts: Texts) -> Row:
    span = group[0]
    attributes = span["attributes"] or {}
    statement = _statement(span)
    failure = _failure(span)
    status = attributes.get("http.response.status_code", attributes.get("http.status_code"))
    notes = [f"\u00d7 {len(group)}" if len(group) > 1 else "", failure or ("" if status is None else str(status))]
    details = [
        (texts.line(str(name), 100), texts.cut(value))
        for name, value in attributes.items()
        if name not in _STATEMENTS or not statement
    ]
    for event in span["events"] or ():
        shown = {"ms": event.get("ms"), **(event.get("attributes") or {})}
        trace = shown.pop("exception.stacktrace", None)
        details.append((texts.line(f"event {event.get('name')}", 100), texts.cut(shown)))
        if trace:
            details.append(("traceback", texts.cut(trace, _LONGEST_TRACEBACK)))
    if description := (span["status"] or {}).get("description") if isinstance(span["status"], Mapping) else None:
        details.append(("status", texts.cut(description)))
    if len(group) > 1:
        lines = [f"{_offset(each['start_ms'])}: {duration(each['duration_ms'])}" for each in group[:_MOST_BARS]]
        details.insert(0, ("each", ", ".join(lines)))
    details.insert(0, ("time", f"{_offset(span['start_ms'])}, {texts.line(str(span['kind']), 20)}"))
    return Row(
        kind=_kind(span),
        label=texts.line(_label(span, statement)),
        note=texts.line(" ".join(filter(None, notes)), 80),
        bad=bool(failure),
        depth=min(depth, _DEEPEST),
        start=span["start_ms"],
        end=max(each["start_ms"] + each["duration_ms"] for each in group),
        took=duration(sum(each["duration_ms"] for each in group)),
        bars=[_bar(each["start_ms"], each["duration_ms"], total) for each in group[:_MOST_BARS]],
        statement=texts.cut(statement, 10_000),
        details=details,
    )


def _log_row(log: Mapping[str, Any], number: int, total: float, texts: Texts) -> Row:
    return Row(
        kind="log",
        label=texts.line(log["message"]),
        note=texts.line(log["level"], 40),
        bad=log["level"] in _LOUD,
        start=log["ms"],
        took=_offset(log["ms"]),
        bars=[_bar(log["ms"], 0, total)],
        number=number,
    )


def _with_logs(rows: Sequence[Row], logs: Sequence[Row]) -> list[Row]:
    """All rows; a log record stands before the first span that began after it, below the one that it came from."""
    merged: list[Row] = []
    waiting = list(reversed(logs))
    for row in [*rows, None]:
        while waiting and (row is None or waiting[-1].start < row.start):
            log = waiting.pop()
            around = next((each for each in reversed(merged) if each.kind != "log" and each.end >= log.start), None)
            log.depth = 0 if around is None else min(around.depth + 1, _DEEPEST)
            merged.append(log)
        if row is not None:
            merged.append(row)
    return merged


def _bar(start: float, length: float, total: float) -> tuple[float, float]:
    left = min(max(0.0, start / total * _WIDTH), _WIDTH - _THINNEST)
    return round(left, 1), round(min(max(_THINNEST, length / total * _WIDTH), _WIDTH - left), 1)


def _kind(span: Mapping[str, Any]) -> str:
    attributes = span["attributes"] or {}
    system = next((attributes[name] for name in _SYSTEMS if name in attributes), None)
    if system is not None:
        return "redis" if system in {"redis", "valkey"} else "sql"
    if str(span["kind"]).lower() == "client" and any(str(name).startswith(("http.", "url.")) for name in attributes):
        return "http"
    return "render" if str(span["name"]).startswith("render") else "app"


def _statement(span: Mapping[str, Any]) -> str:
    attributes = span["attributes"] or {}
    return next((str(attributes[name]) for name in _STATEMENTS if attributes.get(name)), "")


def _label(span: Mapping[str, Any], statement: str) -> str:
    attributes = span["attributes"] or {}
    kind = _kind(span)
    if kind == "sql" and statement:
        return statement
    if kind == "http" and (url := attributes.get("url.full") or attributes.get("http.url")):
        return f"{attributes.get('http.request.method') or attributes.get('http.method') or ''} {url}"
    return str(span["name"])


def _failure(span: Mapping[str, Any]) -> str:
    """The name of the error of a span; empty if it did not fail."""
    status = span["status"]
    code = status.get("code") if isinstance(status, Mapping) else status
    if "ERROR" not in str(code).upper():
        return ""
    attributes = span["attributes"] or {}
    named = [(event.get("attributes") or {}).get("exception.type") for event in span["events"] or ()]
    name = next(filter(None, [*named, attributes.get("error.type"), attributes.get("http.response.status_code")]), "")
    return str(name or "failed").rpartition(".")[2]


def _offset(milliseconds: float) -> str:
    return f"+{duration(max(0.0, milliseconds))}"

"""From an entry to the record that is stored, secrets hidden."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from opentelemetry.sdk.trace import Span as SdkSpan

from c2cotel import redaction
from c2cotel.host.records import Record
from c2cotel.host.store import Store
from c2cotel.runtime.flight.entry import Entry
from c2cotel.runtime.flight.logs import shown_log
from c2cotel.runtime.flight.spans import SpanReader, exception_of

_MOST_PATHS = 5000
_LONGEST_PATH = 200


class RecordMaker:
    """Makes the records of one process.

    Args:
        host: Name of the host.
        versions: Versions of the application and of what it runs on.
    """

    def __init__(self, host: str, versions: Mapping[str, str]) -> None:
        self._host = host
        self._versions = versions
        self._spans = SpanReader()

    def make(self, entry: Entry, kept: Sequence[str], *, running: bool = False) -> Record:
        """The record of a request.

        Args:
            entry: What is noted of it.
            kept: Why it is kept.
            running: Whether it has not ended yet.
        """
        local = entry.local
        method, path, query = entry.environ
        start = entry.start / 1e9
        calls = entry.calls or getattr(entry.scope, "calls", None) or {}
        spans = [self._spans.read(span, entry.start) for span in list(local.spans)]
        spans.sort(key=_start_of)
        buffered = tuple(kept) != ("recent",)
        logs = [shown_log(note, start) for note in list(local.logs) if buffered or not note.buffered]
        seconds = time.time() - start if running else entry.seconds
        return Record(
            id=redaction.anywhere(entry.id),
            trace_id=entry.trace_id,
            kept=tuple(kept),
            reason=redaction.cut(entry.reason or "", 1000),
            state="running" if running else "done",
            method=method,
            path=redaction.anywhere(_decoded(path)),
            query=redaction.query(query[: redaction.LONGEST]),
            route=route_of(entry),
            status=entry.status,
            start=start,
            duration_ms=round(seconds * 1000, 3),
            queue_ms=None if entry.queue is None else round(entry.queue * 1000, 3),
            host=self._host,
            pid=os.getpid(),
            thread=entry.thread,
            versions=self._versions,
            error=entry.error or _hidden_exception(entry),
            sql=_calls(calls, "sql"),
            redis=_calls(calls, "redis"),
            http=_calls(calls, "http"),
            render_ms=round(sum(entry.render) * 1000, 3),
            spans=spans,
            logs=logs,
            dropped={"spans": local.dropped_spans, "logs": local.dropped_logs},
            stacks=list(entry.stacks),
            profile=None if entry.samples is None else entry.samples.tree(),
            attributes=redaction.value(dict(local.attributes)) if local.attributes else {},
        )


def shown_path(path: str) -> str:
    """The path of a request, secrets hidden; WSGI hands its bytes over as Latin-1 (PEP 3333)."""
    return redaction.anywhere(_decoded(path))


def _decoded(path: str) -> str:
    return path if path.isascii() else path.encode("latin-1", "replace").decode("utf-8", "replace")


def _start_of(span: Mapping[str, Any]) -> float:
    start: float = span["start_ms"]
    return start


def _calls(calls: Mapping[str, tuple[int, float]], kind: str) -> dict[str, float]:
    n, seconds = calls.get(kind, (0, 0.0))
    return {"n": n, "ms": round(seconds * 1000, 3)}


def route_of(entry: Entry) -> str:
    """Name of the route, also while the request runs; empty as long as none matched."""
    if entry.route or entry.scope is None:
        return entry.route
    request = getattr(entry.scope, "request", None)
    route = getattr(request, "matched_route", None)
    return "" if route is None else str(route.name)


def _hidden_exception(entry: Entry) -> Mapping[str, str] | None:
    root = entry.local.root
    exception = exception_of(root) if isinstance(root, SdkSpan) else None
    return exception and {name: redaction.anywhere(text) for name, text in exception.items()}


class ShownPaths(dict[str, str]):
    """Paths as they are shown, by themselves; remembers many."""

    def __missing__(self, path: str) -> str:
        shown = shown_path(path)
        if len(self) >= _MOST_PATHS:
            self.clear()
        if len(path) <= _LONGEST_PATH:
            self[path] = shown
        return shown


def merged(record: Record, store: Store) -> Record:
    """A record with what an earlier one of the same attempt says more, as one that was written while it stalled."""
    for earlier in store.get(record.id):
        if earlier.start == record.start and earlier.pid == record.pid:
            kept = [word for word in (*earlier.kept, *record.kept) if word != "recent"]
            return replace(
                record,
                kept=tuple(dict.fromkeys(kept)),
                reason=record.reason or earlier.reason,
                query=record.query or earlier.query,
                thread=earlier.thread,
                versions=record.versions or earlier.versions,
                spans=max(earlier.spans, record.spans, key=len),
                logs=max(earlier.logs, record.logs, key=len),
                stacks=max(earlier.stacks, record.stacks, key=len),
                profile=record.profile or earlier.profile,
                attributes={**earlier.attributes, **record.attributes},
            )
    return record

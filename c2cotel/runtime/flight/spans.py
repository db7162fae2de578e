"""Spans as a record has them: what the contract describes, secrets hidden."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from c2cotel import redaction
from c2cotel.tracing import Span
from c2cotel.tracing.redact import hide_secrets

_MOST_REMEMBERED = 10_000
_LONGEST_REMEMBERED = 200
_SIMPLE = frozenset({str, int, float, bool})


class SpanReader:
    """Reads ended spans; remembers which texts of them are without secrets, as most come again and again."""

    def __init__(self) -> None:
        self._texts: dict[tuple[str, str], str] = {}
        self._rules = redaction.rules()

    def read(self, span: ReadableSpan, start: int) -> dict[str, Any]:
        """A span of a record.

        Args:
            span: It has ended.
            start: Start of its request, nanoseconds since the epoch.
        """
        if self._rules is not redaction.rules():
            self._rules = redaction.rules()
            self._texts.clear()
        parts = span.plain_parts() if isinstance(span, Span) else None
        if parts is not None and _SIMPLE.issuperset(map(type, parts[6].values())):
            name, context, parent, kind, begin, end, attributes, status = parts
            hidden = {key: self._hidden(key, value) for key, value in attributes.items()}
            shown = self._shown(self._text("", name), context, parent, kind, begin or start, end or start, start)
            shown["attributes"] = hidden
            shown["status"] = {"code": status.name}
            return shown
        return self._thoroughly(hide_secrets(span.readable() if isinstance(span, Span) else span), start)

    def _thoroughly(self, span: ReadableSpan, start: int) -> dict[str, Any]:
        begin = span.start_time or start
        shown = self._shown(span.name, span.context, span.parent, span.kind, begin, span.end_time or begin, start)
        shown["attributes"] = dict(span.attributes or {})
        shown["events"] = [
            {
                "ms": milliseconds(event.timestamp - start),
                "name": event.name,
                "attributes": dict(event.attributes or {}),
            }
            for event in span.events
        ]
        shown["status"] = {"code": span.status.status_code.name}
        if span.status.description:
            shown["status"]["description"] = span.status.description
        links = [
            {"trace_id": f"{link.context.trace_id:032x}", "span_id": f"{link.context.span_id:016x}"}
            for link in span.links
        ]
        if links:
            shown["links"] = links
        return shown

    @staticmethod
    def _shown(name: str, context: Any, parent: Any, kind: Any, begin: int, end: int, start: int) -> dict[str, Any]:
        return {
            "span_id": f"{context.span_id:016x}",
            "parent_id": None if parent is None else f"{parent.span_id:016x}",
            "name": name,
            "kind": kind.name.lower(),
            "start_ms": milliseconds(begin - start),
            "duration_ms": milliseconds(end - begin),
            "attributes": {},
            "events": [],
            "status": None,
        }

    def _hidden(self, key: str, value: Any) -> Any:
        return self._text(key, value) if value.__class__ is str else value

    def _text(self, key: str, text: str) -> str:
        hidden = self._texts.get((key, text))
        if hidden is None:
            hidden = redaction.HIDDEN if redaction.is_secret(key) else redaction.anywhere(text)
            if len(self._texts) >= _MOST_REMEMBERED:
                self._texts.clear()
            if len(text) <= _LONGEST_REMEMBERED:
                self._texts[key, text] = hidden
        return hidden


def exception_of(root: Any) -> Mapping[str, str] | None:
    """The exception of a request that ended, as its span tells of it; None if nothing was raised."""
    if root is None:
        return None
    event = next((event for event in reversed(root.events) if event.name == "exception"), None)
    if event is None or not event.attributes:
        return None
    get = event.attributes.get
    return {
        "type": str(get("exception.type", "")),
        "message": str(get("exception.message", "")),
        "stack": str(get("exception.stacktrace", "")),
    }


def has_failed(root: Any) -> bool:
    """Whether a span says of itself that it failed."""
    return root is not None and root.status.status_code is StatusCode.ERROR


def milliseconds(nanoseconds: int) -> float:
    """Milliseconds of nanoseconds, to the microsecond."""
    return round(nanoseconds / 1e6, 3)

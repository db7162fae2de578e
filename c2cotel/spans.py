"""What c2cotel's instrumentations do with spans, the same way everywhere."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any

from opentelemetry import context, trace
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Status

from c2cotel import redaction
from c2cotel.sdk import attach_span


def record_error(span: trace.Span, error: BaseException, *, failed: bool = True) -> None:
    """Add an exception to a span, secrets hidden.

    Args:
        span: a recording span.
        error: what was raised.
        failed: whether it makes the span's work a failure.
    """
    stack = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    hidden = {"exception.message": redaction.anywhere(str(error)), "exception.stacktrace": redaction.anywhere(stack)}
    span.record_exception(error, attributes=hidden)
    if failed:
        span.set_attribute("error.type", type(error).__qualname__)
        span.set_status(trace.Status(trace.StatusCode.ERROR, type(error).__name__))


def hide_secrets(span: ReadableSpan) -> ReadableSpan:
    """The span, its errors without secrets: other libraries' instrumentations record what they are told."""
    said = span.status.description
    attributes = span.attributes or {}
    hidden = {name: redaction.anywhere(str(held)) for name, held in attributes.items() if may_hold_secrets(held)}
    changed = any(attributes[name] != text for name, text in hidden.items())
    if not (said or span.events or changed):
        return span
    status = Status(span.status.status_code, redaction.anywhere(said)) if said else span.status
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes={**attributes, **hidden},
        events=[_hidden(event) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def may_hold_secrets(value: object) -> bool:
    """A quick look before the thorough one: a secret has a name, or stands in a URL."""
    return isinstance(value, str) and ("=" in value or ":" in value)


def _hidden(event: Event) -> Event:
    held = (event.attributes or {}).items()
    hidden = {name: redaction.anywhere(text) if isinstance(text, str) else text for name, text in held}
    return Event(event.name, hidden, event.timestamp)


class child:  # noqa: N801  # used as a statement: `with child(tracer, name):`
    """A span around a block, current inside it; the SDK's own context manager costs a third more.

    Args:
        tracer: makes it.
        name: of the span.
        attributes: it starts with.
    """

    __slots__ = ("_span", "_token")

    def __init__(self, tracer: trace.Tracer, name: str, attributes: Mapping[str, Any] | None = None) -> None:
        self._span = tracer.start_span(name, attributes=attributes)
        self._token = attach_span(self._span)

    def __enter__(self) -> trace.Span:
        return self._span

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        context.detach(self._token)
        if error is not None:
            record_error(self._span, error)
        self._span.end()

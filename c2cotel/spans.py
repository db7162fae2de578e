"""What c2cotel's instrumentations do with spans, the same way everywhere."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry import context, trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link, Status

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
    """The span without secrets, wherever they stand: other libraries' instrumentations record what they are told."""
    said = span.status.description
    attributes = span.attributes or {}
    hidden = {name: hidden_value(held) for name, held in attributes.items() if may_hold_secrets(held)}
    changed = any(attributes[name] != held for name, held in hidden.items())
    if not (said or span.events or span.links or changed or may_hold_secrets(span.name)):
        return span
    status = Status(span.status.status_code, redaction.anywhere(said)) if said else span.status
    return ReadableSpan(
        name=redaction.anywhere(span.name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_counted({**attributes, **hidden}, span.dropped_attributes),
        events=_listed(map(_hidden_event, span.events), span.dropped_events),
        links=_listed(map(_hidden_link, span.links), span.dropped_links),
        kind=span.kind,
        status=status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def may_hold_secrets(value: object) -> bool:
    """A quick look before the thorough one: a secret has a name, or stands in a URL."""
    if isinstance(value, str):
        return "=" in value or ":" in value or redaction.rules() is not None
    return isinstance(value, (bytes, list, tuple, Mapping))


def hidden_value(value: Any) -> Any:
    """The value of an attribute, the texts in it without secrets."""
    if isinstance(value, str):
        return redaction.anywhere(value)
    if isinstance(value, bytes):
        return redaction.anywhere(value.decode("latin-1")).encode("latin-1", "replace")
    if isinstance(value, Mapping):
        return {
            name: redaction.HIDDEN if isinstance(held, str) and redaction.is_secret(name) else hidden_value(held)
            for name, held in value.items()
        }
    return tuple(map(hidden_value, value)) if isinstance(value, (list, tuple)) else value


def _hidden_event(event: Event) -> Event:
    return Event(redaction.anywhere(event.name), _hidden_attributes(event), event.timestamp)


def _hidden_link(link: Link) -> Link:
    return Link(link.context, _hidden_attributes(link))


def _hidden_attributes(of: Event | Link) -> BoundedAttributes:
    hidden = {name: hidden_value(held) for name, held in (of.attributes or {}).items()}
    return _counted(hidden, of.dropped_attributes)


def _counted(attributes: Mapping[str, Any], dropped: int) -> BoundedAttributes:
    """Attributes that know how many of them did not fit in."""
    found = BoundedAttributes(None, attributes)
    found.dropped = dropped
    return found


def _listed(what: Iterable[Any], dropped: int) -> BoundedList[Any]:
    """A list that knows how many did not fit in."""
    found = BoundedList.from_seq(None, list(what))
    found.dropped = dropped
    return found


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

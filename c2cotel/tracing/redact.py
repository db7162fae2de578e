"""Spans without secrets, wherever those stand: other libraries' instrumentations record what they are given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link, Status

from c2cotel import redaction


def hide_secrets(span: ReadableSpan) -> ReadableSpan:
    """The span without secrets."""
    description = span.status.description
    attributes = span.attributes or {}
    hidden = {name: hidden_value(value) for name, value in attributes.items() if may_hold_secrets(value)}
    changed = any(attributes[name] != value for name, value in hidden.items())
    if not (description or span.events or span.links or changed or may_hold_secrets(span.name)):
        return span
    status = Status(span.status.status_code, redaction.anywhere(description)) if description else span.status
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
            name: redaction.HIDDEN if isinstance(inner, str) and redaction.is_secret(name) else hidden_value(inner)
            for name, inner in value.items()
        }
    return tuple(map(hidden_value, value)) if isinstance(value, (list, tuple)) else value


def _hidden_event(event: Event) -> Event:
    return Event(redaction.anywhere(event.name), _hidden_attributes(event), event.timestamp)


def _hidden_link(link: Link) -> Link:
    return Link(link.context, _hidden_attributes(link))


def _hidden_attributes(of: Event | Link) -> BoundedAttributes:
    hidden = {name: hidden_value(value) for name, value in (of.attributes or {}).items()}
    return _counted(hidden, of.dropped_attributes)


def _counted(attributes: Mapping[str, Any], dropped: int) -> BoundedAttributes:
    """Attributes that know how many of them did not fit in."""
    counted = BoundedAttributes(None, attributes)
    counted.dropped = dropped
    return counted


def _listed(what: Iterable[Any], dropped: int) -> BoundedList[Any]:
    """A list that knows how many did not fit in."""
    listed = BoundedList.from_seq(None, list(what))
    listed.dropped = dropped
    return listed

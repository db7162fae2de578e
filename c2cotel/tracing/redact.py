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
    hidden = redaction.value(dict(attributes))
    name = redaction.anywhere(span.name)
    if not (description or span.events or span.links or hidden != attributes or name != span.name):
        return span
    status = Status(span.status.status_code, redaction.anywhere(description)) if description else span.status
    return ReadableSpan(
        name=name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_counted(hidden, span.dropped_attributes),
        events=_listed(map(_hidden_event, span.events), span.dropped_events),
        links=_listed(map(_hidden_link, span.links), span.dropped_links),
        kind=span.kind,
        status=status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _hidden_event(event: Event) -> Event:
    return Event(redaction.anywhere(event.name), _hidden_attributes(event), event.timestamp)


def _hidden_link(link: Link) -> Link:
    return Link(link.context, _hidden_attributes(link))


def _hidden_attributes(of: Event | Link) -> BoundedAttributes:
    return _counted(redaction.value(dict(of.attributes or {})), of.dropped_attributes)


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

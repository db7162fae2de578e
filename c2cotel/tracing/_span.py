"""A span that notes what it is told and is read later."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping, Sequence
from time import time_ns
from types import MappingProxyType, TracebackType
from typing import Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.util import types

from c2cotel.tracing._local import LocalTrace
from c2cotel.tracing._maker import Maker
from c2cotel.tracing._notes import PLAIN, Latest, Noted, bounded, cleaned, is_link, noted
from c2cotel.tracing._parts import SpanParts
from c2cotel.tracing.child import message_of

_logger = logging.getLogger("opentelemetry.sdk.trace")  # what the SDK says about a span is found under its name

_NONE: tuple[Any, ...] = ()


class Span(SdkSpan):
    """The SDK's span as far as anybody can see; made by `Tracer.start_span` alone, which fills its slots.

    No lock: each call does one thing that the interpreter does not interrupt, and `end` takes `_open` away first.
    `local` takes it and its children once they ended; it is None where nobody collects them.
    """

    __slots__ = (
        "_attributes",
        "_context",
        "_end_time",
        "_events",
        "_is_shown",
        "_kind",
        "_links",
        "_name",
        "_open",
        "_parent",
        "_read",
        "_record_exception",
        "_resource",
        "_set_status_on_exception",
        "_start_time",
        "_status",
        "_tracer",
        "local",
    )

    _attributes: Noted
    _context: SpanContext
    _end_time: int | None
    _events: Latest | None  # type: ignore[assignment]
    _is_shown: bool
    _kind: SpanKind
    _links: Latest | None  # type: ignore[assignment]
    _name: str
    _open: bool
    _parent: SpanContext | None
    _read: ReadableSpan | None
    _start_time: int
    _status: Status
    _tracer: Maker
    local: LocalTrace | None

    def get_span_context(self) -> SpanContext:
        return self._context

    def is_recording(self) -> bool:
        return self._end_time is None

    def set_attribute(self, key: str, value: types.AnyValue) -> None:
        if self._end_time is not None:
            _logger.warning("Setting attribute on ended span.")
            return
        noted_attributes = self._attributes
        most = self._tracer.most_attributes
        if (
            value.__class__ in PLAIN
            and noted_attributes.__class__ is not BoundedAttributes
            and key.__class__ is str
            and key
            and (most is None or len(noted_attributes) < most)
        ):
            if key in noted_attributes:  # what is set last is dropped last
                del noted_attributes[key]
            noted_attributes[key] = value
        else:
            self._bounded()[key] = value

    def set_attributes(self, attributes: Mapping[str, types.AnyValue]) -> None:
        if self._end_time is not None:
            _logger.warning("Setting attribute on ended span.")
            return
        noted_attributes = self._attributes
        new = noted(attributes, None, None)
        most = self._tracer.most_attributes
        if (
            new.__class__ is not BoundedAttributes
            and noted_attributes.__class__ is not BoundedAttributes
            and (most is None or len(noted_attributes) + len(new) <= most)
        ):
            for key in new.keys() & noted_attributes.keys():
                del noted_attributes[key]
            noted_attributes.update(new)
        else:
            self._bounded()._set_items(attributes)  # noqa: SLF001  # it counts what is dropped otherwise than one by one

    def _bounded(self) -> Any:
        limits = self._tracer.limits
        attributes = self._attributes = bounded(
            self._attributes, limits.max_span_attributes, limits.max_span_attribute_length
        )
        return attributes

    def add_event(self, name: str, attributes: types.Attributes = None, timestamp: int | None = None) -> None:
        limits = self._tracer.limits
        noted_attributes = noted(attributes, limits.max_event_attributes, limits.max_attribute_length)
        if self._end_time is not None:
            _logger.warning("Tried calling %s on an ended span.", "_add_event")
            return
        if self._events is None:
            self._events = Latest(limits.max_events)
        self._events.add((name, noted_attributes, time_ns() if timestamp is None else timestamp))

    def add_link(self, context: SpanContext, attributes: types.Attributes = None) -> None:
        if not is_link(context, attributes):
            return
        limits = self._tracer.limits
        noted_attributes = noted(attributes, limits.max_link_attributes, limits.max_attribute_length)
        if self._end_time is not None:
            _logger.warning("Tried calling %s on an ended span.", "_add_link")
            return
        if self._links is None:
            self._links = Latest(limits.max_links)
        self._links.add((context, noted_attributes))

    def update_name(self, name: str) -> None:
        if self._end_time is not None:
            _logger.warning("Tried calling %s on an ended span.", "update_name")
            return
        self._name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        if self._end_time is not None:
            _logger.warning("Tried calling %s on an ended span.", "set_status")
            return
        code = status.status_code if isinstance(status, Status) else status
        if self._status.status_code is StatusCode.OK or code is StatusCode.UNSET:
            return
        if isinstance(status, Status):
            if description is not None:
                _logger.warning(
                    "Description %s ignored. Use either `Status` or `(StatusCode, Description)`", description
                )
            self._status = status
        elif isinstance(status, StatusCode):
            self._status = Status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: types.Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,  # the interface
    ) -> None:
        kind = type(exception)
        named = kind.__module__ and kind.__module__ != "builtins"
        details: dict[str, types.AnyValue] = {
            "exception.type": f"{kind.__module__}.{kind.__qualname__}" if named else kind.__qualname__,
            "exception.message": message_of(exception),
            "exception.stacktrace": "".join(traceback.format_exception(kind, exception, exception.__traceback__)),
            "exception.escaped": str(escaped),
        }
        if attributes:
            details.update(attributes)
        self.add_event("exception", details, timestamp)

    def start(self, start_time: int | None = None, parent_context: Any = None) -> None:
        """The tracer has started it already."""
        _logger.warning("Calling start() on a started span.")

    def end(self, end_time: int | None = None) -> None:
        try:
            del self._open
        except AttributeError:
            _logger.warning("Calling end() on an ended span.")
            return
        self._end_time = time_ns() if end_time is None else end_time
        flags = self._context.trace_flags
        if self.local is not None:
            self.local.add_span(self)
        if flags & 1:
            self._tracer.delivery.sampled(self)
        elif self._is_shown:
            self._tracer.delivery.recorded(self)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        if exc_val is not None and self._end_time is None:
            if self._record_exception:
                self.record_exception(exc_val, escaped=True)
            if self._set_status_on_exception:
                self.set_status(Status(StatusCode.ERROR, f"{type(exc_val).__name__}: {message_of(exc_val)}"))
        self.end()

    def plain_parts(self) -> SpanParts | None:
        """What an encoder needs of an ended span that has nothing rare; None for any other."""
        tracer = self._tracer
        if (
            self._events is not None
            or self._links is not None
            or self._attributes.__class__ is BoundedAttributes
            or tracer.limits.max_span_attribute_length is not None
            or self._status.description
        ):
            return None
        return (
            self._name,
            self._context,
            self._parent,
            self._kind,
            self._start_time,
            self._end_time,
            self._attributes.copy(),
            self._status.status_code,
        )

    def readable(self) -> ReadableSpan:
        """The SDK's `ReadableSpan` of this span; of an ended one it is always the same."""
        snapshot = self._read
        if snapshot is not None:
            return snapshot
        tracer = self._tracer
        limits = tracer.limits
        snapshot = ReadableSpan(
            self._name,
            self._context,
            self._parent,
            self._resource,
            cleaned(self._attributes, limits.max_span_attribute_length),
            _NONE if self._events is None else self._events.events(limits),
            _NONE if self._links is None else self._links.links(limits),
            self._kind,
            tracer.instrumentation_info,
            self._status,
            self._start_time,
            self._end_time,
            tracer.instrumentation_scope,
        )
        if self._end_time is not None:
            self._read = snapshot
        return snapshot

    _readable_span = readable

    @property
    def attributes(self) -> types.Attributes:
        return MappingProxyType(cleaned(self._attributes, self._tracer.limits.max_span_attribute_length))

    @property
    def events(self) -> Sequence[Event]:
        return self.readable().events

    @property
    def links(self) -> Sequence[Link]:
        return self.readable().links

    @property
    def dropped_attributes(self) -> int:
        return self.readable().dropped_attributes

    @property
    def dropped_events(self) -> int:
        return self.readable().dropped_events

    @property
    def dropped_links(self) -> int:
        return self.readable().dropped_links

    @property
    def instrumentation_scope(self) -> Any:
        return self._tracer.instrumentation_scope

    @property
    def _instrumentation_info(self) -> Any:  # type: ignore[override]  # the SDK's deprecated property reads it
        return self._tracer.instrumentation_info

    def to_json(self, indent: int | None = 4) -> str:
        return str(self.readable().to_json(indent))

"""Makes spans: who is the parent, is it sampled, and the block that it is current in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ContextDecorator
from functools import wraps
from inspect import iscoroutinefunction
from time import time_ns
from types import TracebackType
from typing import Any, TypeVar

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_OFF,
    DEFAULT_ON,
    Decision,
    ParentBasedTraceIdRatio,
    Sampler,
)
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)
from opentelemetry.util import types

from c2cotel.otel.sdk_private import SPAN_KEY, attach_span, current_context, new_span_context
from c2cotel.tracing._ids import random_bits
from c2cotel.tracing._keep import TraceKeep
from c2cotel.tracing._notes import Latest, is_link, noted
from c2cotel.tracing._span import Span
from c2cotel.tracing.child import GUARD, message_of

_F = TypeVar("_F", bound=Callable[..., Any])

_SAMPLED, _RANDOM = TraceFlags.SAMPLED, TraceFlags.RANDOM_TRACE_ID
_FLAGS = tuple(TraceFlags(n) for n in range(4))
_UNSET = Status(StatusCode.UNSET)
_NO_STATE = TraceState()
_new = object.__new__


def _known_decisions(sampler: Sampler) -> tuple[bool | None, bool | None, bool]:
    """What the SDK's own samplers are known to answer.

    Returns:
        Whether a span without a parent is sampled; whether one with a parent is; whether the parent decides that. None
        where the sampler must be asked.
    """
    if sampler is DEFAULT_ON or sampler is DEFAULT_OFF:
        return sampler is DEFAULT_ON, None, True
    if sampler is ALWAYS_ON or sampler is ALWAYS_OFF:
        return sampler is ALWAYS_ON, sampler is ALWAYS_ON, False
    return None, None, type(sampler) is ParentBasedTraceIdRatio


class Delivery:
    """Where the spans of a provider go.

    Attributes:
        started: told of each span that records and the context it was started in; None when nobody wants to know.
        sampled: takes each sampled span that ended.
        recorded: takes the others.
        collects: whether servers' spans and those below a `LocalTrace` record also where the sampler drops them; no
            processor and no exporter sees these.
        keep: decides on traces in the place of the sampler; None where the sampler does.
    """

    __slots__ = ("collects", "keep", "recorded", "sampled", "started")

    def __init__(self, *, collects: bool = False) -> None:
        self.collects = collects
        self.keep: TraceKeep | None = None
        self.started: Callable[[Span, Context | None], None] | None = None
        self.sampled: Callable[[Span], None] = _leave
        self.recorded: Callable[[Span], None] = _leave


def _leave(_: Span) -> None:
    """Nobody wants it."""


class Tracer(trace.Tracer):
    """Makes spans of one instrumentation scope.

    Args:
        official: the SDK's tracer of the same scope: it knows the resource, also after a fork.
        scope: of the instrumentation.
        limits: of each span.
        delivery: where spans go.
    """

    def __init__(
        self,
        official: SdkTracer,
        scope: InstrumentationScope,
        limits: SpanLimits,
        delivery: Delivery,
    ) -> None:
        self._official = official
        self.instrumentation_scope = scope
        self.instrumentation_info = official.instrumentation_info
        self.limits = limits
        self.most_attributes = limits.max_span_attributes
        self.delivery = delivery
        self.sampler = official.sampler
        self.id_generator = official.id_generator
        self._own_ids = type(self.id_generator) is not RandomIdGenerator
        self._root, self._child, self._parent_decides = _known_decisions(self.sampler)

    @property
    def resource(self) -> Any:
        """Of the process."""
        return self._official.resource

    # In one piece: this runs for every span, and calls are what costs.
    def start_span(  # noqa: C901, PLR0912, PLR0915
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: types.Attributes = None,
        links: Sequence[Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,  # the interface
        set_status_on_exception: bool = True,
        *,
        force: bool = False,
    ) -> trace.Span:
        parent: SpanContext | None
        current: Any = (current_context() if context is None else context).get(SPAN_KEY)
        local = None
        if current.__class__ is Span:
            parent = current._context
            local = current.local
        else:
            parent = current.get_span_context() if isinstance(current, trace.Span) else None
            if parent is not None and not isinstance(parent, SpanContext):
                raise TypeError("parent_span_context must be a SpanContext or None.")
        decision: int | None
        if parent is None or not parent.is_valid:
            parent = None
            trace_id = self.id_generator.generate_trace_id() if self._own_ids else random_bits(128) or 1
            flags = _RANDOM if not self._own_ids or self.id_generator.is_trace_id_random() else 0
            decision, state = self._root, _NO_STATE
        else:
            trace_id, _, _, parent_flags, state, _ = parent
            flags = parent_flags & _RANDOM
            decision = parent_flags & _SAMPLED if self._parent_decides else self._child
        if (keep := self.delivery.keep) is not None:
            records = True
            if parent is not None and current.__class__ is Span and not (local is not None and local.is_foreign):
                sampled = bool(parent[3] & _SAMPLED) or (local is not None and local.outcome is True)
                keep = None
            else:
                local = None
                sampled, state = keep.sample(trace_id, parent)
        elif decision is None:
            state, sampled, records = _NO_STATE, False, False
            with GUARD:  # a sampler of the application's
                result = self.sampler.should_sample(context, trace_id, name, kind, attributes, links or ())
                attributes, state = result.attributes, result.trace_state or _NO_STATE
                sampled = result.decision is Decision.RECORD_AND_SAMPLE
                records = result.decision is not Decision.DROP
        else:
            sampled = records = bool(decision)
        if force:
            sampled = records = True
        if sampled:
            flags |= _SAMPLED
        if self._own_ids:
            ids = SpanContext(trace_id, self.id_generator.generate_span_id(), False, _FLAGS[flags], state)
        else:
            ids = new_span_context((trace_id, random_bits(64) or 1, False, _FLAGS[flags], state, True))
        if not records and not (self.delivery.collects and (local is not None or kind is SpanKind.SERVER)):
            return NonRecordingSpan(ids)
        span = _new(Span)
        span._tracer = self
        span.local = local
        if local is not None and kind is SpanKind.CLIENT:
            local.client = span
        span._is_shown = records if self.delivery.keep is None else sampled
        span._name = name
        span._context = ids
        span._parent = parent
        span._kind = kind
        span._resource = self._official.resource
        span._attributes = (
            noted(attributes, self.most_attributes, self.limits.max_span_attribute_length) if attributes else {}
        )
        span._events = None
        span._links = self._noted_links(links) if links else None
        span._status = _UNSET
        span._record_exception = record_exception
        span._set_status_on_exception = set_status_on_exception
        span._read = None
        span._end_time = None
        span._open = True
        span._start_time = time_ns() if start_time is None else start_time
        if keep is not None and not sampled:
            span.local = keep.begin(span)
        if records and self.delivery.started is not None:
            self.delivery.started(span, context)
        return span

    def _noted_links(self, links: Sequence[Any]) -> Latest:
        limits = self.limits
        latest = Latest(limits.max_links)
        for link in links:
            if link and is_link(link.context, link.attributes):
                attributes = noted(link.attributes, limits.max_link_attributes, limits.max_attribute_length)
                latest.add((link.context, attributes))
        return latest

    def start_as_current_span(  # type: ignore[override]  # the API names a private class of contextlib's kind
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: types.Attributes = None,
        links: Sequence[Link] | None = (),
        start_time: int | None = None,
        record_exception: bool = True,  # the interface
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> CurrentSpan:
        """A context manager and decorator: the span starts where the block or the decorated call does."""
        start = (name, context, kind, attributes, links, start_time, record_exception, set_status_on_exception)
        return CurrentSpan(self, start, record_exception, set_status_on_exception, end_on_exit)


class CurrentSpan(ContextDecorator):
    """A span around a block, current inside it.

    Args:
        tracer: makes the span.
        start: arguments of `Tracer.start_span`.
        record: whether an exception becomes an event.
        set_status: whether an exception makes the status an error.
        end: whether the span ends with the block.
    """

    __slots__ = ("_options", "_span", "_start", "_token", "_tracer")

    def __init__(self, tracer: Tracer, start: tuple[Any, ...], *options: bool) -> None:
        self._tracer = tracer
        self._start = start
        self._options = options

    def _recreate_cm(self) -> CurrentSpan:  # contextlib's: each decorated call has a span of its own
        return CurrentSpan(self._tracer, self._start, *self._options)

    def __call__(self, func: _F) -> _F:
        if not iscoroutinefunction(func):
            return super().__call__(func)

        @wraps(func)
        async def traced(*args: Any, **kwargs: Any) -> Any:
            with self._recreate_cm():
                return await func(*args, **kwargs)

        return traced  # type: ignore[return-value]  # it is called as the function was

    def __enter__(self) -> trace.Span:
        span = self._span = self._tracer.start_span(*self._start)
        self._token = attach_span(span)
        return span

    def __exit__(self, _: object, error: BaseException | None, __: TracebackType | None) -> None:
        record, set_status, end = self._options
        span = self._span
        otel_context.detach(self._token)
        try:
            if isinstance(error, Exception) and span.is_recording():
                if record:
                    span.record_exception(error)
                if set_status:
                    span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {message_of(error)}"))
        finally:
            if end:
                span.end()

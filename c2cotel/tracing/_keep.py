"""Which traces are exported: decided when their local root ends, with all its spans at hand.

A trace that is sampled at its start, for the percentage or by the caller, is not looked at here: its spans go out as
they end. Those of any other one wait below their local root.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from opentelemetry.trace import SpanContext, SpanKind, StatusCode, TraceFlags, TraceState

from c2cotel.config.parsers import Slow
from c2cotel.config.traces_keep import TracesKeep
from c2cotel.delivery.once import Once
from c2cotel.otel.sdk_private import new_span_context
from c2cotel.tracing._local import LocalTrace
from c2cotel.tracing._share import TraceShare

_logger = logging.getLogger(__name__)

_MOST_TRACES = 2000
"""Traces that may be undecided at once; the oldest one then loses the spans that it has."""

_MOST_SPANS = 1000
"""Spans of a trace that wait for its decision: the latest, since a parent ends after its children."""

_MOST_WAITING = 20_000
"""Spans of all traces that wait."""

_LOOK = 64
"""Number of spans or traces after which the bounds are looked at: a power of 2."""

_SAMPLED = TraceFlags.SAMPLED
_FLAGS = tuple(TraceFlags(n) for n in range(4))
_FAILED = 500


class _Exports(Protocol):
    """Where the spans of a trace go that is exported."""

    sampled: Callable[[Any], None]


class UndecidedTrace(LocalTrace):
    """The spans below a local root that wait for its end.

    Attributes:
        waiting: Spans that ended before the local root.
        top: The local root; None once it has ended.
        exempt: Whether it has waited so long that none but the local root is noted any more.
    """

    outcome: bool | None = None
    exempt = False

    def __init__(self, root: Any, keep: TraceKeep) -> None:
        super().__init__(root)
        self.top = root
        self.waiting: list[Any] = []
        self._keep = keep

    def add_span(self, span: Any) -> None:
        if self.owner is not None:
            super().add_span(span)
        if not span._context.trace_flags & _SAMPLED:
            self._keep.take(self, span)

    def add_log(self, log: Any, characters: int) -> None:
        if self.owner is not None:
            super().add_log(log, characters)


class TraceKeep:
    """Decides on traces of this process.

    Args:
        rules: Reasons to export one.
        slow: What counts as slow.
        exports: Gets the spans of those that are exported.

    Attributes:
        cut: Number of spans that were not exported, or not looked at, because too many waited.
    """

    def __init__(self, rules: TracesKeep, slow: Slow, exports: _Exports) -> None:
        self._rules = rules
        self._slow = slow
        self._exports = exports
        self._share = TraceShare(rules.share)
        self._undecided: dict[int, UndecidedTrace] = {}
        self._complaints = Once()
        self.cut = 0

    @property
    def waiting(self) -> int:
        """Number of spans that wait."""
        return sum([len(each.waiting) for each in list(self._undecided.values())])

    def sample(self, trace_id: int, caller: SpanContext | None) -> tuple[bool, TraceState]:
        """Whether a trace is exported whatever happens in it, and the `tracestate` that says so.

        Args:
            trace_id: Its id.
            caller: Span of the caller; None without one.
        """
        if caller is None:
            return self._share.alone(trace_id)
        sampled = self._rules.parent and bool(caller.trace_flags & _SAMPLED)
        return self._share.decide(trace_id, caller.trace_state, caller=sampled)

    def begin(self, root: Any) -> UndecidedTrace:
        """Note the spans of a local root until it ends."""
        local = UndecidedTrace(root, self)
        undecided = self._undecided
        undecided[id(local)] = local
        if not len(undecided) & (_LOOK - 1):
            self._hold_bounds()
        return local

    def take(self, local: UndecidedTrace, span: Any) -> None:
        """Take a span that ended and was not sampled at its start."""
        if local.outcome is None:
            if span is local.top:
                self._decide(local, span)
                return
            if local.exempt:
                self.cut += 1
                return
            local.waiting.append(span)
            if not len(local.waiting) & (_LOOK - 1):
                self._hold_bounds(local)
            if local.outcome is None:
                return
        elif local.outcome:
            self._export(span)
            return
        self._empty(local)  # the root ended in another thread, meanwhile

    def before_fork(self) -> None:
        """Nothing to do: what waits stays the parent's."""

    def after_fork(self) -> None:
        for local in list(self._undecided.values()):
            local.outcome, local.is_foreign = False, True
            local.waiting.clear()
        self._undecided.clear()

    def _decide(self, local: UndecidedTrace, root: Any) -> None:
        exported = self._has_reason(local, root)
        local.outcome = exported
        local.top = None
        self._undecided.pop(id(local), None)
        self._empty(local)
        if exported:
            self._export(root)
        if local.owner is None:  # else it is the owner's to end
            local.root = local.client = None

    def _has_reason(self, local: UndecidedTrace, root: Any) -> bool:
        rules = self._rules
        if rules.slow:
            slow = self._slow
            seconds = slow.routes.get(local.route or root._name, slow.seconds) if slow.routes else slow.seconds
            if root._end_time - root._start_time >= seconds * 1e9:
                return True
        return rules.error and (
            _failed(root) or any(span._kind is SpanKind.SERVER and _failed(span) for span in local.waiting)
        )

    def _empty(self, local: UndecidedTrace) -> None:
        """Export what waits or drop it; each span once, also if two threads are at it."""
        waiting = local.waiting
        if not local.outcome:
            waiting.clear()
            return
        waiting.reverse()
        while waiting:
            try:
                span = waiting.pop()
            except IndexError:
                return
            self._export(span)

    def _export(self, span: Any) -> None:
        trace_id, span_id, _, flags, state, _ = span._context
        span._context = new_span_context((trace_id, span_id, False, _FLAGS[flags | _SAMPLED], state, True))
        span._read = None
        self._exports.sampled(span)

    def _hold_bounds(self, local: UndecidedTrace | None = None) -> None:
        if local is not None and len(local.waiting) > _MOST_SPANS:
            self._cut(local, len(local.waiting) - _MOST_SPANS + _LOOK)
        for oldest in list(self._undecided.values())[: max(0, len(self._undecided) - _MOST_TRACES)]:
            self._undecided.pop(id(oldest), None)
            oldest.exempt = True
            self._cut(oldest, len(oldest.waiting))
        too_many = self.waiting - _MOST_WAITING
        if too_many > 0:
            for longest in sorted(self._undecided.values(), key=lambda each: -len(each.waiting)):
                too_many -= self._cut(longest, min(too_many, len(longest.waiting)))
                if too_many <= 0:
                    return

    def _cut(self, local: UndecidedTrace, number: int) -> int:
        """Drop the earliest spans of a trace; those above them ended later, so that the rest hangs together."""
        if number > 0:
            del local.waiting[:number]
            self.cut += number
            if self._complaints.first("cut"):
                _logger.warning(
                    "C2C_TRACES_KEEP: too many spans wait for the end of their local roots (%d of a trace, %d of all, "
                    "%d traces): the earliest ones are not exported (logged once)",
                    _MOST_SPANS,
                    _MOST_WAITING,
                    _MOST_TRACES,
                )
        return number


def _failed(span: Any) -> bool:
    """Whether a span says that it failed: by its status, by a 5xx, or by an exception that nobody answered."""
    if span._status.status_code is StatusCode.ERROR:
        return True
    code = span._attributes.get("http.response.status_code")
    if code.__class__ is int:
        return bool(code >= _FAILED)
    return span._events is not None and any(name == "exception" for name, *_ in list(span._events.kept))

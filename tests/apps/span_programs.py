"""Random programs of span operations, and what running one leaves behind, in a form that can be compared."""

from __future__ import annotations

import copy
import enum
import json
import logging
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanLimits, SpanProcessor, TracerProvider, sampling
from opentelemetry.sdk.trace.id_generator import IdGenerator
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


class Colour(str, enum.Enum):
    RED = "red"


class Number(int):
    pass


class Told:
    def __str__(self) -> str:
        return "told"


class Stop(BaseException):
    pass


TEXT = st.text("abc\xe9\udce9", max_size=6)
PLAIN = st.one_of(TEXT, st.booleans(), st.integers(), st.floats(allow_nan=False), st.binary(max_size=3), st.none())
ODD = st.sampled_from([Colour.RED, Number(3), Told(), object, {1, 2}])
VALUE = st.one_of(
    PLAIN,
    ODD,
    st.lists(PLAIN, max_size=3),
    st.lists(st.lists(PLAIN, max_size=2), max_size=2),
    st.dictionaries(TEXT, PLAIN | st.lists(TEXT, max_size=2), max_size=2),
)
KEY = st.one_of(st.sampled_from("abcd"), TEXT, st.sampled_from(["", 5, None, Colour.RED]))
ATTRIBUTES = st.none() | st.dictionaries(KEY, VALUE, max_size=4) | st.dictionaries(st.sampled_from("abcd"), PLAIN)
TIME = st.none() | st.integers(0, 2**62)
IDS = st.builds(
    SpanContext,
    st.integers(0, 3),
    st.integers(0, 3),
    st.booleans(),
    st.sampled_from([TraceFlags(n) for n in range(4)]),
    st.sampled_from([TraceState(), TraceState([("a", "b")])]),
)
LINKS = st.lists(st.tuples(IDS, ATTRIBUTES), max_size=3)
STATUS = st.sampled_from(list(StatusCode)) | st.builds(Status, st.sampled_from(list(StatusCode)))
ERROR = st.sampled_from([None, ValueError("boom"), KeyError(), Stop("now"), StopIteration(1), GeneratorExit()])
WHICH = st.integers(0, 5)
START = st.fixed_dictionaries(
    {"name": TEXT},
    optional={
        "kind": st.sampled_from(list(SpanKind)),
        "attributes": ATTRIBUTES,
        "links": LINKS | st.none(),
        "start_time": TIME,
        "record_exception": st.booleans(),
        "set_status_on_exception": st.booleans(),
    },
)
ERRORS = st.sampled_from([ValueError("boom"), KeyError("k"), Stop("now")])
STEP = st.one_of(
    st.tuples(st.just("start"), START),
    st.tuples(st.just("end"), WHICH, TIME),
    st.tuples(st.just("set_attribute"), WHICH, KEY, VALUE),
    st.tuples(st.just("set_attributes"), WHICH, ATTRIBUTES.map(lambda held: held or {})),
    st.tuples(st.just("add_event"), WHICH, TEXT, ATTRIBUTES, TIME),
    st.tuples(st.just("add_link"), WHICH, IDS, ATTRIBUTES),
    st.tuples(st.just("update_name"), WHICH, TEXT),
    st.tuples(st.just("set_status"), WHICH, STATUS, st.none() | TEXT),
    st.tuples(st.just("record_exception"), WHICH, ERRORS, ATTRIBUTES, TIME, st.booleans()),
    st.tuples(st.just("read"), WHICH),
)
BLOCK = st.sampled_from(["as_current", "as_current_goes_on", "decorated", "with_span", "use_span"])


def _blocks(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    steps = st.lists(inner, max_size=5)
    return st.one_of(
        st.tuples(st.just("block"), BLOCK, START, steps, ERROR),
        st.tuples(st.just("remote"), IDS, steps),
    )


PROGRAM = st.lists(st.recursive(STEP, lambda inner: _blocks(inner) | inner, max_leaves=12), max_size=8)
FEW = st.sampled_from([SpanLimits.UNSET, 0, 1, 2, 3])
LIMITS: st.SearchStrategy[dict[str, Any]] = st.just({}) | st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ["max_events", "max_links", "max_span_attributes", "max_event_attributes", "max_link_attributes"], FEW
    )
    | dict.fromkeys(["max_attribute_length", "max_span_attribute_length"], FEW),
)


class Third(sampling.Sampler):
    """Takes its decision from the length of the name, and says so."""

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Any = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> sampling.SamplingResult:
        decision = list(sampling.Decision)[len(name) % 3]
        return sampling.SamplingResult(decision, {"third": True, **(attributes or {})}, TraceState([("third", "1")]))

    def get_description(self) -> str:
        return "Third"


SAMPLERS: dict[str, sampling.Sampler] = {
    "parent, else on": sampling.DEFAULT_ON,
    "parent, else off": sampling.DEFAULT_OFF,
    "on": sampling.ALWAYS_ON,
    "off": sampling.ALWAYS_OFF,
    "half": sampling.TraceIdRatioBased(0.5),
    "parent, else half": sampling.ParentBasedTraceIdRatio(0.5),
    "third": Third(),
    "parent, else third": sampling.ParentBased(Third(), remote_parent_not_sampled=sampling.ALWAYS_ON),
    "recorded": sampling.AlwaysRecordSampler(sampling.DEFAULT_OFF),
}


class Repeatable(IdGenerator):
    """The same ids in every run."""

    def __init__(self) -> None:
        self._random = random.Random(7)

    def generate_span_id(self) -> int:
        return self._random.getrandbits(64)

    def generate_trace_id(self) -> int:
        return self._random.getrandbits(128)


@dataclass
class Seen(SpanProcessor):
    """A processor that keeps what it is told.

    Args:
        marks: whether it sets an attribute on each span that starts.
    """

    marks: bool = True
    started: list[Any] = field(default_factory=list)
    ended: list[ReadableSpan] = field(default_factory=list)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        assert isinstance(span, Span)
        self.started.append((span.name, repr(span.attributes), span.kind, span.is_recording()))
        if self.marks:
            span.set_attribute("on_start", 1)

    def on_end(self, span: ReadableSpan) -> None:
        self.ended.append(span)


class _Complaints(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "ended span" in record.getMessage() or "ignored. Use either" in record.getMessage():
            self.said.append(record.getMessage())


class Run:
    """One program, run with one provider.

    Attributes:
        said: what the spans complained of, and what they answered when read.
    """

    def __init__(self, provider: TracerProvider, program: list[Any]) -> None:
        self.said: list[Any] = []
        self._tracer = provider.get_tracer("scope", "1", "https://schema", {"a": 1})
        self._spans: list[trace.Span] = []
        complaints = _Complaints()
        logger = logging.getLogger("opentelemetry.sdk.trace")
        logger.addHandler(complaints)
        token = context.attach(Context())
        try:
            self._run(program)
        finally:
            context.detach(token)
            logger.removeHandler(complaints)
        self.said += complaints.said

    def _run(self, program: list[Any]) -> None:
        for step in program:
            mine = copy.deepcopy(step)
            try:
                getattr(self, f"_do_{mine[0]}")(*mine[1:])
            except (TypeError, AttributeError, UnicodeError) as error:
                self.said.append(type(error))
            _change(mine)

    def _start(self, make: Callable[..., Any], start: dict[str, Any], **more: Any) -> Any:
        start = {**start, **more}
        if start.get("links"):
            start["links"] = [Link(*link) for link in start["links"]]
        return make(**start)

    def _do_start(self, start: dict[str, Any]) -> None:
        self._spans.append(self._start(self._tracer.start_span, start))

    def _do_remote(self, ids: SpanContext, steps: list[Any]) -> None:
        with trace.use_span(NonRecordingSpan(ids)):
            self._run(steps)

    def _do_block(self, how: str, start: dict[str, Any], steps: list[Any], error: BaseException | None) -> None:
        def inside(span: trace.Span) -> None:
            self._spans.append(span)
            assert how == "with_span" or trace.get_current_span() is span
            self._run(steps)
            if error is not None:
                raise error

        try:
            getattr(self, f"_{how}")(start, inside)
        except (Exception, Stop, GeneratorExit) as caught:  # noqa: BLE001  # what was raised is part of the comparison
            self.said.append(repr(caught))

    def _as_current(self, start: dict[str, Any], inside: Callable[[trace.Span], None]) -> None:
        with self._start(self._tracer.start_as_current_span, start) as span:
            inside(span)

    def _as_current_goes_on(self, start: dict[str, Any], inside: Callable[[trace.Span], None]) -> None:
        with self._start(self._tracer.start_as_current_span, start, end_on_exit=False) as span:
            inside(span)

    def _decorated(self, start: dict[str, Any], inside: Callable[[trace.Span], None]) -> None:
        def work() -> None:
            inside(trace.get_current_span())

        self._start(self._tracer.start_as_current_span, start)(work)()

    def _with_span(self, start: dict[str, Any], inside: Callable[[trace.Span], None]) -> None:
        with self._start(self._tracer.start_span, start) as span:
            inside(span)

    def _use_span(self, start: dict[str, Any], inside: Callable[[trace.Span], None]) -> None:
        with trace.use_span(self._start(self._tracer.start_span, start), end_on_exit=True) as span:
            inside(span)

    def _do_read(self, which: int) -> None:
        if self._spans:
            span = self._spans[which % len(self._spans)]
            self.said.append(span.is_recording())
            if isinstance(span, ReadableSpan):
                self.said.append(readable(span))

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_do_"):
            raise AttributeError(name)

        def call(which: int, *arguments: Any) -> None:
            if self._spans:
                getattr(self._spans[which % len(self._spans)], name[4:])(*arguments)

        return call


def _change(held: Any) -> None:
    """Change whatever can be changed, as a caller may after a call."""
    if isinstance(held, dict):
        for value in held.values():
            _change(value)
        held["changed"] = True
    elif isinstance(held, (list, tuple)):
        for value in held:
            _change(value)
        if isinstance(held, list):
            held.append("changed")


def _ids(ids: SpanContext | None) -> Any:
    return ids and (ids.trace_id, ids.span_id, ids.is_remote, int(ids.trace_flags), dict(ids.trace_state), ids.is_valid)


def _pairs(attributes: Mapping[str, Any] | None) -> list[Any]:
    """In their order and with their types, but for what a stack trace names."""
    return [
        (name, repr(value).rsplit("\\n", 2)[-2:] if name == "exception.stacktrace" else (type(value), repr(value)))
        for name, value in (attributes or {}).items()
    ]


def readable(span: ReadableSpan) -> dict[str, Any]:
    """Everything of a span but its times, unless the program gave them."""
    return {
        "name": span.name,
        "kind": span.kind,
        "context": _ids(span.context),
        "parent": _ids(span.parent),
        "status": (span.status.status_code, span.status.description),
        "attributes": (_pairs(span.attributes), span.dropped_attributes),
        "events": (
            [(event.name, _pairs(event.attributes), event.dropped_attributes) for event in span.events],
            span.dropped_events,
        ),
        "links": (
            [(_ids(link.context), _pairs(link.attributes), link.dropped_attributes) for link in span.links],
            span.dropped_links,
        ),
        "times": [
            time if time is None or (time <= 2**62 and not _is_now(time)) else "now"
            for time in (span.start_time, span.end_time, *(event.timestamp for event in span.events))
        ],
        "scope": span.instrumentation_scope,
        "resource": span.resource,
        "json": _json(span),
    }


def _is_now(time: int) -> bool:
    return 1_500_000_000 * 10**9 < time < 3_000_000_000 * 10**9


def _json(span: ReadableSpan) -> Any:
    try:
        found = json.loads(span.to_json())
    except (TypeError, ValueError, OverflowError) as error:
        return type(error)
    return [found[name] for name in ("name", "context", "kind", "parent_id", "status", "attributes", "links")]


RESOURCE = Resource({"service.name": "x"})


@contextmanager
def quiet() -> Iterator[None]:
    """Say nothing of cleaned attributes: there are many in these programs."""
    logger = logging.getLogger("opentelemetry.attributes")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)

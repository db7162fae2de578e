"""What can happen while the demo runs: threads put events into one queue, and the run takes them out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from c2cotel.tap.lines import BadLine, Line


@dataclass(frozen=True)
class Datagram:
    """A datagram came to the statsd port."""

    lines: list[Line | BadLine]


@dataclass(frozen=True)
class Span:
    """One span, as the OTLP receiver got it.

    Attributes:
        trace_id: 32 digits, lower hex.
        span_id: 16 digits, lower hex.
        parent_id: of the span above; empty without one.
        name: of the span.
        milliseconds: its duration.
        attributes: as they came.
        failed: whether its status is ERROR.
        exceptions: the types of the exceptions recorded in it.
        service: ``service.name`` of its resource.
    """

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    milliseconds: float
    attributes: Mapping[str, Any]
    failed: bool
    exceptions: tuple[str, ...]
    service: str


@dataclass(frozen=True)
class Spans:
    """An export of traces came."""

    spans: list[Span]


@dataclass(frozen=True)
class Metrics:
    """An export of metrics came.

    Attributes:
        names: of the metrics in it.
    """

    names: list[str]


@dataclass(frozen=True)
class Output:
    """The application's processes wrote a line.

    Attributes:
        text: the line.
        fields: of its JSON object, if it is one.
    """

    text: str
    fields: Mapping[str, Any] | None


@dataclass(frozen=True)
class Ended:
    """The last of the application's processes has ended."""


@dataclass(frozen=True)
class Answered:
    """The application answered a request of the demo's own.

    Attributes:
        method: of the request.
        path: of the request.
        sent: its headers.
        status: of the answer; None when there was none.
        received: headers of the answer, names in lower case; without an answer, ``error`` says why.
    """

    method: str
    path: str
    sent: Mapping[str, str]
    status: int | None
    received: Mapping[str, str]


@dataclass(frozen=True)
class Stop:
    """Somebody wants the demo to end."""


Event: TypeAlias = Datagram | Spans | Metrics | Output | Ended | Answered | Stop
Put: TypeAlias = Callable[[Event], None]

"""What a span needs of the tracer that made it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.sdk.util.instrumentation import InstrumentationScope


class Destination(Protocol):
    """Where an ended span goes.

    Attributes:
        sampled: Takes a sampled span.
        recorded: Takes one that records without being sampled.
    """

    sampled: Callable[[Any], None]
    recorded: Callable[[Any], None]


class Maker(Protocol):
    """What a span needs of the tracer that made it."""

    @property
    def limits(self) -> SpanLimits:
        """Limits of each span."""

    @property
    def most_attributes(self) -> int | None:
        """The limit that is looked at most."""

    @property
    def delivery(self) -> Destination:
        """Where the span goes once it has ended."""

    @property
    def instrumentation_scope(self) -> InstrumentationScope:
        """The scope that the tracer was asked for."""

    @property
    def instrumentation_info(self) -> Any:
        """The same as the SDK's deprecated class."""

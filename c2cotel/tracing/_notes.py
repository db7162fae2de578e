"""What is kept of attributes, events and links until a span is read.

Values that nobody can change afterwards are noted as they are and cleaned by the reader. Anything else goes into the
SDK's `BoundedAttributes` at once, which copies it: a caller may change a list after the call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, SpanLimits
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link, SpanContext

Noted: TypeAlias = "dict[str, Any] | BoundedAttributes"

PLAIN = frozenset({str, bool, int, float, bytes, type(None)})
"""Types of values that cannot change and need no cleaning but for their length."""
_TEXT = frozenset({str})
_COPIED = frozenset({dict, MappingProxyType})


class Plain(dict[str, Any]):
    """Attributes that need neither a look nor a copy: texts and numbers that their maker leaves alone from now on."""


def noted(attributes: Mapping[str, Any] | None, most: int | None, longest: int | None) -> Noted:
    """A copy of attributes, cleaned only where that cannot wait."""
    if not attributes:
        return {}
    if type(attributes) is Plain and (most is None or len(attributes) <= most):
        return attributes
    if type(attributes) in _COPIED:
        copy = dict(attributes)
        if (
            (most is None or len(copy) <= most)
            and PLAIN.issuperset(map(type, copy.values()))
            and _TEXT.issuperset(map(type, copy))
            and "" not in copy
        ):
            return copy
    return BoundedAttributes(most, attributes, immutable=False, max_value_len=longest)


def bounded(attributes: Noted, most: int | None, longest: int | None) -> BoundedAttributes:
    """The SDK's own container, when what is noted no longer suffices."""
    if isinstance(attributes, dict):
        return BoundedAttributes(most, attributes, immutable=False, max_value_len=longest)
    return attributes


def cleaned(attributes: Noted, longest: int | None) -> Any:
    """What a reader is given: it does not change any more."""
    if not isinstance(attributes, dict):
        return attributes
    if longest is None or all(len(value) <= longest for value in attributes.values() if value.__class__ is str):
        return attributes.copy()
    return BoundedAttributes(None, attributes, max_value_len=longest)


class Latest:
    """The latest events or links of a span, and how many there were.

    Args:
        most: how many are kept.
    """

    __slots__ = ("kept", "seen")

    def __init__(self, most: int | None) -> None:
        self.kept: deque[tuple[Any, ...]] = deque(maxlen=most)
        self.seen = 0

    def add(self, one: tuple[Any, ...]) -> None:
        """Note one; the oldest makes room."""
        self.seen += 1
        self.kept.append(one)

    def events(self, limits: SpanLimits) -> BoundedList[Any]:
        """The SDK's list of events."""
        longest = limits.max_attribute_length
        return self._listed(
            limits.max_events,
            [Event(name, cleaned(attributes, longest), time) for name, attributes, time in list(self.kept)],
        )

    def links(self, limits: SpanLimits) -> BoundedList[Any]:
        """The SDK's list of links."""
        longest = limits.max_attribute_length
        return self._listed(
            limits.max_links, [Link(to, cleaned(attributes, longest)) for to, attributes in list(self.kept)]
        )

    def _listed(self, most: int | None, what: list[Any]) -> BoundedList[Any]:
        bounded_list = BoundedList.from_seq(most, what)
        bounded_list.dropped = self.seen - len(what)
        return bounded_list


def is_link(context: SpanContext | None, attributes: Mapping[str, Any] | None) -> bool:
    """Whether a link says anything."""
    return bool(context and (context.is_valid or attributes or context.trace_state))

"""The keys under which the exporter remembers a series. Pure functions.

Types are part of a key: 1, 1.0 and True are equal for Python, and differ on the wire.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from opentelemetry.exporter.statsd._rules import text


def attributes_key(attributes: Mapping[Any, Any] | None) -> frozenset[Hashable]:
    """The key of attributes: names and values with their types, in any order."""
    if not attributes:
        return frozenset()
    return frozenset(
        [item if type(item[1]) is str else (item[0], type(item[1]), _exact(item[1])) for item in attributes.items()]
    )


def _exact(value: Any) -> Hashable:
    """What tells a value from others of its type, elements of sequences and mappings included."""
    if type(value) is int or type(value) is bool:
        return value
    if isinstance(value, Mapping):
        return attributes_key(value)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        return tuple([(type(element), _exact(element)) for element in value])
    return text(value)


def metric_key(scope: Any, metric: Any) -> tuple[Hashable, ...]:
    """The key of an instrument: the whole scope, name, unit, description, and what kind of data it gives.

    Args:
        scope: The `InstrumentationScope`; None: the scope without a name.
        metric: The `Metric`.
    """
    scope_key = [text(getattr(scope, name, None)) for name in ("name", "version", "schema_url")]
    attributes = attributes_key(getattr(scope, "attributes", None))
    return (*scope_key, attributes, text(metric.name), text(metric.unit), text(metric.description), type(metric.data))

"""The exporter and the reader that environment variables describe, for ``OTEL_METRICS_EXPORTER=statsd``."""

import math
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from opentelemetry.exporter.statsd._endpoint import parse_endpoint
from opentelemetry.exporter.statsd._exporter import StatsdMetricExporter
from opentelemetry.exporter.statsd._flavors import flavor_named
from opentelemetry.exporter.statsd._reader import INTERVAL, StatsdMetricReader
from opentelemetry.exporter.statsd._transport import MAX_UDP_PAYLOAD
from opentelemetry.sdk.environment_variables import OTEL_METRIC_EXPORT_INTERVAL

OTEL_EXPORTER_STATSD_ENDPOINT = "OTEL_EXPORTER_STATSD_ENDPOINT"
OTEL_EXPORTER_STATSD_PREFIX = "OTEL_EXPORTER_STATSD_PREFIX"
OTEL_EXPORTER_STATSD_FLAVOR = "OTEL_EXPORTER_STATSD_FLAVOR"
OTEL_EXPORTER_STATSD_TAGS = "OTEL_EXPORTER_STATSD_TAGS"
OTEL_EXPORTER_STATSD_MAX_PACKET = "OTEL_EXPORTER_STATSD_MAX_PACKET"


class StatsdEnvironmentMetricExporter(StatsdMetricExporter):
    """A `StatsdMetricExporter` made from the environment.

    It reads ``OTEL_EXPORTER_STATSD_ENDPOINT``, ``_PREFIX``, ``_FLAVOR``, ``_TAGS`` (``k=v,k=v``, percent-encoded where
    needed, as ``OTEL_RESOURCE_ATTRIBUTES``) and ``_MAX_PACKET``. An empty variable counts as unset.

    Args:
        **options: Arguments of `StatsdMetricExporter`; they win over the environment.

    Raises:
        ValueError: A variable that cannot be used; the message has its name, its value and what was expected.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**_options(os.environ), **options})


class StatsdEnvironmentMetricReader(StatsdMetricReader):
    """A `StatsdMetricReader` made from the environment: ``OTEL_METRICS_EXPORTER=statsd`` selects it.

    It reads the variables of `StatsdEnvironmentMetricExporter`, and ``OTEL_METRIC_EXPORT_INTERVAL`` in milliseconds,
    whose default is 1000 here.

    Args:
        **options: Arguments of `StatsdMetricExporter`; they win over the environment.

    Raises:
        ValueError: A variable that cannot be used; the message has its name, its value and what was expected.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(StatsdEnvironmentMetricExporter(**options), interval=_interval(os.environ))


def _interval(environ: Mapping[str, str]) -> float:
    value = environ.get(OTEL_METRIC_EXPORT_INTERVAL, "").strip()
    if not value:
        return INTERVAL
    try:
        seconds = float(value) / 1000
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ValueError(f"{OTEL_METRIC_EXPORT_INTERVAL}={value!r}: expected milliseconds, such as 1000")
    return seconds


def _options(environ: Mapping[str, str]) -> dict[str, Any]:
    """The constructor's arguments that the variables hold."""
    options: dict[str, Any] = {}
    for variable, argument, parse in (
        (OTEL_EXPORTER_STATSD_ENDPOINT, "endpoint", _endpoint),
        (OTEL_EXPORTER_STATSD_PREFIX, "prefix", str),
        (OTEL_EXPORTER_STATSD_FLAVOR, "flavor", _flavor),
        (OTEL_EXPORTER_STATSD_TAGS, "tags", _tags),
        (OTEL_EXPORTER_STATSD_MAX_PACKET, "max_packet", _max_packet),
    ):
        value = environ.get(variable, "").strip()
        if value:
            try:
                options[argument] = parse(value)
            except ValueError as error:
                raise ValueError(f"{variable}={value!r}: {error}") from None
    return options


def _endpoint(value: str) -> str:
    parse_endpoint(value)
    return value


def _flavor(value: str) -> str:
    flavor_named(value.lower())
    return value.lower()


def _max_packet(value: str) -> int:
    if not (value.isascii() and value.isdigit() and 0 < int(value[:6]) <= MAX_UDP_PAYLOAD):
        raise ValueError(f"expected 1 to {MAX_UDP_PAYLOAD} bytes, such as 1432")
    return int(value)


def _tags(value: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    for pair in filter(None, map(str.strip, value.split(","))):
        key, equals, text = pair.partition("=")
        if not equals or not key.strip():
            raise ValueError(f"{pair!r} is not key=value; expected k=v,k=v")
        tags[unquote(key.strip())] = unquote(text.strip())
    return tags

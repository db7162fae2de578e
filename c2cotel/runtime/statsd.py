"""The statsd exporter as the settings want it."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.exporter.statsd import NameRule, StatsdMetricExporter

from c2cotel.config.settings import OtelSettings, StatsdSettings


def statsd_exporter(settings: StatsdSettings, otel: OtelSettings, rules: Sequence[NameRule]) -> StatsdMetricExporter:
    """An exporter that sends exact values.

    Args:
        settings: Where and how it sends.
        otel: Has the address where `settings` has none.
        rules: Names on the wire.
    """
    return StatsdMetricExporter(
        settings.address or otel.statsd_endpoint or "localhost:8125",
        prefix=settings.prefix,
        flavor=settings.flavor or "datadog",
        rules=rules,
        tags=settings.tags if settings.use_tags else None,
        use_tags=settings.use_tags,
        whole_milliseconds=True,
        tag_value=sanitized_part,
        absolute_gauges=settings.flavor == "datadog",
    )


def sanitized_part(text: str) -> str:
    """A key part or tag as 2018 wrote it: one underscore for each character that is no ASCII letter or digit."""
    return "".join(c if c == "_" or (c.isascii() and c.isalnum()) else "_" for c in text)

"""OpenTelemetry's standard variables: an empty one is unset, a bad one is named (contract, section 1)."""

from __future__ import annotations

import pytest

import c2cotel
from c2cotel import SettingsError


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("OTEL_METRICS_EXEMPLAR_FILTER", "sometimes", "one of always_on, always_off, trace_based"),
        ("OTEL_TRACES_SAMPLER", "half", "one of always_on"),
        ("OTEL_TRACES_SAMPLER_ARG", "2", "a number from 0 to 1"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "brotli", "one of none, gzip, deflate"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon", "a positive number"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "both", "one of cumulative, delta, lowmemory"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "-1", "a whole number of at least 0"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "many", "a whole number of at least 1"),
    ],
)
def test_a_bad_value_is_named(name: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(SettingsError, match=f"{name}='{value}': expected {expected}"):
        c2cotel.setup()


@pytest.mark.parametrize(
    "name",
    ["OTEL_METRICS_EXEMPLAR_FILTER", "OTEL_TRACES_SAMPLER", "OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_SPAN_LINK_COUNT_LIMIT"],
)
def test_an_empty_variable_is_unset(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    c2cotel.setup().close(timeout=0.1)

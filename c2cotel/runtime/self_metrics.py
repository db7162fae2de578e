"""What becomes of spans and log records inside this process, under the names of OpenTelemetry's SDKs.

https://opentelemetry.io/docs/specs/semconv/otel/sdk-metrics/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from opentelemetry import trace

from c2cotel.delivery.batches import BatchChannel
from c2cotel.delivery.outlet import Outlet
from c2cotel.metrics.observations import Observation
from c2cotel.tracing import TracerProvider
from c2cotel.tracing.channel import LateSpanExporter

_SIGNALS = {"spans": "span", "log records": "log"}
_UNITS = {"span": "{span}", "log": "{log_record}"}


def observe_queues(outlets: Sequence[Outlet]) -> Callable[[], Iterator[Observation]]:
    """What gives the sizes of the queues, and the numbers of what was exported and dropped.

    Args:
        outlets: The channels out of the process; the list may change.
    """

    def observe() -> Iterator[Observation]:
        numbers: dict[str, int] = {}
        for channel in list(outlets):
            if isinstance(channel, BatchChannel):
                signal = _SIGNALS[channel.items]
                number = numbers[signal] = numbers.get(signal, -1) + 1
                yield from _of_channel(channel, signal, number)
        provider = trace.get_tracer_provider()
        if isinstance(provider, TracerProvider) and provider.keep is not None:
            component = _component("c2c_traces_keep", 0)
            yield Observation("otel.sdk.processor.span.queue.size", "{span}", component, provider.keep.waiting)
            cut = {**component, "error.type": "queue_full"}
            yield Observation("otel.sdk.processor.span.processed", "{span}", cut, provider.keep.cut, is_total=True)

    return observe


def _of_channel(channel: BatchChannel[Any], signal: str, number: int) -> Iterator[Observation]:
    unit = _UNITS[signal]
    processor = _component(f"batching_{signal}_processor", number)

    def total(name: str, component: Mapping[str, Any], value: int, error: str = "") -> Observation:
        attributes = {**component, "error.type": error} if error else component
        return Observation(name, unit, attributes, value, is_total=True)

    yield Observation(f"otel.sdk.processor.{signal}.queue.size", unit, processor, channel.waiting)
    yield Observation(f"otel.sdk.processor.{signal}.queue.capacity", unit, processor, channel.capacity)
    processed = f"otel.sdk.processor.{signal}.processed"
    yield total(processed, processor, channel.exported + channel.failed)
    yield total(processed, processor, channel.dropped, "queue_full")
    if isinstance(channel.exporter, LateSpanExporter):  # the official exporters count what they send themselves
        exporter = _component("otlp_http_span_exporter", number)
        yield total("otel.sdk.exporter.span.exported", exporter, channel.exported)
        yield total("otel.sdk.exporter.span.exported", exporter, channel.failed, "_OTHER")


def _component(kind: str, number: int) -> Mapping[str, Any]:
    return {"otel.component.type": kind, "otel.component.name": f"{kind}/{number}"}

"""An application with an instrument of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from opentelemetry.exporter.statsd import StatsdMetricExporter, StatsdMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View


def measure_everything(endpoint: str, flavor: str) -> None:
    """One application with an instrument of each kind; two intervals, and the end."""
    observed = [(10, -3, 1.5), (25, -7, -2.5), (25, -7, -2.5)]

    def observe(which: int) -> Any:
        values = (Observation(numbers[which], {"of": "all"}) for numbers in observed)
        last = Observation(observed[-1][which], {"of": "all"})

        def callback(_: CallbackOptions) -> Iterator[Observation]:
            yield next(values, last)

        return callback

    views = [View(instrument_name="buckets", aggregation=ExplicitBucketHistogramAggregation([50]))]
    reader = StatsdMetricReader(StatsdMetricExporter(endpoint, flavor=flavor, prefix="app"), interval=3600)
    provider = MeterProvider([reader], views=views, shutdown_on_exit=False)
    meter = provider.get_meter("all")
    meter.create_observable_counter("seen", [observe(0)])
    meter.create_observable_up_down_counter("level", [observe(1)])
    meter.create_observable_gauge("heat", [observe(2)])
    counter, up_down = meter.create_counter("jobs"), meter.create_up_down_counter("queue")
    gauge, seconds = meter.create_gauge("load"), meter.create_histogram("lat", unit="s")
    size, buckets = meter.create_histogram("size", unit="By"), meter.create_histogram("buckets", unit="ms")
    for interval in range(2):
        counter.add(2 + interval)
        up_down.add(-4)
        gauge.set(0.25 - interval)
        for number in range(100):
            seconds.record(0.001 * (number + 1), {"of": "all"})
            size.record(number)
        for value in (10, 10, 10, 200):
            buckets.record(value)
        assert reader.force_flush()
    counter.add(10)
    provider.shutdown()

"""Exact measurements out of an SDK as it comes; see also `test_sdk.py`."""

import gc
import signal
import threading
from typing import Any

import pytest
from opentelemetry.exporter.statsd import RawSampleAggregation, SampledHistogramDataPoint
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import (
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    View,
)


def collected(reader: InMemoryMetricReader) -> list[Any]:
    data = reader.get_metrics_data()
    if data is None:
        return []
    return [
        point
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    ]


@pytest.fixture
def raw() -> RawSampleAggregation:
    return RawSampleAggregation(limit=100)


@pytest.fixture
def reader(raw: RawSampleAggregation) -> InMemoryMetricReader:
    return InMemoryMetricReader({Histogram: AggregationTemporality.DELTA}, {Histogram: raw})


def test_this_sdk_hands_over_every_measurement(reader: InMemoryMetricReader) -> None:
    histogram = MeterProvider([reader], shutdown_on_exit=False).get_meter("m").create_histogram("h")
    for value in (1, 2.5, 2.5):
        histogram.record(value, {"a": "b"})
    (point,) = collected(reader)
    assert isinstance(point, SampledHistogramDataPoint)
    assert point.samples == [1, 2.5, 2.5]
    assert (point.count, point.sum, point.min, point.max) == (3, 6.0, 1, 2.5)
    assert sum(point.bucket_counts) == point.count
    assert point.attributes == {"a": "b"}
    assert 0 < point.start_time_unix_nano <= point.time_unix_nano
    assert '"samples"' in point.to_json()
    assert collected(reader) == []


def test_the_stream_of_a_series_is_the_same_dictionary_at_each_collection(reader: InMemoryMetricReader) -> None:
    histogram = MeterProvider([reader], shutdown_on_exit=False).get_meter("m").create_histogram("h")
    streams = []
    for _ in range(2):
        histogram.record(1)
        streams.append(collected(reader)[0].stream)
    assert streams[0] is streams[1]


def test_a_full_series_drops_counts_and_logs_it_once(
    raw: RawSampleAggregation, reader: InMemoryMetricReader, caplog: pytest.LogCaptureFixture
) -> None:
    histogram = MeterProvider([reader], shutdown_on_exit=False).get_meter("m").create_histogram("h")
    for _ in range(2):
        for value in range(130):
            histogram.record(value)
        assert len(collected(reader)[0].samples) == 100
    assert raw.dropped == 60
    assert len(caplog.records) == 1
    assert "Histogram 'h'" in caplog.text


def test_no_measurement_is_lost_between_threads_and_a_collector() -> None:
    reader = InMemoryMetricReader({Histogram: AggregationTemporality.DELTA}, {Histogram: RawSampleAggregation(10**6)})
    histogram = MeterProvider([reader], shutdown_on_exit=False).get_meter("m").create_histogram("h")
    threads = [threading.Thread(target=lambda: [histogram.record(1) for _ in range(3000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    count = 0
    while any(thread.is_alive() for thread in threads):
        count += sum(len(point.samples) for point in collected(reader))
    count += sum(len(point.samples) for point in collected(reader))
    assert count == 12_000


def test_a_signal_handler_may_record_in_the_middle_of_a_record(reader: InMemoryMetricReader) -> None:
    histogram = MeterProvider([reader], shutdown_on_exit=False).get_meter("m").create_histogram("h")
    histogram.record(0)
    before = signal.signal(signal.SIGALRM, lambda *_: histogram.record(1))
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        for _ in range(20_000):
            histogram.record(0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert collected(reader)[0].count == 100


def test_a_series_that_cannot_be_replaced_has_the_sdks_buckets(
    monkeypatch: pytest.MonkeyPatch, reader: InMemoryMetricReader, caplog: pytest.LogCaptureFixture
) -> None:
    """The application's own `record` must never see an exception of ours."""

    def broken(*_: Any) -> Any:
        raise RuntimeError("layout differs")

    monkeypatch.setattr("opentelemetry.exporter.statsd._sdk._inheriting", broken)
    histogram = MeterProvider([reader], shutdown_on_exit=False).get_meter("m").create_histogram("h")
    histogram.record(3)
    (point,) = collected(reader)
    assert (type(point).__name__, point.count) == ("HistogramDataPoint", 1)
    assert "falling back" in caplog.text


def test_no_histogram_has_the_data_of_the_instrument_before_it(application: Any) -> None:
    """The SDK does so with an aggregation that inherits from none of its own."""
    app = application()
    app.meter.create_counter("requests.total").add(7)
    app.meter.create_histogram("lat", unit="ms").record(3)
    assert app.flush() == ["requests.total:7|c", "lat:3|ms"]


@pytest.mark.parametrize(
    "aggregation", [ExplicitBucketHistogramAggregation([50, 100]), ExponentialBucketHistogramAggregation()]
)
def test_a_view_with_buckets_keeps_count_sum_minimum_and_maximum(application: Any, aggregation: Any) -> None:
    app = application(views=[View(instrument_name="lat", aggregation=aggregation)])
    histogram = app.meter.create_histogram("lat", unit="ms")
    for value in (10, 10, 10, 200):
        histogram.record(value)
    assert sorted(app.flush()) == ["lat:10|ms", "lat:10|ms", "lat:10|ms", "lat:200|ms"]
    for measured in (0, 0, 0.5, 1):
        histogram.record(measured)
    values = [float(line.split(":")[1].split("|")[0]) for line in app.flush()]
    assert (len(values), sum(values), min(values), max(values)) == (4, 1.5, 0, 1)


def test_a_view_with_buckets_and_without_ends_yields_the_mean(application: Any) -> None:
    view = View(instrument_name="*", aggregation=ExplicitBucketHistogramAggregation([1], record_min_max=False))
    app = application(views=[view])
    size = app.meter.create_histogram("size", unit="By")
    size.record(1)
    size.record(4)
    rows = app.meter.create_histogram("rows", unit="{row}")
    rows.record(1.5)
    rows.record(4.5)
    assert app.flush() == ["size:2|h", "size:3|h", "rows:3.0|h", "rows:3.0|h"]


def test_a_view_that_renames_keeps_the_measurements_exact(application: Any) -> None:
    app = application(views=[View(instrument_name="lat", name="latency", attribute_keys={"a"})])
    histogram = app.meter.create_histogram("lat", unit="ms")
    histogram.record(1.5, {"a": "x", "b": "y"})
    histogram.record(2, {"a": "x", "b": "z"})
    assert app.flush() == ["latency:1.5|ms|#a:x", "latency:2|ms|#a:x"]


def test_another_reader_of_the_same_provider_sees_ordinary_buckets(server: Any) -> None:
    from opentelemetry.exporter.statsd import StatsdMetricExporter
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    other = InMemoryMetricReader()
    exporting = PeriodicExportingMetricReader(StatsdMetricExporter(server.endpoint), export_interval_millis=3_600_000)
    provider = MeterProvider([other, exporting], shutdown_on_exit=False)
    provider.get_meter("m").create_histogram("h", unit="ms").record(7)
    (point,) = collected(other)
    assert type(point).__name__ == "HistogramDataPoint"
    provider.shutdown()
    assert server.lines() == ["h:7|ms"]
    gc.collect()

"""What the SDK does not document, and this package needs: a new SDK that moves it fails here."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import opentelemetry.exporter.statsd
import pytest
from opentelemetry.exporter.statsd import RawSampleAggregation, SampledHistogramDataPoint, StatsdMetricExporter, _sdk
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk import metrics
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader

PACKAGE = Path(opentelemetry.exporter.statsd.__file__).parent
SDK = ("opentelemetry.sdk", "opentelemetry.metrics", "opentelemetry.context")
PRIVATE = {
    "_collect",
    "_create_aggregation",
    "_instrument_class_aggregation",
    "_instrument_class_temporality",
    "_measurement_consumer",
    "_preferred_aggregation",
    "_preferred_temporality",
    "_reader_storages",
    "_sdk_config",
}


def private_names(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(SDK):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            yield from (name for name in names if name.startswith("_"))
        name = getattr(node, "attr", None) or getattr(node, "name", None)
        if name in PRIVATE:
            yield name


def test_one_module_uses_private_names_of_the_sdk() -> None:
    users = {file.name: sorted(private_names(file)) for file in PACKAGE.glob("*.py")}
    assert {name for name, used in users.items() if used} == {"_sdk.py"}


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader({Histogram: AggregationTemporality.DELTA}, {Histogram: RawSampleAggregation()})


def test_the_sdk_has_the_private_names(reader: Any) -> None:
    assert _sdk.Gauge is metrics._Gauge
    assert not _sdk.is_registered(reader)
    provider = MeterProvider([reader], shutdown_on_exit=False)
    assert _sdk.is_registered(reader)
    consumer = reader._collect.__self__
    assert consumer is provider._measurement_consumer
    assert callable(consumer._reader_storages[reader].collect)


def test_an_exporter_says_what_it_prefers() -> None:
    options = _sdk.preferences(StatsdMetricExporter())
    assert options["preferred_temporality"][metrics.Counter] is AggregationTemporality.DELTA
    assert options["preferred_temporality"][metrics.ObservableCounter] is AggregationTemporality.CUMULATIVE
    assert isinstance(options["preferred_aggregation"][Histogram], RawSampleAggregation)
    InMemoryMetricReader(**options)


def test_the_sdk_lets_a_series_be_replaced(reader: Any) -> None:
    meter = MeterProvider([reader], shutdown_on_exit=False).get_meter("m")
    meter.create_histogram("h").record(1)
    (point,) = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    assert isinstance(point, SampledHistogramDataPoint)


def test_the_rest_is_collected_without_callbacks(reader: Any) -> None:
    def callback(_: CallbackOptions) -> Iterator[Observation]:
        yield Observation(1)
        raise SystemExit

    meter = MeterProvider([reader], shutdown_on_exit=False).get_meter("m")
    meter.create_observable_gauge("g", callbacks=[callback])
    meter.create_counter("c").add(1)
    data = _sdk.collect_synchronous(reader)
    assert data is not None
    assert [metric.name for metric in data.resource_metrics[0].scope_metrics[0].metrics] == ["c"]

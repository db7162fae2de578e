"""Numbers as they arrive at the server, through the SDK."""

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope


def one(metric: Metric) -> MetricsData:
    return MetricsData([ResourceMetrics(Resource({}), [ScopeMetrics(InstrumentationScope("t"), [metric], "")], "")])


@pytest.mark.parametrize(
    ("options", "unit", "value", "written"),
    [
        ({}, "s", 0.0025, "2.5|ms"),
        ({}, "s", 0.0, "0|ms"),
        ({}, "s", -0.0, "0|ms"),
        ({}, "s", 1, "1000|ms"),
        ({}, "s", 0.1234567, "123.457|ms"),
        ({}, "ms", 12, "12|ms"),
        ({}, "us", 1500, "1.5|ms"),
        ({}, "ns", 1_500_000, "1.5|ms"),
        ({}, "min", 1.5, "90000|ms"),
        ({}, "h", 1, "3600000|ms"),
        ({}, "By", 5, "5|h"),
        ({}, "", 5.5, "5.5|h"),
        ({"whole_milliseconds": True}, "By", 0.25, "0.25|h"),
        ({"flavor": "etsy"}, "By", 5, "5|ms"),
        ({"flavor": "collectd"}, "By", 0.2, "1|ms"),
        ({"flavor": "collectd"}, "s", 0.0, "1|ms"),
        ({"flavor": "collectd"}, "s", 0.0125, "12|ms"),
        ({"whole_milliseconds": True}, "s", 0.0004, "1|ms"),
        ({"whole_milliseconds": True}, "s", 0.0025, "2|ms"),
        ({"whole_milliseconds": True}, "s", 0.0035, "4|ms"),
        ({}, "s", Decimal("1.5"), "1500|ms"),
        ({}, "s", Fraction(1, 2), "500|ms"),
        ({"whole_milliseconds": True}, "s", Fraction(1, 2), "500|ms"),
        ({}, "By", Decimal("1.5"), "1.5|h"),
        ({}, "By", True, "1.0|h"),
    ],
)
def test_a_histogram_value_is_written(application: Any, options: Any, unit: str, value: Any, written: str) -> None:
    app = application(**options)
    app.meter.create_histogram("n", unit=unit).record(value)
    assert app.flush() == [f"n:{written}"]


def test_values_that_are_not_finite_are_left_out_alone(application: Any) -> None:
    app = application()
    histogram = app.meter.create_histogram("n", unit="h")
    for value in (1, float("nan"), float("inf"), -1, 1e308, Decimal("1.5"), Fraction(1, 2)):
        histogram.record(value)
    assert app.flush() == ["n:3600000|ms", "n:5400000|ms", "n:1800000|ms"]
    assert app.exporter.dropped == 1, "1e308 hours are more milliseconds than a float holds"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (True, "1"),
        (42, "42"),
        (1.5, "1.5"),
        (0, "0"),
        (0.0, "0.0"),
        (-0.0, "0"),
        (1e-05, "1e-05"),
        (Decimal("1E+2"), "100.0"),
    ],
)
def test_a_gauge_is_written_as_python_prints_it(application: Any, value: Any, written: str) -> None:
    app = application()
    app.meter.create_gauge("g").set(value)
    assert app.flush() == [f"g:{written}|g"]


def test_a_negative_gauge_is_preceded_by_zero_unless_absolute(application: Any) -> None:
    for options, expected in (
        ({}, ["g:0|g|#k:v", "g:-3.5|g|#k:v"]),
        ({"absolute_gauges": True}, ["g:-3.5|g|#k:v"]),
    ):
        app = application(**options)
        app.meter.create_gauge("g").set(-3.5, {"k": "v"})
        assert app.flush() == expected


def test_an_overflowing_counter_is_dropped_alone(application: Any) -> None:
    app = application()
    overflowing = app.meter.create_counter("a")
    overflowing.add(1e308)
    overflowing.add(1e308)
    app.meter.create_counter("b").add(10**30)
    long = app.meter.create_counter("c")
    for _ in range(40):
        long.add(10**300)
    assert app.flush()[0] == f"b:{10**30}|c"
    assert app.exporter.dropped == 1


def test_an_integer_too_long_to_print_drops_its_point_only(application: Any, server: Any) -> None:
    app = application()
    points = [NumberDataPoint({}, 0, 0, value) for value in (10**5000, 7)]
    metric = Metric("n", "", "", Sum(points, AggregationTemporality.DELTA, is_monotonic=True))
    assert app.exporter.export(one(metric)) is MetricExportResult.SUCCESS
    assert server.lines() == ["n:7|c"]
    assert app.exporter.dropped == 1


def test_an_up_down_counter_is_a_gauge_at_each_interval(
    application: Any,
) -> None:
    app = application(flavor="etsy", absolute_gauges=True)
    app.meter.create_counter("c").add(2)
    assert app.flush() == ["c:2|c"]
    assert app.flush() == []
    app.meter.create_counter("zero").add(0)
    assert app.flush() == []
    app.meter.create_up_down_counter("u").add(-4)
    assert [app.flush() for _ in range(3)] == [["u:-4|g"]] * 3


def test_an_observed_counter_sends_increments_also_after_a_restart(application: Any) -> None:
    totals = iter([10, 15, 15, 3, float("nan"), 4])

    def callback(_: CallbackOptions) -> Iterable[Observation]:
        yield Observation(next(totals), {"k": "v"})

    app = application()
    app.meter.create_observable_counter("c", [callback])
    assert [app.flush() for _ in range(6)] == [
        ["c:10|c|#k:v"],
        ["c:5|c|#k:v"],
        [],
        ["c:3|c|#k:v"],
        [],
        ["c:1|c|#k:v"],
    ]


def test_a_failing_callback_stops_no_other_instrument(application: Any) -> None:
    def failing(_: CallbackOptions) -> Iterable[Observation]:
        raise RuntimeError("no reading")

    def nan(_: CallbackOptions) -> Iterable[Observation]:
        yield Observation(float("nan"))

    app = application()
    app.meter.create_observable_gauge("a", [failing])
    app.meter.create_observable_gauge("b", [nan])
    app.meter.create_observable_gauge("c", [lambda _: [Observation(1)]])
    app.meter.create_observable_up_down_counter("d", [lambda _: [Observation(2)]])
    assert app.flush() == ["c:1|g", "d:2|g"]
    assert app.flush() == ["c:1|g", "d:2|g"]


def test_cumulative_histograms_of_another_producer_send_only_what_is_new(application: Any, server: Any) -> None:
    app = application()
    for count, total in ((2, 10), (3, 40), (3, 40), (1, 7)):
        point = HistogramDataPoint({}, 0, 0, count, total, (count,), (), 0, 40)
        app.exporter.export(one(Metric("n", "", "ms", Histogram([point], AggregationTemporality.CUMULATIVE))))
    assert server.lines() == ["n:5|ms", "n:5|ms", "n:30|ms", "n:7|ms"]


def test_deltas_of_an_up_down_counter_of_another_producer_are_summed_up(application: Any, server: Any) -> None:
    app = application(absolute_gauges=True)
    for value in (5, -7):
        points = [NumberDataPoint({}, 0, 0, value)]
        app.exporter.export(one(Metric("n", "", "", Sum(points, AggregationTemporality.DELTA, is_monotonic=False))))
    assert server.lines() == ["n:5|g", "n:-2|g"]

"""Which series are one, and which items cost themselves alone."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.exporter.statsd import SampledHistogramDataPoint
from opentelemetry.exporter.statsd._identity import attributes_key
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
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

SCOPE = InstrumentationScope("t")


class Nameless:
    """A value that cannot be printed."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def data_of(*metrics: Any, scope: Any = SCOPE) -> MetricsData:
    return MetricsData([ResourceMetrics(Resource({}), [ScopeMetrics(scope, list(metrics), "")], "")])


def counter(name: Any, value: Any, attributes: Any = None, unit: Any = "", description: Any = "") -> Metric:
    points = [NumberDataPoint(attributes or {}, 0, 0, value)]
    return Metric(name, description, unit, Sum(points, AggregationTemporality.DELTA, is_monotonic=True))


def timer(samples: Any) -> Metric:
    point = SampledHistogramDataPoint({}, 0, 0, len(samples), 0, (), (), 0, 0, samples=samples)
    return Metric("h", "", "ms", Histogram([point], AggregationTemporality.DELTA))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"version": "1"}, {"version": "2"}),
        ({"schema_url": "http://a"}, {"schema_url": "http://b"}),
        ({"attributes": {"a": 1}}, {"attributes": {"a": 2}}),
    ],
)
def test_meters_of_one_name_have_counters_of_their_own(application: Any, one: Any, other: Any) -> None:
    app = application()
    for total, scope in ((1000, one), (10, other)):
        meter = app.provider.get_meter("m", **scope)
        meter.create_observable_counter("c", [lambda _, total=total: [Observation(total)]])
    assert sorted(app.flush()) == ["c:1000|c", "c:10|c"]
    assert app.flush() == [], "neither counted on"


def test_a_value_of_another_type_is_another_series(application: Any) -> None:
    values: list[Any] = [True, 1, 1.0, "1", (True,), (1,), ("1",), ("a_b",), ("a", "b")]

    def callback(_: CallbackOptions) -> Iterator[Observation]:
        for number, value in enumerate(values):
            yield Observation(10**number, {"a": value})

    app = application()
    app.meter.create_observable_counter("c", [callback])
    assert sum(int(line.split(":")[1].partition("|")[0]) for line in app.flush()) == 111_111_111
    assert app.flush() == []


def test_keys_tell_types_apart() -> None:
    values: list[Any] = [True, 1, 1.0, "1", b"1", (1,), (True,), ["1"], {"b": 1}]
    keys = {attributes_key({"a": value}) for value in values}
    assert len(keys) == 9
    assert attributes_key({"a": 1, "b": 2}) == attributes_key({"b": 2, "a": 1})


BAD = [
    pytest.param(counter(123, 1), 1, id="a name that is no text"),
    pytest.param(counter("c", float("nan")), 1, id="NaN"),
    pytest.param(counter("c", float("inf")), 1, id="infinity"),
    pytest.param(counter("c", None), 1, id="no number"),
    pytest.param(counter("c", 10**5000), 1, id="an integer that cannot be printed"),
    pytest.param(Metric("m", "", "", None), 1, id="no data"),  # type: ignore[arg-type]
    pytest.param(Metric("m", "", "", Gauge(None)), 1, id="no points"),  # type: ignore[arg-type]
    pytest.param(None, 1, id="no metric"),
    pytest.param(timer(["x", None, 5]), 2, id="samples that are no numbers"),
    pytest.param(timer(7 * [float("nan")]), 7, id="samples that are no finite numbers"),
]


@pytest.mark.parametrize("flavor", ["datadog", "influx", "etsy"])
@pytest.mark.parametrize(("bad", "dropped"), BAD)
def test_a_bad_item_costs_itself_alone(application: Any, server: Any, bad: Any, dropped: int, flavor: str) -> None:
    app = application(flavor=flavor)
    batch = data_of(counter("before", 1), bad, counter("after", 1))
    assert app.exporter.export(batch) is MetricExportResult.SUCCESS
    lines = server.lines()
    assert (lines[0], lines[-1]) == ("before:1|c", "after:1|c")
    assert app.exporter.dropped == dropped


@pytest.mark.parametrize(
    ("odd", "line"),
    [
        pytest.param(counter("a\ud800b", 1), "a_b:1|c", id="a surrogate in a name"),
        pytest.param(counter("c", 1, unit="\ud800"), "c:1|c", id="a surrogate in a unit"),
        pytest.param(counter("c", 1, unit=["s"]), "c:1|c", id="a unit that is no text"),
        pytest.param(counter("c", 1, description="\ud800"), "c:1|c", id="a surrogate in a description"),
        pytest.param(counter("c", 1, {"k\ud800": "v\ud800"}), "c:1|c|#k_:v_", id="a surrogate in a tag"),
        pytest.param(counter("c", 1, {"k": Nameless()}), "c:1|c|#k:Nameless", id="a tag that cannot be printed"),
        pytest.param(counter("c", 2**64), f"c:{2**64}|c", id="an integer beyond 64 bits"),
        pytest.param(counter("c", True), "c:1|c", id="a counter True"),
        pytest.param(timer([-5]), "h:0|ms", id="a negative time"),
    ],
)
def test_an_odd_item_is_written(application: Any, server: Any, odd: Metric, line: str) -> None:
    scope = InstrumentationScope("\ud800", "\ud800", attributes={"a": "\ud800"})
    assert application().exporter.export(data_of(odd, scope=scope)) is MetricExportResult.SUCCESS
    assert server.lines() == [line]


@pytest.mark.parametrize("bad", [None, 5, ResourceMetrics(None, None, ""), ResourceMetrics(Resource({}), [None], "")])  # type: ignore[arg-type, list-item]
def test_a_bad_resource_or_scope_costs_itself_alone(application: Any, server: Any, bad: Any) -> None:
    app = application(resource_tags={"a": "b"})
    batch = MetricsData([bad, *data_of(counter("c", 1)).resource_metrics])
    assert app.exporter.export(batch) is MetricExportResult.SUCCESS
    assert server.lines() == ["c:1|c"]


def test_what_whole_counters_carried_over_is_sent_at_the_end(application: Any, server: Any) -> None:
    app = application(flavor="influx")
    for value in (0.4, 0.4):
        app.meter.create_counter("most").add(value, {"k": "v"})
    app.meter.create_counter("least").add(0.4)
    assert app.flush() == []
    app.provider.shutdown()
    assert server.lines() == ["most,k=v:1|c"]


def test_a_forked_child_leaves_the_rest_to_its_parent(application: Any, server: Any) -> None:
    app = application(flavor="influx")
    app.meter.create_counter("c").add(0.9)
    app.flush()
    child = os.fork()
    if not child:
        app.exporter.shutdown()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert server.lines() == []
    app.provider.shutdown()
    assert server.lines() == ["c:1|c"]

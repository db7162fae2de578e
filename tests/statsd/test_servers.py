"""Every kind of instrument, and whatever text and number there is, as real servers understand it."""

from __future__ import annotations

import math
import socket
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.statsd import SampledHistogramDataPoint, StatsdMetricExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from tests.servers.collectd import Collectd
from tests.servers.local import wait_until
from tests.servers.statsd import StatsdServer
from tests.statsd.everything import measure_everything

_EXAMPLES = 300
_VALUES = 20


@pytest.mark.server
@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("flavor", ["etsy", "graphite", "datadog"])
def test_the_reference_server_shows_the_right_numbers_for_every_kind(
    statsd_server: StatsdServer, flavor: str, transport: str
) -> None:
    measure_everything(statsd_server.tcp_address if transport == "tcp" else statsd_server.address, flavor)
    read = statsd_server.flush()
    # Etsy's server writes tags in Graphite's way.
    of = ".of.all" if flavor == "etsy" else ";of=all"
    counters, gauges, timers = read["counters"], read["gauges"], read["timer_data"]
    assert counters["statsd.bad_lines_seen"] == 0
    assert (counters["app.jobs"], counters[f"app.seen{of}"]) == (15, 25)
    assert (gauges["app.queue"], gauges[f"app.level{of}"]) == (-8, -7)
    assert (gauges["app.load"], gauges[f"app.heat{of}"]) == (-0.75, -2.5)
    lat, buckets = timers[f"app.lat{of}"], timers["app.buckets"]
    assert (lat["count"], lat["lower"], lat["upper"]) == (200, 1, 100)
    assert lat["sum"] == pytest.approx(2 * 5050)
    assert (buckets["count"], buckets["sum"], buckets["lower"], buckets["upper"]) == (8, 460, 10, 200)
    if flavor != "datadog":  # whose type of a histogram is a counter to this server
        assert (timers["app.size"]["count"], timers["app.size"]["sum"]) == (200, 2 * 4950)


@pytest.mark.collectd
def test_collectd_shows_the_right_numbers_for_every_kind(collectd: Collectd) -> None:
    measure_everything(collectd.address, "collectd")
    wait_until(lambda: collectd.values().get("gauge-app.queue", [0])[-1] == -8, f"gauges: {collectd.values()}")
    timers = {"app.lat.of.all": 200, "app.buckets": 8, "app.size": 200}
    for name, count in timers.items():  # it writes a file after the other
        wait_until(lambda: sum(collectd.values().get(f"gauge-{name}-count", [])) == count, f"{name}")  # noqa: B023
        wait_until(lambda: _of("sum", collectd.values(), name) > 0, f"sum of {name}")  # noqa: B023
    read = collectd.values()
    assert collectd.complaints() == []
    assert read["derive-app.jobs"][-1] == 15
    assert read["derive-app.seen.of.all"][-1] == 25
    assert read["gauge-app.level.of.all"][-1] == -7
    assert (read["gauge-app.load"][-1], read["gauge-app.heat.of.all"][-1]) == (-0.75, -2.5)
    assert _of("sum", read, "app.lat.of.all") == pytest.approx(2 * 5.050)
    assert _of("sum", read, "app.buckets") == pytest.approx(0.460)
    # Collectd ignores a 0 of a timer, so that it is sent as 1.
    assert _of("sum", read, "app.size") == pytest.approx(2 * 4.951)


def _of(what: str, read: dict[str, list[float]], name: str) -> float:
    return sum(value for value in read.get(f"latency-{name}-{what}", []) if not math.isnan(value))


_text = st.text(max_size=12) | st.text(st.sampled_from("|:#@,.;=~[]{}\n\r\0 /é😀a1_"), max_size=12)
_attributes = st.dictionaries(
    _text, _text | st.integers() | st.floats() | st.booleans() | st.lists(_text, max_size=2), max_size=3
)
_pools = st.tuples(
    st.lists(_text, min_size=4, max_size=4),
    st.lists(_attributes, min_size=4, max_size=4),
    st.lists(st.floats() | st.integers(-(2**70), 2**70), min_size=_VALUES, max_size=_VALUES),
)


def _metrics(names: list[str], attributes: list[dict[str, Any]], values: list[Any], unit: str) -> MetricsData:
    delta = AggregationTemporality.DELTA
    counted = [NumberDataPoint(held, 0, 0, value) for held, value in zip(attributes, values, strict=False)]
    sampled = [SampledHistogramDataPoint(held, 0, 0, 0, 0, (), (), 0, 0, samples=values) for held in attributes]
    made = [
        Metric(name, "", unit, data)
        for name in names
        for data in (Sum(counted, delta, is_monotonic=True), Gauge(counted), Histogram(sampled, delta))
    ]
    return MetricsData([ResourceMetrics(Resource({}), [ScopeMetrics(InstrumentationScope("x"), made, "")], "")])


def _send_anything(endpoint: str, flavor: str) -> int:
    """Send some 100,000 measurements of whatever there is; returns how many."""
    exporter = StatsdMetricExporter(endpoint, flavor=flavor, prefix="any")
    offered = 0

    @settings(max_examples=_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(_pools, st.sampled_from(["s", "ms", "By"]))
    def send(pools: tuple[list[str], list[dict[str, Any]], list[Any]], unit: str) -> None:
        nonlocal offered
        exporter.export(_metrics(*pools, unit))
        offered += 4 * (4 + 4 + 4 * _VALUES)

    send()
    exporter.shutdown()
    assert offered >= 100_000
    return offered


@pytest.mark.server
@pytest.mark.parametrize("flavor", ["etsy", "graphite"])
def test_the_reference_server_finds_no_bad_line_in_100_000_measurements(
    statsd_server: StatsdServer, flavor: str
) -> None:
    offered = _send_anything(statsd_server.address, flavor)
    read = statsd_server.flush()["counters"]
    assert read["statsd.bad_lines_seen"] == 0
    assert offered / 3 < read["statsd.metrics_received"] <= offered * 1.1


@pytest.mark.collectd
def test_collectd_finds_no_bad_line_in_100_000_measurements_of_anything(collectd: Collectd) -> None:
    _send_anything(collectd.address, "collectd")
    wait_until(collectd.values, "collectd writes")
    assert collectd.complaints() == []


def _send_no_line(address: str) -> None:
    host, _, port = address.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"\n", (host, int(port)))


@pytest.mark.server
def test_the_reference_server_passes_over_the_empty_line_of_the_doctor(statsd_server: StatsdServer) -> None:
    _send_no_line(statsd_server.address)
    read = statsd_server.flush()["counters"]
    assert (read["statsd.packets_received"], read["statsd.bad_lines_seen"]) == (1, 0)


@pytest.mark.collectd
def test_collectd_passes_over_the_empty_line_of_the_doctor(collectd: Collectd) -> None:
    _send_no_line(collectd.address)
    measure_everything(collectd.address, "collectd")
    wait_until(lambda: collectd.values().get("gauge-app.queue"), "collectd writes what came after it")
    assert collectd.complaints() == []

"""What each server is sent: where tags stand, which types and values it reads."""

import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.statsd import StatsdMetricExporter
from opentelemetry.exporter.statsd._lines import join_values, thinned
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

NASTY = "a|b:c@d#e,f;g=h[i]~j\nk"
CLEAN = "a_b_c_d_e_f_g_h_i__j_k"


@pytest.mark.parametrize(
    ("flavor", "line"),
    [
        ("datadog", f"p.m:3|c|#env:prod,path:/x,user:{CLEAN.replace('b_c', 'b:c')}"),
        ("influx", f"p.m,env=prod,path=/x,user={CLEAN}:3|c"),
        ("graphite", f"p.m;env=prod;path=/x;user={CLEAN}:3|c"),
        ("signalfx", f"p.m[env=prod,path=/x,user={CLEAN}]:3|c"),
        ("etsy", f"p.m.path._x.user.{CLEAN}:3|c"),
        ("collectd", f"p.m.path._x.user.{CLEAN}:3|c"),
    ],
)
def test_tags_stand_where_the_server_reads_them(application: Any, flavor: str, line: str) -> None:
    app = application(flavor=flavor, prefix="p", tags={"env": "prod"})
    app.meter.create_counter("m").add(3, {"user": NASTY, "path": "/x", "none": ""})
    assert app.flush() == [line]


@pytest.mark.parametrize(("flavor", "reserved"), [("influx", ",="), ("graphite", ";=~!^"), ("signalfx", ",=[]")])
def test_neither_a_prefix_nor_a_sanitizer_of_ones_own_forges_a_tag(
    application: Any, flavor: str, reserved: str
) -> None:
    app = application(flavor=flavor, prefix=f"a{reserved}b", tag_value=str)
    app.meter.create_counter("m").add(1, {"k": f"x{reserved} y:1|c"})
    (line,) = app.flush()
    cleaned = "_" * len(reserved)
    assert line.startswith(f"a{cleaned}b.m")
    assert f"k=x{cleaned}_y_1_c" in line


@pytest.mark.parametrize(
    ("flavor", "kind"),
    [("datadog", "h"), ("influx", "h"), ("signalfx", "h"), ("graphite", "ms"), ("etsy", "ms"), ("collectd", "ms")],
)
def test_a_histogram_that_is_no_time_has_the_type_that_the_server_knows(
    application: Any, flavor: str, kind: str
) -> None:
    app = application(flavor=flavor)
    app.meter.create_histogram("size", unit="By").record(5)
    assert app.flush() == [f"size:5|{kind}"]


@pytest.mark.parametrize("flavor", ["datadog", "influx", "signalfx"])
def test_a_histogram_that_is_no_time_may_be_a_distribution(application: Any, flavor: str) -> None:
    app = application(flavor=flavor, distributions=True)
    app.meter.create_histogram("size", unit="By").record(5)
    app.meter.create_histogram("lat", unit="s").record(5)
    assert app.flush() == ["size:5|d", "lat:5000|ms"]


def test_counters_of_telegraf_are_whole_fit_64_bits_and_lose_no_fraction(application: Any) -> None:
    app = application(flavor="influx")
    counter, huge = app.meter.create_counter("c"), app.meter.create_counter("huge")
    sent = []
    for _ in range(5):
        counter.add(0.75)
        sent += app.flush()
    assert sent == ["c:1|c", "c:1|c", "c:1|c"]
    huge.add(10**30)
    assert app.flush() == ["huge:9223372036854775807|c"]


def test_values_of_one_series_share_lines_of_the_size_of_a_datagram(application: Any, server: Any) -> None:
    app = application(pack_values=True, max_packet=100)
    lat, size = app.meter.create_histogram("lat", unit="ms"), app.meter.create_histogram("size", unit="By")
    for number in range(100):
        lat.record(number, {"k": "v"})
        size.record(number)
    app.provider.force_flush()
    datagrams = server.datagrams()
    assert 90 < max(map(len, datagrams)) <= 100
    values: dict[str, list[str]] = {"lat": [], "size": []}
    for line in b"\n".join(datagrams).decode().split("\n"):
        name, *packed, last = line.split("|")[0].split(":")
        values[name] += [*packed, last]
        assert line.endswith("|ms|#k:v" if name == "lat" else "|h")
    assert values == {name: [str(number) for number in range(100)] for name in values}


@given(st.lists(st.text("0123456789.", min_size=1, max_size=8), max_size=50), st.integers(1, 60))
def test_packed_values_keep_their_order_and_no_line_is_longer_than_it_must(values: list[str], length: int) -> None:
    lines = join_values("é:", values, "|ms", length)
    assert [value for line in lines for value in line[2:-3].split(":")] == values
    for line, following in zip(lines, [*lines[1:], ""], strict=False):
        assert len(line.encode()) <= length or line.count(":") == 1
        if following:
            assert len(line.encode()) + 1 + len(following[2:-3].split(":")[0]) > length


@given(st.integers(2, 12_000), st.integers(1, 3000))
def test_what_is_sampled_counts_for_exactly_what_was_measured(count: int, most: int) -> None:
    if count <= most:
        return
    rate, chosen, alone = thinned(range(count), most)
    # As Telegraf, the statsd exporter and Datadog's Agent read a rate.
    assert int(1 / float(rate)) * len(chosen) + len(alone) == count
    assert len({*chosen, *alone}) == len(chosen) + len(alone)
    assert len(chosen) <= most


def test_a_series_with_too_many_measurements_is_sampled(application: Any) -> None:
    app = application(sample_above=100)
    busy, quiet = app.meter.create_histogram("busy", unit="ms"), app.meter.create_histogram("quiet", unit="ms")
    for number in range(1000):
        busy.record(number, {"k": "v"})
    for number in range(100):
        quiet.record(number)
    lines = app.flush()
    forms = Counter(re.sub(r":\d+", ":N", line) for line in lines)
    assert forms == {"busy:N|ms|@0.1|#k:v": 100, "quiet:N|ms": 100}


def test_attributes_of_the_resource_are_tags_that_others_override(server: Any) -> None:
    exporter = StatsdMetricExporter(
        server.endpoint,
        tags={"env": "mine"},
        resource_tags={"service.name": "service", "deployment.environment.name": "env", "not.there": "x"},
    )
    resource = Resource({"service.name": "shop|1", "deployment.environment.name": "theirs", "secret": "s"})
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
    meter = provider.get_meter("m")
    meter.create_counter("c").add(1)
    meter.create_counter("own").add(1, {"service": "me"})
    meter.create_histogram("h", unit="ms").record(1)
    provider.shutdown()
    assert sorted(server.lines()) == [
        "c:1|c|#env:mine,service:shop_1",
        "h:1|ms|#env:mine,service:shop_1",
        "own:1|c|#env:mine,service:me",
    ]
